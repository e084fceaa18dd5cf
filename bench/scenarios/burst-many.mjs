import { aBurst, BURST_PEERS, CEILINGS, runBurst } from '../burst/run.mjs'
import { subjectsNamed } from '../live/columns.mjs'

/** @type {import('./index.mjs').Scenario} */
export const burstMany = {
  ...aBurst,
  title: 'Burst, 1,000 streams',
  what: '1,000 streams × 100 chunks of 55 bytes; in each turn of the event loop every stream gets one, as from sockets. A quick run has 10 chunks for each.',
  subjects: { ...subjectsNamed(['floor', ...BURST_PEERS, 'tidemark']), ...CEILINGS },
  peers: BURST_PEERS,
  aims: [{ what: 'chunks a second', of: ({ rate }) => rate, atLeast: 1.5 }],
  run: ({ subject, isQuick }) => runBurst(subject, { streams: 1_000, chunks: isQuick ? 10 : 100, bytes: 55 }),
}
