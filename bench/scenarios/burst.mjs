import { aBurst, BURST_PEERS, CEILINGS, runBurst } from '../burst/run.mjs'
import { subjectsNamed } from '../live/columns.mjs'

/** @param {number} bytes @returns {import('./index.mjs').Scenario} */
const ofBytes = (bytes) => ({
  ...aBurst,
  title: `Burst, one stream, ${bytes} bytes`,
  what: `200,000 chunks of ${bytes} bytes of JSON, written to one stream as fast as it takes them, until all of them are stored. A quick run has 5,000.`,
  subjects: { ...subjectsNamed(['floor', ...BURST_PEERS, 'tidemark']), ...CEILINGS },
  peers: BURST_PEERS,
  aims: [{ what: 'chunks a second', of: ({ rate }) => rate, atLeast: 1.2 }],
  run: ({ subject, isQuick }) => runBurst(subject, { streams: 1, chunks: isQuick ? 5_000 : 200_000, bytes }),
})

export const burst = ofBytes(55)
export const burst500 = ofBytes(500)
