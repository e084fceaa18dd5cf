// A process in which streams of every kind of life come and go; its parent says how many, and looks at what is left.

import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { createRandom } from '../support/seed.mjs'
import { deadline } from '../support/wait.mjs'

const LIFE_MS = 60_000
/** Lives that go on at the same time. */
const AT_ONCE = 64
const TRICKLE_MS = 50
/** How a loop may end, beside quietly; on a busy machine a stream's time may be over before it is read. */
const ENDS = ['ERR_FAILED', 'ERR_INTERRUPTED', 'ERR_NOT_FOUND', 'ERR_GAP']

const options = JSON.parse(process.env.ENGINE ?? '{}')
/** Two, so that what one does reaches the other through the store. */
const [here, there] = [createEngine(options), createEngine(options)]
const tell = (/** @type {string} */ type, fields = {}) => process.send?.({ type, ...fields })

/** @param {string} id @param {import('tidemark').SubscribeOptions} [options] */
async function read(id, options) {
  let chunks = 0
  const subscription = here.subscribe(id, options)
  try {
    for await (const _ of subscription) chunks++
  } catch (error) {
    if (!ENDS.includes(/** @type {any} */ (error).code)) throw error
  }
  return chunks
}

/** @param {string} id @param {import('tidemark').ProduceOptions} [options] */
async function begun(id, options) {
  const producer = await here.produce(id, options)
  producer.write(`one of ${id} `)
  await producer.append('two ')
  return producer
}

/** What ends a producer from outside is no failure of this test. @param {Promise<unknown>} operation @param {string[]} codes */
const refused = (operation, ...codes) =>
  operation.then(
    () => Promise.reject(new Error('it was not refused')),
    (error) => (codes.includes(error.code) ? undefined : Promise.reject(error)),
  )

/** @param {import('tidemark').Producer} producer */
const aborted = (producer) =>
  producer.signal.aborted ||
  new Promise((resolve) => producer.signal.addEventListener('abort', resolve, { once: true }))

/** @type {Record<string, (id: string) => Promise<unknown>>} */
const LIVES = {
  async complete(id) {
    const producer = await begun(id)
    const reader = read(id)
    await producer.complete()
    await reader
  },
  async fail(id) {
    const producer = await begun(id)
    const reader = read(id)
    await producer.fail(new Error('as planned'))
    await reader
  },
  async stop(id) {
    const producer = await begun(id)
    await there.stop(id, 'enough')
    await aborted(producer)
    await producer.complete()
  },
  async takeover(id) {
    const first = await begun(id)
    const second = await there.produce(id, { ifActive: 'takeover' })
    await aborted(first)
    await second.append('three')
    await second.complete()
  },
  async 'takeover, noticed by writing'(id) {
    const first = await begun(id)
    const second = await there.produce(id, { ifActive: 'takeover' })
    await refused(first.append('three'), 'ERR_FENCED', 'ERR_INTERRUPTED', 'ERR_ENDED')
    await second.complete()
  },
  async delete(id) {
    const producer = await begun(id)
    await there.delete(id)
    await aborted(producer)
  },
  async 'delete at the end'(id) {
    const producer = await begun(id)
    await producer.complete()
    await there.delete(id)
  },
  async share(id) {
    const [one, two] = [
      await begun(id, { ifActive: 'share' }),
      await there.produce(id, { ifActive: 'share' }),
    ]
    two.write('three')
    await Promise.all([one.complete(), two.complete()])
  },
  async 'never read'(id) {
    await (await begun(id)).complete()
  },
  async 'read by many'(id) {
    const readers = Array.from({ length: 4 }, () => read(id))
    const producer = await begun(id)
    await producer.complete()
    await Promise.all([...readers, read(id, { wait: 0 })])
  },
  async 'readers that leave'(id) {
    const producer = await begun(id)
    const left = here.subscribe(id)
    await left.next()
    const idle = here.subscribe(id)
    const abort = new AbortController()
    const abandoned = read(id, { signal: abort.signal }).catch(() => {})
    await left.return()
    await idle.return()
    abort.abort()
    await abandoned
    await producer.complete()
  },
  async 'nothing there'(id) {
    await refused(here.subscribe(id, { wait: 0 }).next(), 'ERR_NOT_FOUND')
    await here.status(id)
  },
  async groups(id) {
    await (await begun(id)).complete()
    const work = async (/** @type {string} */ consumer) => {
      for await (const item of here.consume(id, { group: 'g', consumer, wait: 0 })) await item.ack()
    }
    await Promise.all([work('a'), work('b')]).catch((error) => {
      if (!ENDS.includes(error.code)) throw error
    })
  },
  async consumers(id) {
    const producer = await begun(id)
    for await (const _ of here.subscribe(id, { consumer: 'reader' })) break
    await producer.complete()
    await read(id, { consumer: 'reader', wait: 0 })
    for (let other = 0; other < 3; other++) await read(id, { consumer: `reader ${other}`, wait: 0 })
  },
  async 'kept stop'(id) {
    await there.stop(id, 'too early', { keep: '1s' })
  },
  async 'kept stop, and a start'(id) {
    // However long a busy machine takes until the start, it is kept for it.
    await there.stop(id, 'too early', { keep: '1m' })
    const producer = await here.produce(id)
    await aborted(producer)
    await producer.complete()
  },
  async 'pipe abandoned'(id) {
    async function* source() {
      for (let count = 0; count < 3; count++) yield `chunk ${count}`
    }
    const reader = here.pipe(id, source()).getReader()
    await reader.read()
    await reader.cancel()
    await read(id, { wait: 0 })
  },
  async 'pipe that breaks'(id) {
    async function* source() {
      yield 'chunk'
      throw new Error('as planned')
    }
    const reader = here.pipe(id, source()).getReader()
    await reader.read()
    await reader.read().catch(() => {})
    await read(id, { wait: 0 })
  },
  async 'events that nobody reads'(id) {
    const producer = await begun(id)
    const response = await here.respond(new Request('http://localhost/'), id)
    await response.body?.cancel()
    await producer.complete()
  },
}

let round = 0

/** Streams of every kind, so many of each, in a random order. @param {number} each */
async function run(each) {
  const random = createRandom(++round)
  const kinds = random.shuffle(Object.keys(LIVES).flatMap((kind) => Array(each).fill(kind)))
  const started = performance.now()
  let next = 0
  const work = async () => {
    while (next < kinds.length) {
      const number = next++
      const kind = kinds[number] ?? ''
      const life = LIVES[kind]?.(`${kind} ${round}-${number}`) ?? Promise.resolve()
      await deadline(life, LIFE_MS, `a life (${kind})`).catch((error) => {
        throw new Error(`${kind}: ${error?.message}`, { cause: error })
      })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return { lives: kinds.length, ms: Math.round(performance.now() - started) }
}

/** What is held just now. */
function sample() {
  for (let times = 0; times < 4; times++) globalThis.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  const { producers, readers, streams, queuedBytes, undelivered } = here.metrics()
  const others = there.metrics()
  /** @type {Record<string, number>} */
  const handles = {}
  for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1
  const busy = producers + readers + streams + queuedBytes + undelivered + others.producers + others.streams
  return { rss, heapUsed, handles, busy }
}

let trickles = false
/** Short streams, one after the other: an application that is never quite idle. */
async function trickle() {
  for (let count = 0; trickles; count++) {
    await LIVES['never read']?.(`trickle ${process.pid}-${count}`)
    await sleep(TRICKLE_MS)
  }
}
/** @type {Promise<void>} */
let trickling = Promise.resolve()

/** @type {Record<string, (message: any) => Promise<object> | object>} */
const ORDERS = {
  run: ({ each }) => run(each),
  sample: () => sample(),
  async trickle({ on }) {
    trickles = on
    await trickling
    trickling = on ? trickle() : Promise.resolve()
    return {}
  },
  /** How many ids the index has. */
  indexed: async () => ({ ids: (await here.cleanup({ dryRun: true, olderThan: 0 })).total }),
  /** Leaves streams behind for its death. */
  async leave({ count }) {
    const ids = Array.from({ length: count }, (_, index) => `left ${process.pid}-${index}`)
    await Promise.all(ids.map((id) => begun(id)))
    return { ids }
  },
  /** Follows streams whose producers have died to their ends. */
  async bury({ ids }) {
    await Promise.all(ids.map((/** @type {string} */ id) => read(id, { wait: 0 }).catch(() => {})))
    return {}
  },
  async close() {
    await Promise.all([here.close(), there.close()])
    process.disconnect()
    return {}
  },
}

process.on('message', async (/** @type {any} */ message) => {
  try {
    const done = await ORDERS[message.type]?.(message)
    if (process.connected) tell(`${message.type} done`, done)
  } catch (error) {
    tell('failed', { message: String(/** @type {any} */ (error)?.stack ?? error) })
  }
})
tell('ready')
