import { BURST_PEERS } from '../burst/run.mjs'
import { subjectsNamed } from '../live/columns.mjs'
import { aReplay, runReplay } from '../replay/run.mjs'

/** @type {Record<string, 'responses' | 'merged'>} */
const WAYS = { tidemark: 'responses', 'tidemark-merged': 'merged' }

/** @type {import('./index.mjs').Scenario} */
export const resumes = {
  ...aReplay,
  title: '100 resumes at once',
  what: '100 readers come at once for one finished stream of 2,000 chunks of 55 bytes. Tidemark answers with server-sent events, which is what a server sends; the peers give objects, and have not written them to anybody yet.',
  subjects: {
    ...subjectsNamed(BURST_PEERS),
    tidemark: 'this package, `engine.respond`, bodies read',
    'tidemark-merged': 'the same as a client of the AI SDK asks for it: deltas are joined',
    'tidemark-objects': 'this package, the iterator',
  },
  peers: BURST_PEERS,
  aims: [
    { what: 'main thread for each chunk', of: ({ mainUs }) => mainUs, atMost: 1 / 4 },
    { what: 'until the last chunk', of: ({ lastMs }) => lastMs, atMost: 1 / 4 },
  ],
  chart: { axis: 'main thread, µs/chunk', of: ({ mainUs }) => mainUs },
  run: ({ subject, isQuick }) =>
    runReplay(subject.replace(/^tidemark-.*/, 'tidemark'), {
      chunks: isQuick ? 500 : 2_000,
      readers: isQuick ? 10 : 100,
      way: WAYS[subject] ?? 'objects',
    }),
}
