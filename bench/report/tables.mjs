// A scenario's results as Markdown tables.

import { evaluate, FLOOR, OURS, valuesOf } from '../lib/aims.mjs'
import { markdownTable, spread } from '../lib/statistics.mjs'

/** @typedef {import('../scenarios/index.mjs').Scenario} Scenario */
/** @typedef {import('../lib/aims.mjs').Run} Run */
/** @typedef {import('../lib/aims.mjs').Verdict & { point?: number }} Verdict */

/** @param {Scenario} scenario @param {Run[]} runs @returns {(number | undefined)[]} in their order; [undefined] without points */
export const pointsOf = (scenario, runs) =>
  scenario.points
    ? [...new Set(runs.map(({ point }) => point))].toSorted((a, b) => Number(a) - Number(b))
    : [undefined]

/** @param {Scenario} scenario @param {Run[]} runs @returns {Verdict[]} aims first, then what had to be right */
export function verdictsOf(scenario, runs) {
  const points = pointsOf(scenario, runs)
  const aims = scenario.aims.flatMap((aim) =>
    aim.isFlat
      ? [evaluate(aim, { peers: scenario.peers, runs })]
      : points.map((point) => ({
          point,
          ...evaluate(aim, { peers: scenario.peers, runs: runs.filter((run) => run.point === point) }),
        })),
  )
  return [...aims, ...checksOf(scenario, runs)]
}

/** The checks that every run of ours has to pass, no matter how fast it was. @param {Scenario} scenario @param {Run[]} runs */
function checksOf({ checks }, runs) {
  const ours = runs.filter(({ subject }) => subject.startsWith(OURS))
  return checks.map(({ what, holds }) => {
    const right = ours.filter(holds).length
    return {
      what,
      aim: 'in every run',
      peer: '–',
      measured: `${right} of ${ours.length}`,
      n: ours.length,
      isMet: ours.length === 0 ? undefined : right === ours.length,
    }
  })
}

/** Whether a check failed. @param {Scenario} scenario @param {Run[]} runs */
export const isBroken = (scenario, runs) => checksOf(scenario, runs).some(({ isMet }) => isMet === false)

/** @param {boolean | undefined} isMet */
export const inWords = (isMet) => (isMet === undefined ? 'no verdict' : isMet ? 'met' : '**missed**')

/** @param {Scenario} scenario @param {Verdict[]} verdicts */
export function verdictTable({ points }, verdicts) {
  return markdownTable(
    ['aim', 'limit', 'better peer', 'measured', 'n', 'verdict'],
    verdicts.map(({ what, aim, peer, measured, n, isMet, point }) => [
      point === undefined ? what : `${what}, ${point.toLocaleString('en-US')} ${points?.unit}`,
      aim,
      peer,
      measured,
      `${n}`,
      inWords(isMet),
    ]),
  )
}

/** One row for each subject and point. @param {Scenario} scenario @param {Run[]} runs */
export function resultTable(scenario, runs) {
  const { points, columns } = scenario
  const rows = pointsOf(scenario, runs).flatMap((point) => {
    const here = runs.filter((run) => run.point === point)
    return subjectsOf(scenario, here).map((subject) => {
      const own = here.filter((run) => run.subject === subject)
      return [
        subject,
        ...(points ? [`${point?.toLocaleString('en-US')}`] : []),
        ...columns.map((column) => cell(column, here, own, subject)),
        spread(
          own.map(({ othersPercent }) => othersPercent),
          0,
        ),
        `${own.length}`,
      ]
    })
  })
  const heads = columns.map(({ head }) => head)
  return markdownTable(['subject', ...(points ? [points.unit] : []), ...heads, 'others, %', 'n'], rows)
}

/** In the scenario's order. @param {Scenario} scenario @param {Run[]} runs */
export const subjectsOf = ({ subjects }, runs) =>
  Object.keys(subjects).filter((name) => runs.some(({ subject }) => subject === name))

/**
 * @param {import('../scenarios/index.mjs').Column} column
 * @param {Run[]} runs @param {Run[]} own @param {string} subject
 */
function cell(column, runs, own, subject) {
  if ('text' in column) return subject === FLOOR ? '–' : column.text(own)
  if (column.aboveFloor && subject === FLOOR) return '0'
  return spread([...valuesOf(column, runs, subject).values()], column.digits)
}
