// A program whose timers are fakes: everything that Tidemark does goes on all the same.

import assert from 'node:assert/strict'
import { fakeLikeNode, fakeLikeVitest, jestLike } from '../support/fake-timers.mjs'

const { kind, isFakedFirst, url, keyPrefix } = JSON.parse(process.env.WORK ?? '{}')
process.env.TIDEMARK_URL = url
// Whoever waits for a signal's abort has to stay for it.
process.on('message', () => {})

const jest = kind === 'jest' ? jestLike() : undefined
const fake = jest?.fake ?? (kind === 'vitest' ? fakeLikeVitest : fakeLikeNode)
const load = async (/** @type {string} */ name) => {
  const path = `../../dist/${name}.js`
  return jest ? jest.load(path) : import(path)
}

if (isFakedFirst) fake()
const { createEngine } = await load('index')
const { follow } = await load('client')
const chats = await load('message-stream')
const { createResumableStreamContext } = await load('resumable-stream')
const { createResumableStreamContext: createRelay } = await load('resumable-stream/generic')
const { chatRoutes } = await load('next')
if (!isFakedFirst) fake()

/** @param {string} name @param {() => Promise<unknown>} work */
async function step(name, work) {
  process.send?.({ type: 'step', name })
  await work()
}

/** @param {AsyncIterable<any>} chunks */
async function all(chunks) {
  const data = []
  for await (const chunk of chunks) data.push(chunk.data ?? chunk)
  return data
}

/** @type {import('../../index').Engine} */
const engine = createEngine({ url, keyPrefix })

await step('produce and subscribe', async () => {
  const producer = await engine.produce('s')
  const reader = all(engine.subscribe('s'))
  for (let count = 1; count <= 200; count++) {
    producer.write(`${count}`)
    if (count % 20 === 0) await producer.flush()
  }
  assert.match(await producer.append('last'), /\.201$/)
  await producer.complete()
  assert.equal((await reader).length, 201)
})

await step('pipe', async () => {
  const chunks = Array.from({ length: 100 }, (_, index) => `${index} `)
  const source = (async function* () {
    yield* chunks
  })()
  assert.deepEqual(await all(/** @type {any} */ (engine.pipe('pipe', source))), chunks)
})

await step('respond, and a client that has to come back', async () => {
  const producer = await engine.produce('live')
  await producer.append('1')
  let tries = 0
  /** @param {string} at */
  const fetch = async (at) => {
    if (++tries === 1 || tries === 3) return new Response('', { status: 503 })
    const maxDurationMs = tries === 2 ? 50 : undefined
    return engine.respond({ url: at, headers: {} }, 'live', { heartbeatMs: 10, maxDurationMs })
  }
  const acks = { url: 'http://host/acks', intervalMs: 1 }
  const loop = follow('http://host/', { fetch, minRetryMs: 5, ack: acks })
  assert.equal((await loop.next()).value.data, '1')
  const rest = all(loop)
  await producer.append('2')
  await producer.complete()
  assert.deepEqual(await rest, ['2'])
})

await step('stop, groups, lists and clean-up', async () => {
  const producer = await engine.produce('stopped')
  const aborted = new Promise((resolve) => producer.signal.addEventListener('abort', resolve))
  producer.write('a')
  await engine.stop('stopped', 'enough')
  await aborted
  assert.equal(await producer.complete(), 'stopped')
  for await (const item of engine.consume('stopped', { group: 'g', consumer: 'c' })) await item.ack()
  const loop = engine.subscribe('stopped', { consumer: 'c', from: 'start' })
  assert.deepEqual(await all(loop), ['a'])
  let count = 0
  for await (const _ of engine.streams()) count++
  assert.equal(count, 4)
  assert.equal((await engine.cleanup({ olderThan: 0 })).removed, 4)
  await assert.rejects(engine.subscribe('none', { wait: 30 }).next(), { code: 'ERR_NOT_FOUND' })
})

await step('message-stream', async () => {
  const data = /** @type {const} */ ({
    chatId: 'c',
    userContent: 'x',
    type: 'demo',
    intervalMs: 5,
    maxChunks: 4,
  })
  assert.equal(await chats.startMessageChunkStream(data).finished, 'complete')
  assert.equal((await all(chats.subscribeToMessageChunkStream('c'))).length, 7)
  await chats.cleanup()
})

await step('the drop-ins for resumable-stream', async () => {
  const make = () => ReadableStream.from(['hi'])
  const context = createResumableStreamContext({ engine, waitUntil: null, replayAfterDone: true })
  assert.deepEqual(await all(await context.createNewResumableStream('r', make)), ['hi'])
  assert.deepEqual(await all(await context.resumeExistingStream('r')), ['hi'])
  /** @type {Map<string, any>} */
  const values = new Map([['resumable-stream:rs:sentinel:dead', '1']])
  const pubsub = {
    connect: async () => {},
    publish: async () => 0,
    subscribe: async () => {},
    unsubscribe: async () => {},
    set: async (/** @type {string} */ key, /** @type {string} */ value) => values.set(key, value),
    get: async (/** @type {string} */ key) => values.get(key) ?? null,
    incr: async () => 1,
  }
  const relay = createRelay({ publisher: pubsub, subscriber: pubsub, waitUntil: null })
  assert.deepEqual(await all(await relay.createNewResumableStream('r', make)), ['hi'])
  // Nobody answers, which is told after a second.
  await assert.rejects(relay.resumeExistingStream('dead'), /Timeout waiting for ack/)
})

await step('routes of a chat', async () => {
  const { POST } = chatRoutes({
    engine,
    authorize: () => 'me',
    generate: async function* () {
      yield { type: 'start' }
      yield { type: 'finish' }
    },
  })
  const body = JSON.stringify({ id: 'chat', messages: [] })
  const response = await POST(new Request('http://host/', { method: 'POST', body }))
  assert.match(await response.text(), /"finish".*\[DONE\]/s)
})

await step('errors and close', async () => {
  await engine.produce('twice')
  await assert.rejects(engine.produce('twice'), { code: 'ERR_ACTIVE' })
  await engine.close()
  await assert.rejects(engine.produce('twice'), { code: 'ERR_CLOSED' })
})
process.send?.({ type: 'done' })
process.disconnect?.()
