// Whether a scenario meets its aims: ratios to the better of its peers within the same round.

import { median, spread } from './statistics.mjs'

export const OURS = 'tidemark'
export const FLOOR = 'floor'

/**
 * One run of one subject, with what it measured; `othersPercent` is what other processes used meanwhile, in percent of a core.
 * @typedef {{ round: number, subject: string, point?: number, othersPercent: number, stolenPercent: number } & Record<string, any>} Run
 *
 * A measured value of a run; NaN or null if there is none.
 * @typedef {(run: Run) => number | null} Of
 *
 * @typedef {object} Aim with one of the limits `atMost` and `atLeast`
 * @property {string} what
 * @property {Of} of
 * @property {boolean} [aboveFloor] the floor's value of the same round, which the driver alone costs, is subtracted
 * @property {string} [ours] the subject that the aim is about: `tidemark`
 * @property {string[]} [peers] default: the scenario's
 * @property {number} [atMost] as a multiple of the better peer's value
 * @property {number} [atLeast] the same, where more is better
 * @property {boolean} [isValue] the limit is a value, not a multiple of a peer's
 * @property {boolean} [isFlat] `atMost` limits our largest value at any point, as a multiple of our smallest
 * @property {string} [unit] of the limit, if it is a value
 *
 * @typedef {object} Verdict
 * @property {string} what
 * @property {string} aim the limit, in words
 * @property {string} peer the better one, with its value; a dash where none is needed
 * @property {string} measured
 * @property {number} n number of rounds
 * @property {boolean | undefined} isMet undefined: there is nothing to compare with
 */

/** @param {Aim} aim @param {{ peers: string[], runs: Run[] }} measured runs at one point; at all points for an aim that `isFlat` @returns {Verdict} */
export function evaluate(aim, { peers, runs }) {
  if (aim.isFlat) return evaluateFlatness(aim, runs)
  const ours = valuesOf(aim, runs, aim.ours ?? OURS)
  const limit = aim.atMost ?? aim.atLeast ?? Number.NaN
  const isMost = aim.atMost !== undefined
  const met = (/** @type {number[]} */ values) =>
    values.length === 0 ? undefined : isMost ? median(values) <= limit : median(values) >= limit
  const words = `${isMost ? '≤' : '≥'} ${Number(limit.toFixed(2))}`
  if (aim.isValue) {
    const values = [...ours.values()]
    return {
      what: aim.what,
      aim: `${words}${aim.unit ? ` ${aim.unit}` : ''}`,
      peer: '–',
      measured: spread(values, 2),
      n: values.length,
      isMet: met(values),
    }
  }
  const [better] = (aim.peers ?? peers)
    .map((name) => ({ name, values: valuesOf(aim, runs, name) }))
    .filter(({ values }) => values.size > 0)
    .map((peer) => ({ ...peer, middle: median([...peer.values.values()]) }))
    .toSorted((a, b) => (isMost ? a.middle - b.middle : b.middle - a.middle))
  const ratios = [...ours].flatMap(([round, value]) => {
    const peer = better?.values.get(round)
    return peer === undefined ? [] : [value / peer]
  })
  return {
    what: aim.what,
    aim: `${words} × the better peer`,
    peer: better?.name ?? '–',
    measured: spread(ratios, 2),
    n: ratios.length,
    isMet: met(ratios),
  }
}

/** @param {Aim} aim @param {Run[]} runs @returns {Verdict} */
function evaluateFlatness(aim, runs) {
  const points = [...new Set(runs.map(({ point }) => point))]
  const values = points.map((point) => {
    const here = runs.filter((run) => run.point === point)
    return median([...valuesOf(aim, here, aim.ours ?? OURS).values()])
  })
  const ratio = Math.max(...values) / Math.min(...values)
  const limit = aim.atMost ?? Number.NaN
  return {
    what: aim.what,
    aim: `largest ÷ smallest ≤ ${limit}`,
    peer: '–',
    measured: Number.isFinite(ratio) ? ratio.toFixed(2) : '–',
    n: new Set(runs.map(({ round }) => round)).size,
    isMet: Number.isFinite(ratio) && points.length > 1 ? ratio <= limit : undefined,
  }
}

/**
 * A subject's values by round; rounds without one, or without the floor where that is taken off, are left out.
 * @param {Pick<Aim, 'of' | 'aboveFloor'>} measure @param {Run[]} runs of one point @param {string} subject
 * @returns {Map<number, number>}
 */
export function valuesOf({ of, aboveFloor = false }, runs, subject) {
  /** @type {Map<number, number>} */
  const values = new Map()
  for (const run of runs.filter((run) => run.subject === subject)) {
    const floor = aboveFloor
      ? runs.find(({ round, subject }) => round === run.round && subject === FLOOR)
      : undefined
    if (aboveFloor && !floor) continue
    const value = (of(run) ?? Number.NaN) - (floor ? (of(floor) ?? Number.NaN) : 0)
    if (Number.isFinite(value)) values.set(run.round, value)
  }
  return values
}
