// The server's process: a response for each stream, over node:http to another process or as a web response whose body is read here.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { createEngine } from 'tidemark'
import { Cpu } from '../lib/measure.mjs'
import { answerWords, task } from '../lib/worker.mjs'
import { Ceiling, readersOf } from './ceiling.mjs'

const given = task()
const { url, way } = given
const ceiling = way.endsWith('ceiling') ? new Ceiling() : undefined
const engine = createEngine({ url })
const encoder = new TextEncoder()

/** An event, framed by hand, as with nothing but the iterator. @param {import('tidemark').Chunk} chunk */
const eventOf = (chunk) => `id: ${chunk.cursor}\ndata: ${chunk.text()}\n\n`

/** @param {string} id */
function webByHand(id) {
  const chunks = engine.subscribe(id)
  const body = new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(eventOf(value)))
    },
    async cancel() {
      await chunks.return()
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

/** @param {import('node:http').ServerResponse} response @param {string} id */
async function nodeByHand(response, id) {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for await (const chunk of engine.subscribe(id)) {
    if (!response.write(eventOf(chunk))) await once(response, 'drain')
  }
  response.end()
}

/** @type {Record<string, (id: string) => Response | Promise<Response>>} */
const web = {
  'web-by-hand': webByHand,
  'tidemark-web': (id) => engine.respond(new Request('http://localhost/'), id),
  ...(ceiling && { 'web-ceiling': () => ceiling.web() }),
}

/** Bytes of the bodies that are read here. */
let read = 0
/** @type {Set<import('node:net').Socket>} */
const sockets = new Set()
/** What has been written; a client may not have read it yet. */
const bytes = () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, read)

/** @param {(id: string) => Response | Promise<Response>} respond */
const readAll = (respond) =>
  Promise.all(
    readersOf(given).map(async (id) => {
      const { body } = await respond(id)
      for await (const piece of /** @type {AsyncIterable<Uint8Array>} */ (/** @type {unknown} */ (body)))
        read += piece.byteLength
    }),
  )

const respond = web[way]
const server = createServer((request, response) => {
  const id = String(request.url?.slice(1))
  if (way === 'node-by-hand') return nodeByHand(response, id)
  if (ceiling) return ceiling.node(response)
  return engine.send(request, response, id)
})

server.on('connection', (socket) => sockets.add(socket))

/** @type {Promise<unknown> | undefined} */
let all
/** @type {Cpu} */
let cpu
answerWords({
  begin() {
    if (respond) all = readAll(respond)
    ceiling?.run(given)
    return 'reading'
  },
  measure() {
    cpu = new Cpu()
    return { bytes: bytes(), written: ceiling?.written }
  },
  freeze() {
    const used = { ...cpu.used(), bytes: bytes(), written: ceiling?.written }
    ceiling?.end()
    return used
  },
  async finish() {
    await all
    return { bytes: bytes() }
  },
})
server.listen(0, '127.0.0.1', () =>
  process.send?.({ port: /** @type {import('node:net').AddressInfo} */ (server.address()).port }),
)
