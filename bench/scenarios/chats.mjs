import { columns, liveChecks, subjectsNamed, timed } from '../live/columns.mjs'
import { runLive } from '../live/run.mjs'

const PEERS = ['handmade-ioredis']
const LOAD = { streams: 8, perTurn: 8, turnMs: 4, fan: 1, warmUpSeconds: 3, seconds: 8 }

/** @type {import('./index.mjs').Scenario} */
export const chats = {
  title: 'Growth: longer chats',
  what: '8 streams that hold so many chunks already get 250 more a second each; their readers have read all that came before. Catching up is the time in which 8 readers at once read what is there, new connections included.',
  subjects: subjectsNamed([...PEERS, 'tidemark']),
  peers: PEERS,
  points: {
    unit: 'chunks in each chat',
    values: (isQuick) => (isQuick ? [100, 1_000] : [100, 1_000, 10_000, 100_000]),
  },
  columns: [
    { head: 'all three, µs/chunk', digits: 1, of: ({ allUs }) => allUs },
    { head: 'catching up, µs/chunk', digits: 2, of: ({ catchUpUs }) => catchUpUs },
    ...[columns.p50, columns.p99, columns.processes, columns.complete].flat(),
  ],
  aims: [{ what: 'cost of a further chunk', of: ({ allUs }) => allUs, atMost: 1.2, isFlat: true }],
  checks: liveChecks,
  chart: { axis: 'CPU of publisher, readers and Redis, µs/chunk', of: ({ allUs }) => allUs },
  run: (what) => runLive(what.subject, timed({ ...LOAD, history: Number(what.point) }, what)),
}
