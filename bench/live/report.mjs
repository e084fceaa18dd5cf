// The live benchmark's result as Markdown.

import { markdownTable, median, spread } from '../lib/statistics.mjs'
import { completeness, FLOOR, judge, OURS, PEER } from './targets.mjs'

/** @typedef {import('./targets.mjs').Record} Record */
/** @typedef {import('./targets.mjs').Round} Round */

/** From here on, in percent of a core, others are likely to have held the runs up. */
const BUSY = 25

/** @param {Record[]} records of runs that succeeded, in the order of their subjects */
export function report(records) {
  const fans = [...new Set(records.map(({ fan }) => fan))]
  const others = records.map(({ othersPercent }) => othersPercent)
  return [
    `Whatever else ran on the machine took ${spread(others, 0)} % of a core during the runs.`,
    ...(median(others) > BUSY ? ['**The machine was busy**: the latencies and their ratio say little.'] : []),
    ...fans.map((fan) =>
      reportFan(
        fan,
        records.filter((record) => record.fan === fan),
      ),
    ),
  ].join('\n\n')
}

/** @param {number} fan @param {Record[]} records */
function reportFan(fan, records) {
  const rounds = roundsOf(records)
  const subjects = [...new Set(records.map(({ subject }) => subject))]
  const rows = subjects.map((subject) => ({
    subject,
    runs: records.filter((record) => record.subject === subject),
    floors: rounds.flatMap(({ [subject]: run, [FLOOR]: floor }) => (run && floor ? [{ run, floor }] : [])),
  }))
  return [
    `### ${fan} reader${fan === 1 ? '' : 's'} of each stream`,
    latencyTable(rows),
    costTable(rows),
    targetTable(fan, rounds),
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

/** @typedef {{ subject: string, runs: Record[], floors: { run: Record, floor: Record }[] }} Row */

/** @param {Row[]} rows */
function latencyTable(rows) {
  const head = ['subject', 'p50 ms', 'p99 ms', 'p99.9 ms', 'readers complete', 'gaps', 'duplicates', 'n']
  return markdownTable(
    head,
    rows.map(({ subject, runs }) => {
      const total = (/** @type {(run: Record) => number} */ count) =>
        runs.reduce((sum, run) => sum + count(run), 0)
      const silent = subject === FLOOR
      return [
        subject,
        spread(
          runs.map(({ p50 }) => p50),
          2,
        ),
        spread(
          runs.map(({ p99 }) => p99),
          1,
        ),
        spread(
          runs.map(({ p999 }) => p999),
          1,
        ),
        silent ? '–' : `${total((run) => run.complete)} of ${total((run) => run.readers)}`,
        silent ? '–' : `${total((run) => run.gaps)}`,
        silent ? '–' : `${total((run) => run.duplicates)}`,
        `${runs.length}`,
      ]
    }),
  )
}

/** @param {Row[]} rows */
function costTable(rows) {
  const head = [
    'subject',
    'publisher, main thread: µs/chunk',
    'above the floor',
    'reader, main thread: µs/delivery',
    'above the floor',
    "publisher's process, % of a core",
    "reader's process, %",
    'Redis, %',
    'connections (publisher + reader)',
    'Redis commands for each chunk',
  ]
  return markdownTable(
    head,
    rows.map(({ subject, runs, floors }) => [
      subject,
      spread(
        runs.map(({ publisherUs }) => publisherUs),
        1,
      ),
      subject === FLOOR
        ? '0'
        : spread(
            floors.map(({ run, floor }) => run.publisherUs - floor.publisherUs),
            1,
          ),
      spread(
        runs.map(({ readerUs }) => readerUs),
        2,
      ),
      subject === FLOOR
        ? '0'
        : spread(
            floors.map(({ run, floor }) => run.readerUs - floor.readerUs),
            2,
          ),
      spread(
        runs.map(({ publisherPercent }) => publisherPercent),
        0,
      ),
      spread(
        runs.map(({ readerPercent }) => readerPercent),
        0,
      ),
      spread(
        runs.map(({ redisPercent }) => redisPercent),
        0,
      ),
      connectionsOf(runs),
      commandsOf(runs),
    ]),
  )
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
    .toSorted((a, b) => b.calls - a.calls)
  return shown.map(({ name, calls }) => `${name} ${calls.toFixed(2)}`).join(', ') || '–'
}

/** @param {number} fan @param {Round[]} rounds */
function targetTable(fan, rounds) {
  const { readers, complete } = completeness(rounds)
  if (readers === 0) return `No verdict: ${OURS} was not run.`
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
    verdict(complete === readers),
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
