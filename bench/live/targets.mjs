// What the live benchmark has to show, as ratios to the hand-made peer of the same round.

import { median } from '../lib/statistics.mjs'

export const OURS = 'tidemark'
export const PEER = 'handmade-ioredis'
export const FLOOR = 'floor'

/** @typedef {import('./once.mjs').Run & { round: number, load: string, fan: number, subject: string }} Record */
/** @typedef {Partial<{ [subject: string]: Record }>} Round the runs of one round, load and fan */

/** @type {{ name: string, limit: number, cost: (run: Record, floor: Record) => number, needsFloor: boolean }[]} */
const ratios = [
  { name: 'p99 latency', limit: 1 / 3, cost: (run) => run.p99 ?? Number.NaN, needsFloor: false },
  {
    name: "publisher's main thread, above the floor",
    limit: 1 / 3,
    cost: (run, floor) => run.publisherUs - floor.publisherUs,
    needsFloor: true,
  },
  {
    name: "reader's main thread, above the floor",
    limit: 2 / 3,
    cost: (run, floor) => run.readerUs - floor.readerUs,
    needsFloor: true,
  },
]

/**
 * @typedef {object} Verdict
 * @property {string} name
 * @property {number} limit
 * @property {number[]} ratios one for each round
 * @property {boolean} reached
 */

/** @param {Round[]} rounds of one load and fan @returns {Verdict[]} of those targets whose subjects were all run */
export function judge(rounds) {
  return ratios.flatMap(({ name, limit, cost, needsFloor }) => {
    const values = rounds.flatMap(({ [OURS]: ours, [PEER]: peer, [FLOOR]: floor }) =>
      ours && peer && (floor || !needsFloor)
        ? [cost(ours, /** @type {Record} */ (floor)) / cost(peer, /** @type {Record} */ (floor))]
        : [],
    )
    return values.length ? [{ name, limit, ratios: values, reached: median(values) <= limit }] : []
  })
}

/** Readers that got every chunk once, in order, and the end. @param {Round[]} rounds */
export function completeness(rounds) {
  const runs = rounds.flatMap(({ [OURS]: ours }) => ours ?? [])
  const readers = runs.reduce((sum, run) => sum + run.readers, 0)
  return { readers, complete: runs.reduce((sum, run) => sum + run.complete, 0) }
}
