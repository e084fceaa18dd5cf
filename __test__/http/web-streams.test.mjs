// Every web stream that is handed out, left in every way: nobody else's error reaches who leaves, nor the process.

import assert from 'node:assert/strict'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { durableStreams } from 'tidemark/durable-streams'
import { inspector } from 'tidemark/inspector'
import { chatRoutes, consumeSseStream } from 'tidemark/next'
import { createResumableStreamContext } from 'tidemark/resumable-stream'
import { createResumableStreamContext as relayedContext } from 'tidemark/resumable-stream/generic'
import { startChild } from '../support/child.mjs'
import { freePort } from '../support/free-port.mjs'
import { HandSource, LocalPubSub } from '../support/resumable.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** @type {unknown[]} */
const rejections = []
process.on('unhandledRejection', (reason) => rejections.push(reason))

/** Whatever is to be reported has been reported. */
async function quiet() {
  for (let turns = 0; turns < 3; turns++) await turn()
  assert.deepEqual(rejections.splice(0), [], 'a rejection was left to nobody')
}

const FAILURE = new Error('the model has failed')
const MINE = new Error('the caller has had enough')
const onError = () => 'sorry'
const chunk = (/** @type {string} */ data) => ({ type: 'data-x', data })
const get = (/** @type {AbortSignal} */ signal) => new Request('http://localhost/', { signal })
const post = () => new Request('http://localhost/', { method: 'POST', body: '{}' })
const textOf = (/** @type {any} */ value) =>
  typeof value === 'string' ? value : value instanceof Uint8Array ? Buffer.from(value).toString() : value.data

/**
 * A stream that has brought, or will bring, `first`, and nothing more until it is told to.
 * @typedef {{ stream: ReadableStream<any>, source: HandSource, signal?: AbortController }} Live
 */

/**
 * How a stream is left; they settle with what the caller is told. `isRead`: whether a read is waiting when that happens.
 * @type {Record<string, (stream: ReadableStream<any>, isRead: boolean, live: Live) => Promise<void>>}
 */
const WAYS = {
  async 'reader.cancel()'(stream, isRead) {
    const { reader, pending } = await begun(stream, isRead)
    assert.equal(await reader.cancel(), undefined)
    if (pending) assert.deepEqual(await pending, { done: true, value: undefined })
    await reader.closed
  },
  async 'reader.cancel(reason), twice'(stream, isRead) {
    const { reader } = await begun(stream, isRead)
    await Promise.all([reader.cancel(MINE), reader.cancel(MINE)])
  },
  async 'cancel() before a read, or in its first'(stream, isRead) {
    const reader = stream.getReader()
    const pending = isRead ? reader.read() : undefined
    await reader.cancel()
    await pending
  },
  async 'cancel() after the lock is released'(stream, isRead) {
    const { reader, pending } = await begun(stream, isRead)
    const released = pending && assert.rejects(pending, TypeError)
    reader.releaseLock()
    await released
    await stream.cancel(MINE)
  },
  async 'pipeTo, its signal aborted'(stream) {
    const [controller, sink] = [new AbortController(), new Sink()]
    const piped = stream.pipeTo(sink.stream, { signal: controller.signal })
    await sink.seen
    controller.abort(MINE)
    await assert.rejects(piped, (error) => error === MINE)
  },
  async 'pipeTo, its sink broken'(stream, isRead) {
    const sink = new Sink(isRead ? undefined : MINE)
    const piped = stream.pipeTo(sink.stream)
    const told = assert.rejects(piped, (error) => error === MINE)
    if (isRead) {
      await sink.seen
      sink.controller?.error(MINE)
    }
    await told
  },
  async 'pipeThrough, then cancel()'(stream, isRead) {
    const { reader, pending } = await begun(stream.pipeThrough(new TransformStream()), isRead)
    await reader.cancel()
    await pending
  },
  async 'tee, both left'(stream, isRead) {
    const branches = stream.tee()
    const readers = await Promise.all(branches.map((branch) => begun(branch, isRead)))
    await Promise.all(readers.map(({ reader }) => reader.cancel(MINE)))
    await Promise.all(readers.map(({ pending }) => pending))
  },
  async 'Readable.fromWeb, destroyed'(stream, isRead) {
    const readable = Readable.fromWeb(/** @type {any} */ (stream))
    const closed = new Promise((resolve) => readable.once('close', resolve))
    if (isRead) await new Promise((resolve) => readable.once('data', resolve))
    readable.destroy()
    await closed
  },
  async 'Readable.fromWeb, destroyed with an error'(stream, isRead) {
    const readable = Readable.fromWeb(/** @type {any} */ (stream))
    const failed = new Promise((resolve) => readable.once('error', resolve))
    if (isRead) await new Promise((resolve) => readable.once('data', resolve))
    readable.destroy(MINE)
    assert.equal(await failed, MINE)
  },
  async 'for await, left'(stream) {
    for await (const value of stream) if (textOf(value).includes('first')) break
  },
  async 'a signal, and then cancel()'(stream, isRead, { signal }) {
    const { reader, pending } = await begun(stream, isRead)
    signal?.abort(MINE)
    await reader.cancel()
    await pending
  },
  async 'cancel(), and then a signal'(stream, isRead, { signal }) {
    const { reader, pending } = await begun(stream, isRead)
    const cancelled = reader.cancel()
    signal?.abort(MINE)
    await cancelled
    await pending
  },
}

/** Reads up to `first`, and perhaps on. @param {ReadableStream<any>} stream @param {boolean} isRead */
async function begun(stream, isRead) {
  const reader = stream.getReader()
  let text = ''
  while (!text.includes('first')) {
    const { done, value } = await deadline(reader.read(), 20_000, 'the first chunk')
    assert.equal(done, false)
    text += textOf(value)
  }
  return { reader, pending: isRead ? reader.read() : undefined }
}

/** Takes what it is given, or fails at once. */
class Sink {
  /** @type {WritableStreamDefaultController | undefined} */
  controller
  /** @type {(value?: unknown) => void} */
  #see = () => {}
  seen = new Promise((resolve) => {
    this.#see = resolve
  })
  stream

  /** @param {Error} [failure] */
  constructor(failure) {
    this.stream = new WritableStream({
      start: (controller) => {
        this.controller = controller
      },
      write: (value) => {
        if (failure) throw failure
        if (textOf(value).includes('first')) this.#see()
      },
    })
  }
}

/** What becomes of the answer when its client has left. @type {Record<string, (source: HandSource) => void>} */
const ENDS = {
  'goes on': () => {},
  'is completed': (source) => source.close(),
  fails: (source) => source.fail(FAILURE),
}

/**
 * Tries every way of leaving the streams that `make` makes.
 * @param {string} name
 * @param {(id: string, source: HandSource, signal: AbortController) => Promise<ReadableStream<any> | null | undefined>} make
 * @param {(text: string) => unknown} [wrap] makes a chunk of the source
 */
function leave(name, make, wrap = (text) => text) {
  let count = 0
  const open = async () => {
    const source = new HandSource().write(wrap('first'))
    const signal = new AbortController()
    const stream = await make(`${name} ${count++}`, source, signal)
    if (!stream) throw new Error('no stream')
    return { stream, source, signal }
  }

  test(`G7 ${name}: who leaves is told nothing, and nobody else is`, async () => {
    for (const [way, go] of Object.entries(WAYS)) {
      for (const isRead of [false, true]) {
        for (const [end, finish] of Object.entries(ENDS)) {
          const what = `${way}, ${isRead ? 'a read is waiting' : 'nobody reads'}, the answer ${end}`
          const live = await open()
          try {
            await deadline(go(live.stream, isRead, live), 20_000, what)
            finish(live.source)
            await quiet()
          } catch (cause) {
            throw new Error(what, { cause })
          }
        }
      }
    }
  })

  test(`G7 ${name}: an answer that ended unread is left as quietly`, async () => {
    for (const finish of [ENDS['is completed'], ENDS.fails]) {
      const { stream, source } = await open()
      finish?.(source)
      await quiet()
      assert.equal(await stream.cancel(), undefined)
      await quiet()
    }
  })
}

eachStore('web streams', (store) => {
  const open = useEngines(store)
  /** @type {import('tidemark').Engine} */
  let engine
  before(() => {
    engine = open()
  })
  after(() => quiet())

  const begin = (/** @type {string} */ id, /** @type {HandSource} */ source) =>
    engine.pipe(id, source.make, { onError }).cancel()

  leave('engine.respond', async (id, source, { signal }) => {
    await begin(id, source)
    return (await engine.respond(get(signal), id)).body
  })

  leave('subscription.toSSE', async (id, source, { signal }) => {
    await begin(id, source)
    return engine.subscribe(id, { signal }).toSSE()
  })

  leave('engine.pipe', async (id, source) => engine.pipe(id, source.make, { onError }))

  const routes = (/** @type {HandSource} */ source) =>
    chatRoutes({ engine, authorize: () => 'ann', generate: () => source.make(), onError })

  leave(
    'POST of chatRoutes',
    async (id, source) => (await routes(source).POST(post(), { params: { id } })).body,
    chunk,
  )

  leave('live reading of Durable Streams', async (id, _, { signal }) => {
    await engine.log(id, { contentType: 'text/plain' }).append(['first'])
    const url = `http://localhost/v1/stream/${encodeURIComponent(id)}?offset=-1&live=sse`
    return (await durableStreams({ engine, authorize: () => true })(new Request(url, { signal }))).body
  })

  leave('what the inspector plays', async (id, source, { signal }) => {
    await begin(id, source)
    await until(() => engine.status(id))
    const url = `http://localhost/api/play?id=${encodeURIComponent(id)}`
    const inspect = inspector({ engine, authorize: () => true, showData: true })
    return (await inspect(new Request(url, { signal }))).body
  })

  // The announcement has the chat's name.
  leave('GET ?watch, at first', async (id, source, { signal }) => {
    const request = new Request('http://localhost/?watch', { signal })
    return (await routes(source).GET(request, { params: { id } })).body
  })

  leave(
    'GET of chatRoutes',
    async (id, source, { signal }) => {
      const { POST, GET } = routes(source)
      await (await POST(post(), { params: { id } })).body?.cancel()
      return (await GET(get(signal), { params: { id } })).body
    },
    chunk,
  )

  test('G7 consumeSseStream tells onError alone, whatever becomes of its half of the stream', async (t) => {
    t.mock.method(console, 'error', () => {})
    const event = `data: ${JSON.stringify(chunk('first'))}\n\n`
    const refused = open()
    await refused.produce('taken', { owner: 'bob' })
    for (const streamId of ['free', 'taken']) {
      for (const finish of Object.values(ENDS)) {
        for (const onError of [() => {}, assert.fail, async () => assert.fail()]) {
          const source = new HandSource().write(event)
          const [client, kept] = source.make().tee()
          const options = { owner: 'ann', controller: new AbortController(), ifActive: 'takeover', onError }
          const consumed = consumeSseStream(engine, streamId, /** @type {any} */ (options))({ stream: kept })
          const { reader } = await begun(client, false)
          reader.cancel()
          finish(source)
          if (streamId === 'taken' || finish !== ENDS['goes on']) {
            assert.equal(await deadline(consumed, 20_000, 'it settles'), undefined)
          }
          await quiet()
        }
      }
    }
  })

  const context = () => createResumableStreamContext({ waitUntil: null, engine })

  leave('resumable-stream', (id, source) => context().createNewResumableStream(id, source.make))

  leave('resumable-stream, resumed', async (id, source) => {
    await (await context().createNewResumableStream(id, source.make))?.cancel()
    return context().resumeExistingStream(id)
  })

  test('G7 the chunks that onFinish is given can be left', async () => {
    /** @type {ReadableStream<any>[]} */
    const told = []
    const finished = open({ keyPrefix: store.prefix() })
    const { POST } = chatRoutes({
      engine: finished,
      authorize: () => 'ann',
      generate: () => ReadableStream.from([chunk('first'), chunk('second')]),
      onFinish: ({ chunks }) => void told.push(chunks(), chunks()),
    })
    await (await POST(post(), { params: { id: 'finished' } })).text()
    const [one, other] = await until(() => told.length === 2 && told)
    const { reader, pending } = await begun(/** @type {any} */ (one), true)
    await reader.cancel()
    await pending
    await other?.cancel()
    await quiet()
  })
})

describe('web streams without a store', () => {
  /** @type {import('tidemark').Engine} */
  let away
  const pubsub = new LocalPubSub()
  before(async () => {
    away = createEngine({ url: `redis://127.0.0.1:${await freePort()}`, connectTimeout: 10 })
  })
  after(() => away.close())

  leave('engine.pipe', async (id, source) => away.pipe(id, source.make, { onError }))

  const context = () => relayedContext({ waitUntil: null, publisher: pubsub, subscriber: pubsub })

  leave('relayed', (id, source) => context().createNewResumableStream(id, source.make))

  leave('relayed, resumed', async (id, source) => {
    await (await context().createNewResumableStream(id, source.make))?.cancel()
    return context().resumeExistingStream(id)
  })

  test('a request of the relay that is slower than its answer may be', async () => {
    const slow = new LocalPubSub()
    await slow.set('resumable-stream:rs:sentinel:s', '1')
    /** @type {(value?: unknown) => void} */
    let goOn = () => {}
    const published = new Promise((resolve) => {
      goOn = resolve
    })
    const publisher = { ...slow, publish: () => published }
    const resuming = relayedContext({ waitUntil: null, publisher, subscriber: slow }).resumeExistingStream(
      's',
    )
    const told = assert.rejects(resuming, /Timeout waiting for ack/)
    await until(() => slow.listeners.size === 1, { message: 'it listens' })
    await until(() => slow.listeners.size === 0, { message: 'it is given up' })
    await quiet()
    goOn()
    await told
  })
})

test('G7 clients that vanish do not end a server', async () => {
  const child = startChild(new URL('../children/web-server.mjs', import.meta.url))
  const { port, kinds, ways } = await child.next('listening')
  for (const fails of [false, true]) {
    for (const kind of kinds) {
      for (const way of ways) {
        const path = encodeURI(`/${kind}/${way}`)
        await new Promise((resolve, reject) => {
          const asked = request({ port, path, agent: false }, (response) => {
            response.once('data', () => asked.destroy())
            response.on('error', () => {})
            response.once('close', resolve)
          })
          asked.on('error', (cause) => reject(new Error(`${path}\n${child.output}`, { cause })))
          asked.end()
        })
        await child.next('closed')
      }
    }
    child.send({ type: 'end', fails })
    await child.next('ended')
  }
  child.send({ type: 'close' })
  assert.deepEqual(await child.exit(), { code: 0, signal: null }, child.output)
  assert.equal(child.output, '')
})
