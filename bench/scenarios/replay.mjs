import { BURST_PEERS } from '../burst/run.mjs'
import { subjectsNamed } from '../live/columns.mjs'
import { aReplay, runReplay } from '../replay/run.mjs'

/** @type {import('./index.mjs').Scenario} */
export const replay = {
  ...aReplay,
  title: 'Replay of 10,000 chunks',
  what: 'A finished stream of 10,000 chunks of 55 bytes, read as objects by one reader whose process is warm.',
  subjects: subjectsNamed([...BURST_PEERS, 'tidemark']),
  peers: BURST_PEERS,
  aims: [
    { what: 'last chunk', of: ({ lastMs }) => lastMs, atMost: 1 },
    { what: 'first chunk', of: ({ firstMs }) => firstMs, atMost: 1 / 2 },
  ],
  chart: { axis: 'until the last chunk, ms', of: ({ lastMs }) => lastMs },
  run: ({ subject, isQuick }) => runReplay(subject, { chunks: isQuick ? 1_000 : 10_000, readers: 1 }),
}
