// Consumers of groups while Redis is away, and when it loses their streams.

import assert from 'node:assert/strict'
import { openLinks } from '../support/fault-link.mjs'
import { openEngine, openProxy, openRedis, test } from '../support/fault-scene.mjs'
import { deadline, failureOf, until } from '../support/wait.mjs'

const LEASE_MS = 1_000

/** The next item. @param {import('tidemark').Consumption} consumption */
async function nextOf(consumption) {
  const { value } = await deadline(consumption.next(), 20_000, 'the consumer gets an item')
  assert.ok(value)
  return value
}

/** The text of the next item, acknowledged. @param {import('tidemark').Consumption} consumption */
async function take(consumption) {
  const item = await nextOf(consumption)
  await item.ack()
  return item.text()
}

/** What the consumer fails with. @param {Promise<unknown>} next */
const refusal = (next) => deadline(failureOf(next), 20_000, 'the consumer fails')

/** @param {import('../support/redis-server.mjs').RedisServer} redis @param {string} id */
async function forget(redis, id) {
  const [, keys] = await redis.admin.cmd('SCAN', '0', 'MATCH', `{tidemark:${id}}:*`, 'COUNT', 10_000)
  assert.ok(keys.length > 0)
  await redis.admin.cmd('DEL', ...keys)
}

test('G8: a consumer that has begun waits for Redis for any time, and a new one as long as a connection may take', async (t) => {
  const redis = await openRedis(t, { aof: true })
  const engine = openEngine(t, { url: redis.url, connectTimeout: 1_000, commandTimeout: 1_000 })
  const elsewhere = openEngine(t, { url: redis.url })
  const producer = await elsewhere.produce('away')
  await producer.append('one')
  const begun = engine.consume('away', { group: 'workers', consumer: 'a' })
  assert.equal(await take(begun), 'one')
  const next = take(begun)
  await redis.stop('SIGTERM')
  // The second one begins to wait after the first one's failure, and the waiting one has had as many.
  for (const consumer of ['b', 'c']) {
    const error = await refusal(engine.consume('away', { group: 'workers', consumer }).next())
    assert.equal(error?.code, 'ERR_CONNECTION')
  }
  await redis.start()
  await producer.append('two')
  assert.equal(await next, 'two')
})

test('G5: a stream that Redis loses may come back to its group for the length of a lease', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const engine = openEngine(t, { url: redis.url, lease: LEASE_MS })
  const here = openEngine(t, { url: redis.url })
  const there = openEngine(t, { url: proxy.url, connectTimeout: 1_000, commandTimeout: 1_000 })
  const options = { group: 'workers', consumer: 'a', wait: 1 }
  const [kept, lost] = [await here.produce('kept'), await there.produce('lost')]
  await Promise.all([kept.append('one'), lost.append('one')])
  const consumers = ['kept', 'lost'].map((id) => engine.consume(id, options))
  for (const consumer of consumers) assert.equal(await take(consumer), 'one')
  const [back, gone] = consumers.map((consumer) => consumer.next())
  assert.ok(back && gone)
  // This one's producer cannot put it back.
  proxy.blackhole(true)
  const since = performance.now()
  const failed = refusal(gone).then((error) => ({ error, after: performance.now() - since }))
  await Promise.all([forget(redis, 'kept'), forget(redis, 'lost')])
  await kept.append('two')
  const { error, after } = await failed
  assert.equal(error?.code, 'ERR_NOT_FOUND')
  assert.ok(after >= LEASE_MS, `after ${after} ms`)
  // The group's place was lost with the stream.
  const again = await deadline(back, 20_000, 'the consumer gets an item')
  assert.equal(again.value?.text(), 'one')
})

test('G3: an item whose answer was lost on its way comes next, and those that were given do not', async (t) => {
  const redis = await openRedis(t)
  const links = await openLinks(t, redis.port)
  const engine = openEngine(t, { url: links.url })
  const elsewhere = openEngine(t, { url: redis.url })
  const producer = await elsewhere.produce('deaf')
  await producer.append('0')
  const consumer = engine.consume('deaf', { group: 'workers', consumer: 'a' })
  const given = [await nextOf(consumer)]
  // The answer that is lost may be one without items, though hardly each time.
  for (let round = 0; round < 3; round++) {
    const next = nextOf(consumer)
    const [link] = links.of('commands')
    links.lose('commands', 'replies')
    await producer.append(`${given.length}`)
    const isHandedOut = async () => {
      const [held] = await redis.admin.cmd('XPENDING', '{tidemark:deaf}:work:workers', 'g workers')
      return held === given.length + 1 && link && link.swallowed > 0
    }
    await until(isHandedOut, { timeout: 20_000, message: 'an item is handed out' })
    link?.cut()
    const item = await next
    assert.equal(item.deliveries, 1, 'it was delivered once')
    given.push(item)
  }
  assert.deepEqual(
    given.map((item) => item.text()),
    given.map((_, index) => `${index}`),
  )
  await Promise.all([...given.map((item) => item.ack()), producer.complete()])
  const end = await deadline(consumer.next(), 20_000, 'the loop ends')
  assert.deepEqual([end.done, consumer.outcome], [true, 'complete'])
})

test('G3: items that others gave back or held for too long come at once too if the answer that has them is lost', async (t) => {
  const redis = await openRedis(t)
  const links = await openLinks(t, redis.port)
  const engine = openEngine(t, { url: links.url })
  const elsewhere = openEngine(t, { url: redis.url })
  const producer = await elsewhere.produce('claimed')
  for (const text of ['1', '2', '3']) await producer.append(text)
  const other = elsewhere.consume('claimed', { group: 'workers', consumer: 'b', batch: 2 })
  assert.equal((await nextOf(other)).text(), '1')
  const consumer = engine.consume('claimed', { group: 'workers', consumer: 'a' })
  const newest = await nextOf(consumer)
  assert.equal(newest.text(), '3')
  // The second item comes back, and is claimed: it is older than what the consumer has.
  const next = nextOf(consumer)
  const [link] = links.of('commands')
  links.lose('commands', 'replies')
  await other.return?.()
  const isClaimed = async () => {
    const [, second] = await redis.admin.cmd(
      'XPENDING',
      '{tidemark:claimed}:work:workers',
      'g workers',
      '-',
      '+',
      '9',
    )
    return second?.[1] === 'a' && link && link.swallowed > 0
  }
  await until(isClaimed, { timeout: 20_000, message: 'it is claimed' })
  link?.cut()
  const item = await next
  assert.deepEqual([item.text(), item.deliveries], ['2', 1])
  await Promise.all([item.ack(), newest.ack()])
  // Nothing comes twice: what is left is the other one's.
  const [held] = await redis.admin.cmd('XPENDING', '{tidemark:claimed}:work:workers', 'g workers')
  assert.equal(held, 1)
})

test('G1: a group is told of what it has lost, even if the answer that says so is lost', async (t) => {
  const redis = await openRedis(t)
  const links = await openLinks(t, redis.port)
  const engine = openEngine(t, { url: links.url })
  const elsewhere = openEngine(t, { url: redis.url })
  const takes = async () => {
    const stats = await redis.admin.info('commandstats')
    return Number(/calls=(\d+)/.exec(stats['cmdstat_xinfo|groups'] ?? stats.cmdstat_xinfo ?? '')?.[1])
  }
  const first = await elsewhere.produce('lost')
  for (const text of ['1', '2']) await first.append(text)
  const consumer = engine.consume('lost', { group: 'workers', consumer: 'a', batch: 1 })
  assert.equal(await take(consumer), '1')
  // Nobody has taken the second one when its generation goes.
  await first.complete()
  for (const text of ['3', '4']) {
    const next = await elsewhere.produce('lost')
    await next.append(text)
    await next.complete()
  }
  const before = await takes()
  const [link] = links.of('commands')
  links.lose('commands', 'replies')
  const error = refusal(consumer.next())
  const isLost = async () => (await takes()) > before && link && link.swallowed > 0
  await until(isLost, { timeout: 20_000, message: 'the answer is lost' })
  link?.cut()
  assert.equal((await error)?.code, 'ERR_GAP')
  const again = engine.consume('lost', { group: 'workers', consumer: 'a' })
  assert.deepEqual([await take(again), await take(again)], ['3', '4'])
  const end = await deadline(again.next(), 20_000, 'the loop ends')
  assert.deepEqual([end.done, again.outcome], [true, 'complete'])
})

test('G1: a group is told once that chunks are gone, however many it had not taken yet', async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url })
  const producer = await engine.produce('sealed')
  const sealedTo = async () => Number(await redis.admin.cmd('HGET', '{tidemark:sealed}:meta', 'y'))
  let count = 0
  const write = async () => {
    await producer.append(`${++count}`)
    return (await sealedTo()) >= 300
  }
  await until(write, { timeout: 20_000, message: 'the beginning is sealed' })
  const last = await sealedTo()
  await redis.admin.cmd('DEL', '{tidemark:sealed}:sealed')
  await producer.append(`${++count}`)
  const consumer = () => engine.consume('sealed', { group: 'workers', consumer: 'a' })
  const error = await refusal(consumer().next())
  assert.deepEqual([error?.code, error?.resume], ['ERR_GAP', `${producer.generation}.${last}`])
  const rest = consumer()
  for (let seq = last + 1; seq <= count; seq++) assert.equal(await take(rest), `${seq}`)
  await producer.complete()
  const end = await deadline(rest.next(), 20_000, 'the loop ends')
  assert.deepEqual([end.done, rest.outcome], [true, 'complete'])

  // All of it is gone: the end is what is left.
  await redis.admin.cmd('DEL', '{tidemark:sealed}:sealed', '{tidemark:sealed}:log')
  const others = () => engine.consume('sealed', { group: 'others', consumer: 'a' })
  const all = await refusal(others().next())
  assert.deepEqual([all?.code, all?.resume], ['ERR_GAP', `${producer.generation}.${count}`])
  const nothing = others()
  const over = await deadline(nothing.next(), 20_000, 'the loop ends')
  assert.deepEqual([over.done, nothing.outcome], [true, 'complete'])
})
