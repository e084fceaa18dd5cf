import { timed } from '../live/columns.mjs'
import { together } from '../live/load.mjs'
import { runResponses } from '../sse/run.mjs'

/** @type {import('../lib/aims.mjs').Of} */
const mainUs = ({ mainUs }) => mainUs

/** @type {import('./index.mjs').Scenario} */
export const sse = {
  title: 'Server-sent events, live',
  what: 'As `live`, but what reads are responses: over node:http, to 200 connections of another process, and as web responses, whose bodies are read and thrown away in place. By hand is what one writes who has the iterator alone: a template and a write for each chunk.',
  subjects: {
    'node-by-hand': 'node:http, `response.write` for each chunk of the iterator',
    'web-by-hand': 'a `Response` of a `ReadableStream` that pulls from the iterator',
    'node-ceiling': 'the same writes of a ready text, at the same pace, and nothing else: what Node.js takes',
    'web-ceiling': 'the same pieces of ready bytes, enqueued and read',
    'tidemark-node': '`engine.send`',
    'tidemark-web': '`engine.respond`',
  },
  peers: ['node-by-hand', 'web-by-hand'],
  columns: [
    { head: 'main thread, µs/chunk', digits: 2, of: mainUs },
    { head: 'process, µs/chunk', digits: 2, of: ({ processUs }) => processUs },
    { head: 'bytes/chunk', digits: 0, of: ({ bytesPerChunk }) => bytesPerChunk },
  ],
  aims: [
    {
      what: 'node:http, main thread for each chunk',
      of: mainUs,
      ours: 'tidemark-node',
      peers: ['node-by-hand'],
      atMost: 1 / 2,
    },
    {
      what: 'web response, main thread for each chunk',
      of: mainUs,
      ours: 'tidemark-web',
      peers: ['web-by-hand'],
      atMost: 2 / 3,
    },
  ],
  checks: [
    { what: 'responses are as long as their events', holds: ({ bytesPerChunk }) => bytesPerChunk > 100 },
  ],
  chart: { axis: 'main thread, µs/chunk', of: mainUs },
  run: (what) => runResponses(what.subject, timed(together, what)),
}
