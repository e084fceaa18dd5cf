// G7: what streams and readers cost does not grow with their number.

import assert from 'node:assert/strict'
import { openEngine, openRedis, test } from './children/fault-scene.mjs'
import { startChild } from './support/child.mjs'
import { deadline, until } from './support/wait.mjs'

/** The connections of the product. @param {import('./support/redis-server.mjs').RedisServer} redis */
const clients = async (redis) => (await redis.admin.clients()).filter(({ cmd }) => cmd !== 'client|list')

test('G7: 1,000 streams with a reader each take two connections', async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url })
  const ids = Array.from({ length: 1_000 }, (_, index) => `fan-${index}`)
  const counts = new Map(ids.map((id) => [id, 0]))
  const readers = ids.map(async (id) => {
    const subscription = engine.subscribe(id)
    for await (const { seq } of subscription) {
      assert.equal(seq, (counts.get(id) ?? 0) + 1)
      counts.set(id, seq)
    }
    assert.equal(subscription.outcome, 'complete')
  })
  const producers = await Promise.all(ids.map((id) => engine.produce(id)))
  let most = 0
  for (let round = 0; round < 10; round++) {
    await Promise.all(producers.map((producer) => producer.append(`round ${round}`)))
    most = Math.max(most, (await clients(redis)).length)
  }
  assert.equal((await redis.admin.channels('*:live')).length, ids.length)
  await Promise.all(producers.map((producer) => producer.complete()))
  await deadline(Promise.all(readers), 10_000, 'every reader ends')
  assert.deepEqual([...new Set(counts.values())], [10])
  assert.equal(most, 2, `${most} connections`)
  await until(async () => (await redis.admin.channels('*:live')).length === 0, {
    message: 'no channel is left',
  })
  await engine.close()
  await until(async () => (await clients(redis)).length === 0, { message: 'no connection is left' })
})

test('G7: 10,000 readers that come and go leave nothing behind', async (t) => {
  const redis = await openRedis(t)
  const child = startChild(new URL('children/fault-cycles.mjs', import.meta.url), {
    env: { ENGINE: JSON.stringify({ url: redis.url }), CYCLES: '10000' },
    execArgv: ['--expose-gc'],
  })
  t.after(() => child.kill())
  const { before } = await child.next('before', 30_000)
  const channels = (await redis.admin.channels()).length
  const connections = (await clients(redis)).length
  child.send({ type: 'go' })
  const { after, seconds } = await child.next('after', 60_000)
  await until(async () => (await redis.admin.channels()).length === channels, {
    message: 'the channels are gone',
  })
  assert.equal((await clients(redis)).length, connections)
  const growth = after.rss / before.rss - 1
  t.diagnostic(
    `${seconds} s; resident memory ${before.rss >> 20} → ${after.rss >> 20} MiB (${percent(growth)})`,
  )
  assert.deepEqual(after.resources, before.resources)
  assert.ok(growth < 0.1, `resident memory grew by ${percent(growth)}`)
  // Tables and compiled code settle; what a reader leaves behind would be more than this.
  const left = (after.heap - before.heap) / 10_000
  assert.ok(left < 100, `each reader left ${left.toFixed(0)} bytes in the heap`)
  child.send({ type: 'close' })
  assert.deepEqual(await child.exit(), { code: 0, signal: null })
  await until(async () => (await clients(redis)).length === 0, { message: 'no connection is left' })
})

/** @param {number} share */
const percent = (share) => `${(share * 100).toFixed(1)} %`

test('G7: a slow reader holds nobody back and takes no memory', async (t) => {
  const redis = await openRedis(t)
  const child = startChild(new URL('children/fault-slow.mjs', import.meta.url), {
    env: { ENGINE: JSON.stringify({ url: redis.url }), CHUNKS: '20000' },
    execArgv: ['--expose-gc'],
  })
  t.after(() => child.kill())
  const result = await child.next('result', 45_000)
  t.diagnostic(
    `20,000 chunks: the fast reader took ${result.fastMs} ms, the slow one had seen ${result.slowSeen}; ` +
      `memory grew by ${result.grownMiB.toFixed(1)} MiB`,
  )
  assert.equal(result.fastSeen, 20_000)
  assert.ok(result.slowSeen < 20, `the slow reader has seen ${result.slowSeen}`)
  assert.equal(result.slowEnd, 'AbortError')
  // The stream itself is 20 MiB.
  assert.ok(result.grownMiB < 12, `memory grew by ${result.grownMiB} MiB`)
  assert.deepEqual(await child.exit(), { code: 0, signal: null })
})
