// The live benchmark's result as Markdown.

import { markdownTable, median, spread } from '../lib/statistics.mjs'
import { completeness, FLOOR, judge, OURS, PEER } from './targets.mjs'

/** @typedef {import('./targets.mjs').Record} Record */
/** @typedef {import('./targets.mjs').Round} Round */

/** From here on, in percent of a core, others are likely to have held the runs up. */
const BUSY = 25

/** @typedef {{ round: number, load: string, fan: number, subject: string, failed: string }} Failure */

/** @param {Record[]} records of runs that succeeded, in the order of their subjects @param {Failure[]} failures */
export function report(records, failures) {
  const loads = [...new Set(records.map(({ load }) => load))]
  const fans = [...new Set(records.map(({ fan }) => fan))]
  const others = records.map(({ othersPercent }) => othersPercent)
  return [
    `Whatever else ran on the machine took ${spread(others, 0)} % of a core during the runs.`,
    ...(median(others) > BUSY ? ['**The machine was busy**: the latencies and their ratio say little.'] : []),
    ...loads.flatMap((load) =>
      fans.map((fan) =>
        reportCase(
          load,
          fan,
          records.filter((record) => record.load === load && record.fan === fan),
          failures.some(
            (failure) => failure.load === load && failure.fan === fan && failure.subject === OURS,
          ),
        ),
      ),
    ),
    ...failures.map(
      ({ round, load, fan, subject, failed }) =>
        `**Failed**: round ${round}, ${load}, fan ${fan}, ${subject}: ${failed}`,
    ),
  ].join('\n\n')
}

/** @param {string} load @param {number} fan @param {Record[]} records @param {boolean} oursFailed in at least one round */
function reportCase(load, fan, records, oursFailed) {
  const rounds = roundsOf(records)
  const rows = [...new Set(records.map(({ subject }) => subject))].map((subject) => ({
    subject,
    runs: records.filter((record) => record.subject === subject),
    floors: rounds.flatMap(({ [subject]: run, [FLOOR]: floor }) => (run && floor ? [{ run, floor }] : [])),
  }))
  return [
    `### Chunks that come ${load}, ${fan} reader${fan === 1 ? '' : 's'} of each stream`,
    tableOf(latencies, rows),
    tableOf(costs, rows),
    targetTable(fan, rounds, oursFailed),
  ].join('\n\n')
}

/** @param {Record[]} records */
function roundsOf(records) {
  /** @type {Map<number, Round>} */
  const rounds = new Map()
  for (const record of records) {
    rounds.set(record.round, { ...rounds.get(record.round), [record.subject]: record })
  }
  return [...rounds.values()]
}

/**
 * @typedef {{ subject: string, runs: Record[], floors: { run: Record, floor: Record }[] }} Row
 * @typedef {{ head: string, cell: (row: Row) => string }} Column
 */

/** @type {Column} */
const name = { head: 'subject', cell: ({ subject }) => subject }

/** @type {Column[]} */
const latencies = [
  name,
  { head: 'p50 ms', cell: each(2, (run) => run.p50) },
  { head: 'p99 ms', cell: each(1, (run) => run.p99) },
  { head: 'p99.9 ms', cell: each(1, (run) => run.p999) },
  {
    head: 'readers complete',
    cell: sum((total) => `${total((run) => run.complete)} of ${total((run) => run.readers)}`),
  },
  { head: 'gaps', cell: sum((total) => `${total((run) => run.gaps)}`) },
  { head: 'duplicates', cell: sum((total) => `${total((run) => run.duplicates)}`) },
  { head: 'n', cell: ({ runs }) => `${runs.length}` },
]

/** @type {Column[]} */
const costs = [
  name,
  { head: 'publisher, main thread: µs/chunk', cell: each(1, (run) => run.publisherUs) },
  { head: 'above the floor', cell: aboveFloor(1, (run) => run.publisherUs) },
  { head: 'reader, main thread: µs/delivery', cell: each(2, (run) => run.readerUs) },
  { head: 'above the floor', cell: aboveFloor(2, (run) => run.readerUs) },
  { head: "publisher's process, % of a core", cell: each(0, (run) => run.publisherPercent) },
  { head: "reader's process, %", cell: each(0, (run) => run.readerPercent) },
  { head: 'Redis, %', cell: each(0, (run) => run.redisPercent) },
  {
    head: 'all three, %',
    cell: each(0, (run) => run.publisherPercent + run.readerPercent + run.redisPercent),
  },
  { head: 'connections (publisher + reader)', cell: ({ runs }) => connectionsOf(runs) },
  { head: 'Redis commands for each chunk', cell: ({ runs }) => commandsOf(runs) },
]

/** @param {Column[]} columns @param {Row[]} rows */
function tableOf(columns, rows) {
  const heads = columns.map(({ head }) => head)
  return markdownTable(
    heads,
    rows.map((row) => columns.map(({ cell }) => cell(row))),
  )
}

/** @param {number} digits @param {(run: Record) => number | null} value @returns {Column['cell']} */
function each(digits, value) {
  return ({ runs }) => spread(runs.map(value), digits)
}

/** @param {number} digits @param {(run: Record) => number} value @returns {Column['cell']} */
function aboveFloor(digits, value) {
  return ({ subject, floors }) => {
    if (subject === FLOOR) return '0'
    const differences = floors.map(({ run, floor }) => value(run) - value(floor))
    return spread(differences, digits)
  }
}

/**
 * What is counted over all runs; the floor has no readers to speak of.
 * @param {(total: (count: (run: Record) => number) => number) => string} text
 * @returns {Column['cell']}
 */
function sum(text) {
  return ({ subject, runs }) =>
    subject === FLOOR ? '–' : text((count) => runs.reduce((total, run) => total + count(run), 0))
}

/** @param {Record[]} runs */
const connectionsOf = (runs) =>
  [...new Set(runs.map((run) => `${run.publisherConnections} + ${run.readerConnections}`))].join(', ')

/** Calls inside scripts count too. @param {Record[]} runs */
function commandsOf(runs) {
  const names = [...new Set(runs.flatMap(({ commands }) => Object.keys(commands)))]
  const shown = names
    .map((name) => ({
      name,
      calls: runs.reduce((sum, run) => sum + (run.commands[name] ?? 0), 0) / runs.length,
    }))
    .filter(({ calls }) => calls >= 0.005)
    .toSorted((a, b) => b.calls - a.calls || a.name.localeCompare(b.name))
  return shown.map(({ name, calls }) => `${name} ${calls.toFixed(2)}`).join(', ') || '–'
}

/** @param {number} fan @param {Round[]} rounds @param {boolean} oursFailed */
function targetTable(fan, rounds, oursFailed) {
  const { readers, complete } = completeness(rounds)
  if (readers === 0) return `No verdict: no run of ${OURS} succeeded.`
  const verdicts = judge(rounds).map(({ name, limit, ratios, reached }) => [
    name,
    `≤ ${limit.toFixed(2)} × ${PEER}`,
    `${spread(ratios, 2)}`,
    `${ratios.length}`,
    verdict(reached),
  ])
  const whole = [
    'readers complete',
    'all',
    `${complete} of ${readers}`,
    `${rounds.length}`,
    verdict(complete === readers && !oursFailed),
  ]
  const table = markdownTable(['target', 'limit', 'measured', 'n', 'verdict'], [...verdicts, whole])
  const missing = verdicts.length < 3 ? `\n\nRatios need ${PEER} and ${FLOOR} in the same run.` : ''
  const floors = rounds.flatMap(({ [FLOOR]: floor }) => floor?.readerUs ?? [])
  const note =
    floors.length > 0
      ? `\n\nThe reader's floor is that of the floor's idle process: ${spread(floors, 2)} µs for each of the deliveries ` +
        `that ${fan === 1 ? 'one reader' : `${fan} readers`} of each stream would have been sent.`
      : ''
  return table + missing + note
}

/** @param {boolean} reached */
const verdict = (reached) => (reached ? 'reached' : '**missed**')
