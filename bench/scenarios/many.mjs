import { liveChecks, liveColumns, subjectsNamed, timed } from '../live/columns.mjs'
import { together } from '../live/load.mjs'
import { runLive } from '../live/run.mjs'

const PEERS = ['handmade-ioredis', 'handmade-ioredis-batch', 'handmade-worker']

/** @type {import('./index.mjs').Scenario} */
export const many = {
  title: '10,000 streams',
  what: '10,000 streams × 1 chunk a second, 40 chunks every 4 ms, one reader of each. A quick run has 1,000 streams.',
  subjects: subjectsNamed(['floor', ...PEERS, 'tidemark']),
  peers: PEERS,
  columns: liveColumns,
  aims: [{ what: 'CPU of Redis', of: ({ redisPercent }) => redisPercent, atMost: 1.2 }],
  checks: liveChecks,
  chart: { axis: 'CPU of Redis, % of a core', of: ({ redisPercent }) => redisPercent },
  run: (what) =>
    runLive(what.subject, timed({ ...together, streams: what.isQuick ? 1_000 : 10_000, seconds: 10 }, what)),
}
