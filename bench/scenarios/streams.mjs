import { columns, liveChecks, subjectsNamed, timed } from '../live/columns.mjs'
import { runLive } from '../live/run.mjs'

const PEERS = ['handmade-ioredis']
const LOAD = { perTurn: 8, turnMs: 4, fan: 1, warmUpSeconds: 3, seconds: 8 }

/** @type {import('./index.mjs').Scenario} */
export const streams = {
  title: 'Growth: more streams',
  what: 'The same 2,000 chunks a second, 8 different streams every 4 ms, over more and more streams, each with one reader.',
  subjects: subjectsNamed([...PEERS, 'tidemark']),
  peers: PEERS,
  points: { unit: 'streams', values: (isQuick) => (isQuick ? [10, 100] : [10, 100, 1_000, 10_000]) },
  columns: [
    { head: 'all three, µs/chunk', digits: 1, of: ({ allUs }) => allUs },
    ...[columns.p50, columns.p99, columns.processes, columns.complete].flat(),
  ],
  aims: [{ what: 'cost of a chunk', of: ({ allUs }) => allUs, atMost: 1.2, isFlat: true }],
  checks: liveChecks,
  chart: { axis: 'CPU of publisher, readers and Redis, µs/chunk', of: ({ allUs }) => allUs },
  run: (what) => runLive(what.subject, timed({ ...LOAD, streams: Number(what.point) }, what)),
}
