// G7: what streams and readers cost does not grow with their number.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from '../support/child.mjs'
import { openEngine, openRedis, test } from '../support/fault-scene.mjs'
import { checkHistory } from '../support/history.mjs'
import { numbered, texts, writeAll } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** The connections of the product. @param {import('../support/redis-server.mjs').RedisServer} redis */
const clients = async (redis) => (await redis.admin.clients()).filter(({ cmd }) => cmd !== 'client|list')

/** How many scripts were run so far. @param {import('../support/redis-server.mjs').RedisServer} redis */
const scripts = async (redis) => {
  const { cmdstat_evalsha = '' } = await redis.admin.info('commandstats')
  return Number(/calls=(\d+)/.exec(cmdstat_evalsha)?.[1])
}

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
  const child = startChild(new URL('../children/fault-cycles.mjs', import.meta.url), {
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
  const child = startChild(new URL('../children/fault-slow.mjs', import.meta.url), {
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

for (const { kind, most } of [
  // The objects of a `Response` are half of it.
  { kind: 'response', most: 100 },
  { kind: 'loop', most: 180 },
]) {
  test(`G7: 1,000 unread readers of a long answer cost little: ${kind}`, async (t) => {
    const redis = await openRedis(t)
    const child = startChild(new URL('../children/unread.mjs', import.meta.url), {
      args: [kind],
      env: { ENGINE: JSON.stringify({ url: redis.url }) },
      execArgv: ['--expose-gc'],
    })
    t.after(() => child.kill())
    const { bytesEach } = await child.next('opened', 40_000)
    t.diagnostic(`${(bytesEach / 1024).toFixed(0)} KiB each`)
    assert.ok(bytesEach < most * 1024, `${(bytesEach / 1024).toFixed(0)} KiB each`)
    // What they have not taken was dropped meanwhile.
    child.send({ type: 'read' })
    const { count } = await child.next('read', 20_000)
    const engine = openEngine(t, { url: redis.url })
    assert.equal(count, (await engine.status('long'))?.lastSeq)
  })
}

test('G1 G7: readers that stop and go on have every chunk once, though their pages are dropped', async (t) => {
  const redis = await openRedis(t)
  // So that its pages hold many frames.
  const engine = openEngine(t, { url: redis.url, compression: false })
  const producer = await engine.produce('stops')
  const chunks = texts(4_000).map((text) => text.padEnd(100, '.'))
  await writeAll(producer, chunks)
  await producer.complete()
  // Together they could keep 24 MiB of pages.
  const before = await scripts(redis)
  const readers = Array.from({ length: 120 }, () => ({ subscription: engine.subscribe('stops'), chunks: [] }))
  const take = async (/** @type {any} */ { subscription, chunks }, /** @type {number} */ count) => {
    for (let taken = 0; taken < count; taken++) {
      const { done, value } = await subscription.next()
      if (done) return
      chunks.push({ seq: value.seq, data: value.data })
    }
  }
  for (const count of [1, 600, 600, chunks.length]) {
    await Promise.all(readers.map((reader) => take(reader, count)))
  }
  const pages = ((await scripts(redis)) - before) / readers.length
  t.diagnostic(`${pages.toFixed(1)} pages for each reader`)
  assert.ok(pages > 3, 'some were dropped')
  assert.ok(pages < 30, `${pages} pages for each reader`)
  const written = numbered(chunks)
  const histories = readers.map(({ subscription, chunks }, index) => ({
    name: `reader ${index}`,
    chunks,
    outcome: subscription.outcome,
  }))
  checkHistory({ written, readers: histories })
  for (const { outcome } of histories) assert.equal(outcome, 'complete')
})

test('G7: a reader that is steady and slow reads no page twice', async (t) => {
  const redis = await openRedis(t)
  // So that its pages hold many frames.
  const engine = openEngine(t, { url: redis.url, compression: false })
  const producer = await engine.produce('steady')
  const chunks = texts(20_000).map((text) => text.padEnd(100, '.'))
  await writeAll(producer, chunks)
  await producer.complete()
  const pagesFor = async (/** @type {number} */ every) => {
    const before = await scripts(redis)
    let count = 0
    for await (const _ of engine.subscribe('steady')) if (++count % every === 0) await sleep(1)
    assert.equal(count, chunks.length)
    return (await scripts(redis)) - before
  }
  const quick = await pagesFor(Number.POSITIVE_INFINITY)
  const slow = await pagesFor(10)
  t.diagnostic(`${quick} pages in one go, ${slow} at a slow pace`)
  assert.ok(slow <= quick + 1, `${slow} pages at a slow pace, ${quick} in one go`)
})

test('G7: what nobody asks for is dropped after a while, and read when somebody does', async (t) => {
  const redis = await openRedis(t)
  const writer = openEngine(t, { url: redis.url })
  const producer = await writer.produce('unasked')
  const chunks = texts(200).map((text) => text.padEnd(100, '.'))
  await writeAll(producer, chunks)
  await producer.complete()
  const engine = openEngine(t, { url: redis.url })
  for (const { pause, pages } of [
    { pause: 0, pages: 0 },
    { pause: 1_500, pages: 1 },
  ]) {
    const response = await engine.respond(new Request('http://host/'), 'unasked')
    const before = await scripts(redis)
    await sleep(pause)
    const text = await response.text()
    assert.equal((await scripts(redis)) - before, pages, `after ${pause} ms`)
    assert.ok(chunks.every((chunk) => text.includes(`data: ${chunk}\n`)))
  }
})
