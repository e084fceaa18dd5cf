import { columns, liveChecks, subjectsNamed } from '../live/columns.mjs'
import { together } from '../live/load.mjs'
import { runLive } from '../live/run.mjs'

const PEERS = ['handmade-ioredis']

/** @param {string} what @param {import('../lib/aims.mjs').Of} of @returns {import('../lib/aims.mjs').Aim} */
const atRest = (what, of) => ({ what, of, atMost: 1, isValue: true, unit: '% of a core' })

/** @type {import('./index.mjs').Scenario} */
export const idle = {
  title: '10,000 idle streams',
  what: '10,000 streams, each with one chunk, a producer that is silent and a reader that waits. The peers have no leases, so nothing to do; Tidemark proves that its producers live. A quick run has 1,000 streams.',
  subjects: subjectsNamed([...PEERS, 'tidemark']),
  peers: PEERS,
  columns: [columns.processes, columns.complete].flat(),
  aims: [
    atRest("the publisher's process", ({ publisherPercent }) => publisherPercent),
    atRest("the readers' process", ({ readerPercent }) => readerPercent),
    atRest('Redis', ({ redisPercent }) => redisPercent),
  ],
  checks: liveChecks,
  chart: {
    axis: 'CPU of publisher, readers and Redis, % of a core',
    of: ({ allPercent }) => allPercent,
  },
  run: ({ subject, isQuick, seconds }) =>
    runLive(subject, {
      ...together,
      streams: isQuick ? 1_000 : 10_000,
      perTurn: 0,
      // The publisher's own timer would be a fifth of what is measured.
      turnMs: isQuick ? 100 : 1_000,
      history: 1,
      warmUpSeconds: isQuick ? 0.5 : 12,
      // Leases are renewed every few seconds: some rounds of them have to fit.
      seconds: seconds ?? (isQuick ? 1 : 30),
    }),
}
