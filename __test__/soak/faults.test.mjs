// All faults in a random mix, for TIDEMARK_SOAK_MINUTES (10 by default), over streams that come and go.
//
// Left out is what takes data of streams that have ended: nobody can put those back (see fault-restart and fault-data).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openEngine, openProxy, openRedis, openRemote, replay } from '../support/fault-scene.mjs'
import { histories, startReaders, Writing } from '../support/fault-work.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { deadline } from '../support/wait.mjs'

const MINUTES = Number(process.env.TIDEMARK_SOAK_MINUTES ?? 10)
const AT_ONCE = 20
/** Longer than any chain of faults keeps a producer away. */
const LEASE = '60s'
const PATIENCE_MS = 40_000

/**
 * @typedef {import('../support/seed.mjs').Random} Random
 * @typedef {import('../support/redis-server.mjs').RedisServer} RedisServer
 * @typedef {import('../support/proxy.mjs').FaultProxy} FaultProxy
 */

/** Each breaks something, and has mended it when it returns. @type {Record<string, (x: { redis: RedisServer, proxy: FaultProxy, random: Random }) => Promise<unknown>>} */
const FAULTS = {
  killCommands: ({ redis }) => redis.admin.cmd('CLIENT', 'KILL', 'TYPE', 'normal'),
  killSubscribers: ({ redis }) => redis.admin.cmd('CLIENT', 'KILL', 'TYPE', 'pubsub'),
  cut: async ({ proxy }) => proxy.cut(),
  async delay({ proxy, random }) {
    for (let count = random.int(5, 30); count > 0; count--) {
      proxy.delay(random.int(0, 50))
      await sleep(random.int(10, 60))
      if (random.chance(0.1)) proxy.cut()
    }
    proxy.delay(0)
  },
  async blackhole({ proxy, random }) {
    proxy.blackhole(true)
    await sleep(random.int(500, 5_000))
    proxy.blackhole(false)
  },
  async refuse({ proxy, random }) {
    await proxy.refuse(true)
    proxy.cut()
    await sleep(random.int(100, 3_000))
    await proxy.refuse(false)
  },
  async freeze({ redis, random }) {
    redis.pause()
    await sleep(random.int(100, 4_000))
    redis.resume()
  },
  async restart({ redis, random }) {
    await redis.stop(random.pick(/** @type {const} */ (['SIGTERM', 'SIGKILL'])))
    await sleep(random.int(0, 3_000))
    await redis.start()
  },
  forgetScripts: ({ redis }) => redis.admin.cmd('SCRIPT', 'FLUSH'),
  async outOfMemory({ redis, random }) {
    await redis.admin.cmd('CONFIG', 'SET', 'maxmemory', 1_000)
    await sleep(random.int(100, 2_000))
    await redis.admin.cmd('CONFIG', 'SET', 'maxmemory', 0)
  },
}

/** Repeats what failed for a passing reason. @template T @param {() => Promise<T>} operation @param {string} what */
async function insist(operation, what) {
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await deadline(operation, PATIENCE_MS, what)
    } catch (error) {
      if (!(/** @type {any} */ (error).retryable) || performance.now() > end) throw error
      await sleep(100)
    }
  }
}

test(`G1–G8: a mix of all faults for ${MINUTES} min`, { timeout: (MINUTES + 3) * 60_000 }, async (t) => {
  const redis = await openRedis(t, { aof: true })
  const proxy = await openProxy(t, redis.url)
  const [direct, proxied] = [
    { url: redis.url, lease: LEASE },
    { url: proxy.url, lease: LEASE },
  ]
  const engines = [openEngine(t, direct), openEngine(t, proxied)]
  const remotes = await Promise.all([openRemote(t, direct), openRemote(t, proxied)])
  const end = performance.now() + MINUTES * 60_000
  const counts = { streams: 0, chunks: 0, sessions: 0, complete: 0, failed: 0, stopped: 0 }
  /** @type {Record<string, number>} */
  const faults = {}
  /** @type {number[]} */
  const memory = []

  /** One stream after the other. @param {number} lane */
  async function lives(lane) {
    const random = createRandom(1_000 + lane)
    for (let number = 0; performance.now() < end; number++) await life(`soak-${lane}-${number}`, random)
  }

  /** @param {string} id @param {Random} random */
  async function life(id, random) {
    const [here, elsewhere] = /** @type {[typeof engines[0], typeof engines[0]]} */ (random.shuffle(engines))
    // A start whose outcome stayed unknown may have left a producer behind.
    const producer = await insist(() => here.produce(id, { ifActive: 'takeover' }), `produce ${id}`)
    const writing = new Writing(producer, { random, everyMs: random.int(5, 100) }).start()
    const near = engines.map((engine, index) =>
      startReaders(engine, [id], {
        each: 1,
        name: `near ${index}.`,
        random,
        stay: random.pick([null, [20, 3_000]]),
      }),
    )
    for (const [salt, remote] of remotes.entries()) remote.read([id], { each: 2, salt, stay: [20, 3_000] })
    await sleep(random.int(500, 12_000))

    const way = random.pick(/** @type {const} */ (['complete', 'complete', 'complete', 'failed', 'stopped']))
    if (way === 'stopped') {
      const engine = random.pick([here, elsewhere])
      assert.equal(await insist(() => engine.stop(id, 'enough'), `stop ${id}`), 'stopping')
      await deadline(signalOf(producer), PATIENCE_MS, `the signal of ${id}`)
    }
    await writing.settle(PATIENCE_MS)
    const ending = way === 'failed' ? producer.fail(new Error('as planned')) : producer.complete()
    assert.equal(await deadline(ending, PATIENCE_MS, `the end of ${id}`), way)
    // After a stop the grace may be over before the last chunks came.
    const allowed = way === 'stopped' ? ['ERR_ENDED', 'ERR_STOPPED'] : []
    for (const error of writing.errors) assert.ok(allowed.includes(error.code), `${id}: ${error}`)

    const parts = await Promise.all([
      ...near.map(async (readings) => (await histories(readings, PATIENCE_MS))[id] ?? []),
      ...remotes.map((remote) => remote.collect(id, PATIENCE_MS)),
    ])
    const readers = parts.flat()
    if (way !== 'failed') readers.push(await insist(() => replay(elsewhere, id), `a replay of ${id}`))
    const last = Math.max(0, ...writing.written.map(({ seq }) => seq ?? 0))
    for (const reader of readers) if (reader.outcome?.startsWith('ERR_FAILED')) reader.to = last
    checkHistory({ written: writing.written, readers })
    const ends = new Set(readers.map(({ outcome }) => outcome?.replace(/^ERR_FAILED .*/, 'failed')))
    ends.delete('left')
    assert.deepEqual([...ends], [way], `the readers of ${id}`)
    counts.streams += 1
    counts.chunks += writing.written.length
    counts.sessions += readers.length
    counts[way] += 1
  }

  async function breaks() {
    const random = createRandom()
    while (performance.now() < end) {
      await sleep(random.int(100, 1_500))
      const name = random.pick(Object.keys(FAULTS))
      faults[name] = (faults[name] ?? 0) + 1
      await FAULTS[name]?.({ redis, proxy, random })
      memory.push(process.memoryUsage().rss)
    }
  }

  await Promise.all([breaks(), ...Array.from({ length: AT_ONCE }, (_, lane) => lives(lane))])
  t.diagnostic(`${JSON.stringify(counts)} ${JSON.stringify(faults)}`)
  const half = memory.slice(0, memory.length / 2)
  const grown = Math.max(...memory) / Math.max(...half)
  t.diagnostic(
    `resident memory: ${Math.max(...half) >> 20} MiB in the first half, then ${grown.toFixed(2)} of it`,
  )
  assert.ok(grown < 1.25, `resident memory grew to ${grown} of its first half's`)
  for (const remote of remotes) assert.deepEqual(await remote.finish(), {})
})

/** @param {import('tidemark').Producer} producer */
const signalOf = ({ signal }) =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    signal.addEventListener('abort', resolve, { once: true })
  })
