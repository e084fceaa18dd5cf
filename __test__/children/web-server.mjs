// A server that hands its web streams to clients who vanish, as applications do it by hand: nothing here catches anything.

import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { createEngine } from '../../dist/index.mjs'
import { chatRoutes, consumeSseStream, resumeResponse } from '../../dist/next.mjs'
import { createResumableStreamContext as relayed } from '../../dist/resumable-stream/generic.mjs'
import { createResumableStreamContext } from '../../dist/resumable-stream.mjs'
import { LocalPubSub } from '../support/resumable.mjs'

const engine = createEngine({ url: 'memory:' })
const away = createEngine({ url: 'redis://127.0.0.1:1', connectTimeout: 10 })
const pubsub = new LocalPubSub()
const durable = createResumableStreamContext({ waitUntil: null, engine })
const generic = relayed({ waitUntil: null, publisher: pubsub, subscriber: pubsub })
/** Ends the answers, as their models would. @type {((error?: Error) => void)[]} */
const endings = []
let count = 0

/** An answer that goes on until it is told to end. @param {(text: string) => unknown} [make] */
function answer(make = (text) => text) {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(make('first'))
      endings.push((error) => (error ? controller.error(error) : controller.close()))
    },
  })
}

const chunk = (/** @type {string} */ data) => ({ type: 'data-x', data })
const event = (/** @type {string} */ data) => `data: ${JSON.stringify(chunk(data))}\n\n`
const onError = () => 'sorry'
const routes = chatRoutes({ engine, authorize: () => 'ann', generate: () => answer(chunk), onError })
const post = () => new Request('http://localhost/', { method: 'POST', body: '{}' })

/** Each gives a body that has begun. @type {Record<string, (id: string) => any>} */
const bodies = {
  async respond(id) {
    await engine.pipe(id, answer(), { onError }).cancel()
    return (await engine.respond(new Request('http://localhost/'), id)).body
  },
  async toSSE(id) {
    await engine.pipe(id, answer(), { onError }).cancel()
    return engine.subscribe(id).toSSE()
  },
  pipe: (id) => engine.pipe(id, answer(), { onError }),
  'pipe away': (id) => away.pipe(id, answer(), { onError }),
  post: async (id) => (await routes.POST(post(), { params: { id } })).body,
  async resume(id) {
    await (await routes.POST(post(), { params: { id } })).body?.cancel()
    return (await resumeResponse(engine, new Request('http://localhost/'), id, { owner: 'ann' })).body
  },
  async consume(id) {
    const [client, kept] = answer(event).tee()
    const controller = new AbortController()
    consumeSseStream(engine, id, { owner: 'ann', controller, onError })({ stream: kept })
    return client
  },
  durable: (id) => durable.createNewResumableStream(id, () => answer()),
  async 'durable resumed'(id) {
    await (await durable.createNewResumableStream(id, () => answer()))?.cancel()
    return durable.resumeExistingStream(id)
  },
  relayed: (id) => generic.createNewResumableStream(id, () => answer()),
  async 'relayed resumed'(id) {
    await (await generic.createNewResumableStream(id, () => answer()))?.cancel()
    return generic.resumeExistingStream(id)
  },
}

/** How bodies are sent. @type {Record<string, (body: ReadableStream, res: import('node:http').ServerResponse) => unknown>} */
const ways = {
  async reader(body, res) {
    const reader = body.getReader()
    res.on('close', () => {
      reader.cancel()
    })
    for (let result = await reader.read(); !result.done; result = await reader.read()) res.write(result.value)
    res.end()
  },
  // As Next.js does, which takes anything but an AbortError for a failure.
  async pipeTo(body, res) {
    const controller = new AbortController()
    res.on('close', () => controller.abort())
    const sink = new WritableStream({
      write: (value) => void res.write(value),
      close: () => void res.end(),
    })
    await body.pipeTo(sink, { signal: controller.signal }).catch((error) => {
      if (error.name !== 'AbortError') throw error
    })
  },
  fromWeb(body, res) {
    const readable = Readable.fromWeb(/** @type {any} */ (body))
    res.on('close', () => readable.destroy())
    readable.pipe(res)
  },
}

const server = createServer(async (req, res) => {
  const [, kind = '', way = ''] = decodeURIComponent(req.url ?? '').split('/')
  const body = await bodies[kind]?.(`${kind} ${count++}`)
  res.on('close', () => process.send?.({ type: 'closed' }))
  res.writeHead(200)
  await ways[way]?.(body, res)
})

process.on('message', async (/** @type {{ type: string, fails?: boolean }} */ { type, fails }) => {
  if (type === 'end') {
    for (const end of endings.splice(0)) end(fails ? new Error('the model has failed') : undefined)
    setImmediate(() => process.send?.({ type: 'ended' }))
  } else if (type === 'close') {
    await engine.close()
    await away.close()
    server.close()
    process.disconnect()
  }
})

server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  process.send?.({ type: 'listening', port, kinds: Object.keys(bodies), ways: Object.keys(ways) })
})
