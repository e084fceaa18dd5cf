import { columns, liveChecks, subjectsNamed, timed } from '../live/columns.mjs'
import { apart } from '../live/load.mjs'
import { runLive } from '../live/run.mjs'

const PEERS = ['handmade-ioredis', 'handmade-ioredis-batch']

/** @type {import('./index.mjs').Scenario} */
export const delay = {
  title: 'A longer way to Redis',
  what: 'As `apart`, through a proxy that lets everything pass 1 and 5 ms later, each way. Its own CPU counts as that of others.',
  subjects: subjectsNamed([...PEERS, 'tidemark']),
  peers: PEERS,
  points: { unit: 'ms each way', values: () => [0, 1, 5] },
  columns: [columns.p50, columns.p99, columns.p999, columns.complete, columns.processes].flat(),
  aims: [{ what: 'p99', of: ({ p99 }) => p99, atMost: 1 }],
  checks: liveChecks,
  chart: { axis: 'p50 of the delivery, ms', of: ({ p50 }) => p50 },
  run: (what) => runLive(what.subject, timed({ ...apart, delayMs: Number(what.point) }, what)),
}
