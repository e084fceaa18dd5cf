// G5, G8: a lease that lapses while nobody can renew it is no proof of death, whoever looks first afterwards.

import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { openEngine, openProxy, openRedis, test } from '../support/fault-scene.mjs'
import { startRemote } from '../support/remote.mjs'
import { follow } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** @typedef {import('../support/redis-server.mjs').RedisServer} RedisServer */

const LEASE_MS = 2_000
/** Longer than the lease, and than everything that is left of it. */
const AWAY_MS = 3_000

/** @type {{ name: string, away: (redis: RedisServer) => Promise<unknown>, back: (redis: RedisServer) => Promise<unknown> }[]} */
const OUTAGES = [
  { name: 'is down', away: (redis) => redis.stop('SIGTERM'), back: (redis) => redis.start() },
  {
    name: 'stands still',
    away: async (redis) => redis.pause(),
    back: async (redis) => redis.resume(),
  },
  refuses('is out of memory', ['maxmemory', '1'], ['maxmemory', '0']),
  refuses('misses its replicas', ['min-replicas-to-write', '1'], ['min-replicas-to-write', '0']),
  {
    name: 'is read-only',
    away: (redis) => redis.admin.cmd('REPLICAOF', '127.0.0.1', '1'),
    back: (redis) => redis.admin.cmd('REPLICAOF', 'NO', 'ONE'),
  },
]

/** @param {string} name @param {string[]} away @param {string[]} back */
function refuses(name, away, back) {
  const set = (/** @type {string[]} */ pair) => (/** @type {RedisServer} */ redis) =>
    redis.admin.cmd('CONFIG', 'SET', ...pair)
  return { name, away: set(away), back: set(back) }
}

// Each waits for a lease or two, so they wait together.
describe('leases that lapse', { concurrency: true }, () => {
  for (const { name, away, back } of OUTAGES) {
    test(`G5 G8: Redis ${name} for longer than a lease, and strangers look first: live producers go on`, async (t) => {
      const redis = await openRedis(t, { aof: true })
      const options = { url: redis.url, lease: LEASE_MS }
      const engine = openEngine(t, options)
      const idle = await engine.produce('idle')
      const busy = await engine.produce('busy')
      await Promise.all([idle.append('1'), busy.append('1')])
      const ids = ['idle', 'busy']
      const readers = ids.map((id) => follow(openEngine(t, options), id))
      await Promise.all(readers.map((reader) => reader.has(1)))
      let written = 1
      const writing = setInterval(() => busy.write(`${++written}`), 50)
      t.after(() => clearInterval(writing))

      await away(redis)
      const since = performance.now()
      await until(() => performance.now() - since > AWAY_MS)
      // Commands that were sent meanwhile, and strangers who ask again and again, come first.
      const strangers = Array.from({ length: 3 }, () => openEngine(t, { ...options, connectTimeout: '10s' }))
      const looks = strangers.flatMap((stranger) =>
        ids.map((id) => until(() => stranger.status(id), { interval: 1 })),
      )
      await back(redis)
      const found = await deadline(Promise.all(looks), 10_000, 'the strangers have their answers')
      assert.deepEqual(
        found.map((status) => status?.state),
        found.map(() => 'active'),
      )
      await Promise.all([idle.append('2'), busy.append('last')])
      clearInterval(writing)
      for (const producer of [idle, busy]) {
        assert.equal(producer.signal.aborted, false)
        assert.equal(await producer.complete(), 'complete')
      }
      for (const reader of readers) {
        await reader.end()
        assert.equal(reader.outcome, 'complete')
      }
      assert.equal((await strangers[0]?.status('busy'))?.lastSeq, written + 1)
    })
  }

  test('G5 G8: after an outage a fresh process is there before the producers are: they go on', async (t) => {
    const redis = await openRedis(t, { aof: true })
    const proxy = await openProxy(t, redis.url)
    const engine = openEngine(t, { url: proxy.url, lease: LEASE_MS })
    const idle = await engine.produce('idle')
    await idle.append('1')
    await proxy.refuse(true)
    proxy.cut()
    await redis.stop('SIGTERM')
    const since = performance.now()
    await until(() => performance.now() - since > AWAY_MS)
    await redis.start()
    const look = openEngine(t, { url: redis.url, lease: LEASE_MS }).status('idle')
    // It has looked once there is a suspicion.
    const meta = '{tidemark:idle}:meta'
    await until(async () => (await redis.admin.cmd('HEXISTS', meta, 'j')) === 1)
    await proxy.refuse(false)
    assert.equal((await look)?.state, 'active')
    await idle.append('2')
    assert.equal(await idle.complete(), 'complete')
  })

  test('G5: the clock of Redis jumps by a minute: live producers go on', async (t) => {
    const redis = await openRedis(t)
    const engine = openEngine(t, { url: redis.url })
    const other = openEngine(t, { url: redis.url })
    const idle = await engine.produce('idle')
    const busy = await engine.produce('busy')
    await Promise.all([idle.append('1'), busy.append('1')])
    const writing = setInterval(() => busy.write('more'), 20)
    t.after(() => clearInterval(writing))
    const readers = ['idle', 'busy'].map((id) => follow(other, id))
    await Promise.all(readers.map((reader) => reader.has(1)))
    // What the clock cannot be made to do, the leases can: all of them are a minute older at once.
    for (const { streamId } of [idle, busy]) {
      const meta = `{tidemark:${streamId}}:meta`
      const record = /** @type {string[]} */ (await redis.admin.cmd('HGETALL', meta))
      const field = record.findIndex((name) => name.startsWith('p:'))
      const [batch, last, until, node] = `${record[field + 1]}`.split(' ')
      const older = [batch, last, Number(until) - 60_000, node].join(' ')
      await redis.admin.cmd('HSET', meta, `${record[field]}`, older)
    }
    const since = performance.now()
    await until(
      async () => {
        for (const id of ['idle', 'busy']) assert.equal((await other.status(id))?.state, 'active')
        return performance.now() - since > 4_000
      },
      { interval: 100, timeout: 20_000 },
    )
    clearInterval(writing)
    for (const producer of [idle, busy]) assert.equal(await producer.complete(), 'complete')
    for (const reader of readers) await reader.end()
  })

  test('G5: after an outage those who are really dead are found within 2 s', async (t) => {
    const redis = await openRedis(t, { aof: true })
    const options = { url: redis.url, lease: LEASE_MS }
    const victim = await startRemote(t, options)
    await victim.ask('produce', { streamId: 'dead' })
    await victim.ask('write', { streamId: 'dead', chunks: ['1'] })
    const reader = follow(openEngine(t, options), 'dead')
    await reader.has(1)
    await redis.stop('SIGTERM')
    await victim.kill()
    const since = performance.now()
    await until(() => performance.now() - since > LEASE_MS)
    await redis.start()
    await reader.end(LEASE_MS + 2_000)
    assert.deepEqual([reader.error?.code, reader.error?.reason], ['ERR_INTERRUPTED', 'lease'])
  })
})
