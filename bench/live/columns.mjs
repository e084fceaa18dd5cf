// What the live scenarios show and check.

import { subjects } from '../subjects/index.mjs'

/** @typedef {import('../scenarios/index.mjs').Column} Column */
/** @typedef {import('../scenarios/index.mjs').Run} Run */

/** Those that keep in Redis what they publish, by which aims are judged: the two hand-made ones, and one on a thread of its own. */
const PEERS = ['handmade-ioredis', 'handmade-ioredis-batch', 'handmade-worker']
/** With the package of npm, which keeps nothing there, and the ceiling, for comparison. */
const LIVE_SUBJECTS = ['floor', ...PEERS, 'resumable-stream', 'rust-client', 'tidemark']

/** Subjects with what they are. @param {string[]} names */
export const subjectsNamed = (names) =>
  Object.fromEntries(names.map((name) => [name, subjects[name]?.note ?? '']))

/** The three processes: publisher, readers, Redis. @param {Run} run @returns {number} % of a core */
export const allPercent = ({ allPercent }) => allPercent

/** @type {Record<'p50' | 'p99' | 'p999' | 'all' | 'complete' | 'main' | 'processes' | 'wire', Column[]>} */
export const columns = {
  p50: [{ head: 'p50 ms', digits: 2, of: ({ p50 }) => p50 }],
  p99: [{ head: 'p99 ms', digits: 1, of: ({ p99 }) => p99 }],
  p999: [{ head: 'p99.9 ms', digits: 1, of: ({ p999 }) => p999 }],
  all: [{ head: 'all three above the floor, % of a core', digits: 1, of: allPercent, aboveFloor: true }],
  complete: [
    {
      head: 'readers complete',
      text: (runs) => `${sum(runs, ({ complete }) => complete)} of ${sum(runs, ({ readers }) => readers)}`,
    },
    {
      head: 'gaps + duplicates',
      text: (runs) => `${sum(runs, ({ gaps }) => gaps)} + ${sum(runs, ({ duplicates }) => duplicates)}`,
    },
  ],
  main: [
    {
      head: 'publisher, main thread, µs/chunk above the floor',
      digits: 1,
      of: ({ publisherUs }) => publisherUs,
      aboveFloor: true,
    },
    {
      head: 'reader, main thread, µs/delivery above the floor',
      digits: 2,
      of: ({ readerUs }) => readerUs,
      aboveFloor: true,
    },
  ],
  processes: [
    { head: 'publisher, %', digits: 1, of: ({ publisherPercent }) => publisherPercent },
    { head: 'readers, %', digits: 1, of: ({ readerPercent }) => readerPercent },
    { head: 'Redis, %', digits: 1, of: ({ redisPercent }) => redisPercent },
  ],
  wire: [
    {
      head: 'connections',
      text: (runs) =>
        [...new Set(runs.map((run) => `${run.publisherConnections} + ${run.readerConnections}`))].join(', '),
    },
    { head: 'Redis commands for each chunk', text: commandsOf },
  ],
}

/** Everything that a live run has to show, in its order. */
export const liveColumns = [
  columns.p50,
  columns.p99,
  columns.p999,
  columns.all,
  columns.complete,
  columns.main,
  columns.processes,
  columns.wire,
].flat()

/** @type {import('../scenarios/index.mjs').Scenario['checks']} */
export const liveChecks = [
  {
    what: 'every reader got every chunk once, in order, and the end',
    holds: ({ complete, readers }) => readers > 0 && complete === readers,
  },
]

/** What the scenarios in which all live peers take part have in common. @type {Pick<import('../scenarios/index.mjs').Scenario, 'subjects' | 'peers' | 'columns' | 'checks'>} */
export const allPeers = {
  subjects: subjectsNamed(LIVE_SUBJECTS),
  peers: PEERS,
  columns: liveColumns,
  checks: liveChecks,
}

/** The CPU that a subject takes anywhere. @param {number} atMost @returns {import('../lib/aims.mjs').Aim} */
export const cpuAim = (atMost) => ({
  what: 'CPU of publisher, readers and Redis above the floor',
  of: allPercent,
  aboveFloor: true,
  atMost,
})

/** @param {Run[]} runs @param {(run: Run) => number} count */
const sum = (runs, count) => runs.reduce((total, run) => total + count(run), 0).toLocaleString('en-US')

/** Calls inside scripts count too. @param {Run[]} runs */
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

/** A load's times for a quick run, or with other seconds. @template {import('./load.mjs').Load} T @param {T} load @param {import('../scenarios/index.mjs').RunRequest} what */
export const timed = (load, { isQuick, seconds }) => ({
  ...load,
  ...(isQuick && { warmUpSeconds: 0.3, seconds: 0.5 }),
  ...(seconds && { seconds }),
})
