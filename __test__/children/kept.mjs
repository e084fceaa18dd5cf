// A process with many streams at work, of which some readers keep what they get: what does that cost? Needs --expose-gc.

import { setTimeout as sleep } from 'node:timers/promises'
import { follow } from '../../dist/client.mjs'
import { createEngine } from '../../dist/index.mjs'
import * as chats from '../../dist/message-stream.mjs'
import { createResumableStreamContext } from '../../dist/resumable-stream.mjs'
import { until } from '../support/wait.mjs'

const { url, keyPrefix } = JSON.parse(process.env.WORK ?? '{}')
process.env.TIDEMARK_URL = url

/** Streams at work, those of them whose readers keep what they get, and a chunk's length. */
const STREAMS = 200
const KEEPERS = 10
const LENGTH = 400
/** Few at first, for what is made at first use and stays: code and all. */
let rounds = 2
/** What a client is given at once. */
const READ = 64 * 1024

/** @typedef {import('../../index').Engine} Engine */
/** @typedef {{ data: string | Uint8Array, cursor: string }} Chunk */

let texts = 0
const unique = () => `${++texts} `.padEnd(LENGTH, `${texts} is kept or not. `)
const uniqueBytes = () => new TextEncoder().encode(unique())

/**
 * Writes a chunk to each of many streams at a time, so that all of them come in few drains. `read` is given every
 * stream's subscription and reads it.
 * @param {Engine} engine
 * @param {object} how
 * @param {(engine: Engine, streamId: string, index: number) => unknown} how.read
 * @param {() => string | Uint8Array} [how.make]
 * @param {() => unknown} [how.caughtUp] awaited after each round
 */
async function crowd(engine, { read, make = unique, caughtUp }) {
  const name = `crowd ${++texts}`
  const ids = Array.from({ length: STREAMS }, (_, index) => `${name} ${index}`)
  const producers = await Promise.all(ids.map((id) => engine.produce(id)))
  ids.map((id, index) => read(engine, id, index))
  for (let round = 0; round < rounds; round++) {
    for (const producer of producers) producer.write(make())
    await Promise.all(producers.map((producer) => producer.flush()))
    await caughtUp?.()
  }
  await Promise.all(producers.map((producer) => producer.complete()))
}

/** Of readers that are there when a chunk comes. @param {Engine} engine @param {() => string | Uint8Array} [make] */
async function waiting(engine, make) {
  /** @type {unknown[]} */
  const kept = []
  let seen = 0
  let expected = 0
  await crowd(engine, {
    make,
    async read(engine, id, index) {
      for await (const { data } of engine.subscribe(id)) {
        seen++
        if (index < KEEPERS) kept.push(data)
      }
    },
    caughtUp: async () => {
      expected += STREAMS
      await until(() => seen === expected)
    },
  })
  return { kept, bytes: kept.length * LENGTH }
}

/** Of readers that find much at once, and keep little of it. @param {Engine} engine @param {() => string | Uint8Array} [make] */
async function late(engine, make) {
  /** @type {unknown[]} */
  const kept = []
  /** @type {import('../../index').Subscription[]} */
  const subscriptions = []
  await crowd(engine, { make, read: (engine, id) => subscriptions.push(engine.subscribe(id)) })
  for (const subscription of subscriptions) {
    for await (const { seq, data } of subscription) if (seq % 10 === 0) kept.push(data)
  }
  return { kept, bytes: kept.length * LENGTH }
}

/** What waits to be read: one chunk of each round. @param {Engine} engine */
async function unread(engine) {
  /** @type {unknown[]} */
  const kept = []
  let round = 0
  let seen = 0
  await crowd(engine, {
    async read(engine, id, index) {
      const subscription = engine.subscribe(id)
      for (let count = 0; count < rounds; count++) {
        if (index === count) break
        await subscription.next()
        seen++
      }
      // Nobody reads the rest.
      if (index < rounds) kept.push(subscription)
    },
    async caughtUp() {
      round++
      const readers = (/** @type {number} */ count) => STREAMS - Math.min(count, rounds)
      const expected = Array.from({ length: round }, (_, at) => readers(at + 1)).reduce((a, b) => a + b)
      await until(() => seen === expected)
    },
  })
  // Each has what came after its last read.
  return { kept, bytes: ((rounds * (rounds + 1)) / 2) * LENGTH }
}

/** Of the first chunks of streams that are read at the same time. @param {Engine} engine */
async function cursors(engine) {
  const ids = Array.from({ length: STREAMS }, () => `short ${++texts}`)
  for (const id of ids) {
    const producer = await engine.produce(id)
    for (let count = 0; count < 20; count++) producer.write(unique())
    await producer.complete()
  }
  const subscriptions = ids.map((id) => engine.subscribe(id))
  /** @type {string[]} */
  const kept = []
  for (const subscription of subscriptions) {
    const { value } = await subscription.next()
    kept.push(/** @type {Chunk} */ (value).cursor)
    await subscription.return()
  }
  return { kept, bytes: kept.length * 40 }
}

/** Pieces of responses. @param {Engine} engine */
async function responses(engine) {
  /** @type {unknown[]} */
  const kept = []
  let open = 0
  await crowd(engine, {
    async read(engine, id, index) {
      const { body } = await engine.respond({ headers: {} }, id)
      open++
      for await (const piece of /** @type {any} */ (body)) if (index < KEEPERS) kept.push(piece)
    },
  })
  await until(() => open === STREAMS)
  return { kept, bytes: KEEPERS * rounds * LENGTH }
}

/** What a group's consumer gets, with all there is to it. @param {Engine} engine */
async function items(engine) {
  const id = `shared ${++texts}`
  const producer = await engine.produce(id)
  for (let count = 0; count < 600; count++) producer.write(unique())
  await producer.complete()
  /** @type {unknown[]} */
  const kept = []
  for await (const item of engine.consume(id, { group: 'g', consumer: 'c', batch: 100 })) {
    if (item.seq % 20 === 0) kept.push({ data: item.data, cursor: item.cursor })
    await item.ack()
  }
  return { kept, bytes: kept.length * LENGTH }
}

/** Events of chats: few of those that come at once. */
async function events() {
  const chatId = `chat ${++texts}`
  const pieces = Array.from({ length: 600 }, unique)
  const source = async function* () {
    yield* pieces.splice(0)
  }
  const data = /** @type {const} */ ({ chatId, userContent: '', type: 'ai', intervalMs: 0 })
  await chats.startMessageChunkStream(data, { source }).finished
  /** @type {unknown[]} */
  const kept = []
  let count = 0
  for await (const event of chats.subscribeToMessageChunkStream(chatId)) {
    if (event.type === 'aiMessageChunk' && ++count % 20 === 0) kept.push(event)
  }
  return { kept, bytes: kept.length * LENGTH }
}

/** What is left of long chunks whose readers have most of them already. @param {Engine} engine */
async function rests(engine) {
  const context = createResumableStreamContext({ engine, waitUntil: null })
  const id = `resumed ${++texts}`
  const long = unique().padEnd(200_000, 'long ')
  const stream = await context.createNewResumableStream(
    id,
    () => new ReadableStream({ start: (controller) => controller.enqueue(long) }),
  )
  await stream?.getReader().read()
  /** @type {unknown[]} */
  const kept = []
  for (let reader = 0; reader < 50; reader++) {
    const resumed = await context.resumeExistingStream(id, long.length - LENGTH)
    const text = await resumed?.getReader().read()
    kept.push(text?.value)
  }
  await context.stop(id)
  return { kept, bytes: kept.length * LENGTH }
}

/** What a client keeps of a long response. */
async function followed() {
  const ulid = '01J00000000000000000000000'
  const chunks = Array.from({ length: 6_000 }, (_, at) => `id: ${ulid}.${at + 1}\ndata: ${unique()}\n\n`)
  chunks.push('event: end\ndata: {"outcome":"complete"}\n\n')
  const headers = { 'content-type': 'text/event-stream' }
  const body = Buffer.from(chunks.join(''))
  const pieces = new ReadableStream({
    pull(controller) {
      controller.enqueue(body.subarray(at, at + READ))
      at += READ
      if (at >= body.length) controller.close()
    },
  })
  let at = 0
  const respond = async () => new Response(pieces, { headers })
  /** @type {unknown[]} */
  const kept = []
  for await (const { seq, data, cursor } of follow('http://host/', { fetch: respond })) {
    if (seq % 40 === 0) kept.push({ data, cursor })
  }
  return { kept, bytes: kept.length * LENGTH }
}

/** @type {Record<string, (engine: Engine) => Promise<{ kept: unknown[], bytes: number }>>} */
const works = {
  waiting: (engine) => waiting(engine),
  'waiting for bytes': (engine) => waiting(engine, uniqueBytes),
  late: (engine) => late(engine),
  'late, for bytes': (engine) => late(engine, uniqueBytes),
  unread,
  cursors,
  responses,
  items,
  events,
  rests,
  followed,
}

/** The JavaScript heap and what it holds outside, at rest: when it no longer shrinks. */
async function held() {
  let least = Number.POSITIVE_INFINITY
  for (let calm = 0; calm < 4; calm++) {
    await sleep(5)
    // V8 keeps the text that a regular expression has matched last, whoever asked.
    ;/./.test('.')
    global.gc?.()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    if (heapUsed + arrayBuffers < 0.99 * least) calm = 0
    least = Math.min(least, heapUsed + arrayBuffers)
  }
  return least
}

/** What is kept must cost no more than this, and no less may be told from the noise of a heap. @param {number} bytes */
const limit = (bytes) => 3 * bytes + 300_000

/** @param {(engine: Engine) => Promise<{ kept: unknown[], bytes: number }>} work @param {number} before */
async function measure(work, before) {
  const { kept, bytes } = await work(engine)
  const end = performance.now() + 5_000
  // The work itself may take a moment to be over.
  let grown = (await held()) - before
  while (grown > limit(bytes) && performance.now() < end) grown = (await held()) - before
  return { count: kept.length, bytes, grown, limit: limit(bytes) }
}

const engine = createEngine({ url, keyPrefix })
for (const work of Object.values(works)) await work(engine)
rounds = 20
for (const [name, work] of Object.entries(works)) {
  process.send?.({ type: 'kept', name, ...(await measure(work, await held())) })
}
await chats.cleanup()
await engine.close()
process.send?.({ type: 'done' })
