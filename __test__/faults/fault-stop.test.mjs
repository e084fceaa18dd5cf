// A stop arrives, or says that it did not, whatever happens on its way.

import assert from 'node:assert/strict'
import { openLinks } from '../support/fault-link.mjs'
import { openEngine, openProxy, openRedis, replay, test } from '../support/fault-scene.mjs'
import { digest, Writing, wordFor } from '../support/fault-work.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { follow } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** On a busy machine too; less than a connection's timeout, and than the time until a lease is renewed. */
const ATONCE_MS = 2_500

/** Resolves with the signal's reason. @param {AbortSignal} signal @param {number} ms */
function aborted(signal, ms) {
  /** @type {Promise<any>} */
  const reason = new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason)
    signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })
  return deadline(reason, ms, 'the signal is aborted')
}

test('G6 G8: while Redis is away a local producer is stopped at once, and is ended as stopped later', async (t) => {
  const redis = await openRedis(t, { aof: true })
  const engine = openEngine(t, { url: redis.url, stopGrace: 200 })
  const writing = new Writing(await engine.produce('local'), { random: createRandom() })
  await writing.append('before')
  await redis.stop()
  await until(() => engine.state === 'degraded')
  const unwritten = writing.append('while away')

  const begin = performance.now()
  assert.equal(await deadline(engine.stop('local', 'enough'), ATONCE_MS, 'stop answers'), 'stopping')
  const reason = await aborted(writing.producer.signal, ATONCE_MS)
  t.diagnostic(`the signal fired after ${Math.round(performance.now() - begin)} ms`)
  assert.equal(reason.code, 'ERR_STOPPED')
  assert.equal(reason.name, 'AbortError')
  assert.equal(reason.reason, 'enough')
  writing.append('closing words')

  await redis.start()
  await unwritten
  await writing.settle()
  assert.equal(await deadline(writing.producer.complete(), 20_000, 'complete'), 'stopped')
  const status = await engine.status('local')
  assert.deepEqual([status?.state, status?.reason], ['stopped', 'enough'])
  checkHistory({ written: writing.written, readers: [await replay(engine, 'local')] })
})

test('G8 G10: while Redis is away an answer of this process is read and stopped by its owner alone', async (t) => {
  const redis = await openRedis(t, { aof: true })
  const engine = openEngine(t, { url: redis.url, connectTimeout: 3_000 })
  const [owned, open] = [await engine.produce('owned', { owner: 'user-1' }), await engine.produce('open')]
  const [seen] = await Promise.all([owned.append('before'), open.append('before')])
  await redis.stop()
  await until(() => engine.state === 'degraded')
  for (const owner of ['user-2', undefined]) {
    await assert.rejects(engine.stop('owned', { owner }), { code: 'ERR_CONNECTION' })
    const stranger = follow(engine, 'owned', { owner, wait: 1 })
    await stranger.end()
    assert.equal(stranger.outcome, 'ERR_CONNECTION')
    assert.equal(stranger.chunks.length, 0)
  }
  assert.equal(owned.signal.aborted, false)
  await assert.rejects(engine.stop('another', { owner: 'user-1' }), { code: 'ERR_CONNECTION' })
  const readers = [follow(engine, 'owned', { owner: 'user-1' }), follow(engine, 'open', { owner: 'user-1' })]
  for (const reader of readers) await reader.has(1)
  assert.equal(open.signal.aborted, false)
  // A cursor is good for its own generation.
  owned.write('more')
  const resumed = follow(engine, 'owned', { owner: 'user-1', from: seen, after: 1 })
  await resumed.has(1)
  assert.equal(resumed.chunks[0]?.data, 'more')
  const from = `${open.generation}.1`
  const astray = await follow(engine, 'owned', { owner: 'user-1', from, wait: 1 }).end()
  assert.equal(astray.outcome, 'ERR_CONNECTION')
  readers.push(resumed)
  for (const id of ['owned', 'open']) {
    assert.equal(await engine.stop(id, { owner: 'user-1' }), 'stopping')
  }
  for (const { signal } of [owned, open]) assert.equal((await aborted(signal, 20_000)).code, 'ERR_STOPPED')
  await redis.start()
  for (const producer of [owned, open]) assert.equal(await producer.complete(), 'stopped')
  for (const reader of readers) assert.equal((await reader.end()).outcome, 'stopped')
})

test('G6: a stop from elsewhere says in time that Redis is away, and works when it is back', async (t) => {
  const redis = await openRedis(t, { aof: true })
  const connectTimeout = 1_000
  const here = openEngine(t, { url: redis.url })
  const there = openEngine(t, { url: redis.url, connectTimeout, commandTimeout: 1_000 })
  const writing = new Writing(await here.produce('remote'), { random: createRandom() })
  await writing.append()
  await there.connect()
  await redis.stop()
  await until(() => here.state === 'degraded')

  const begin = performance.now()
  await assert.rejects(there.stop('remote', 'first'), { code: 'ERR_CONNECTION', retryable: true })
  const took = performance.now() - begin
  t.diagnostic(`rejected after ${Math.round(took)} ms`)
  assert.ok(took < 2 * connectTimeout, `rejected after ${took} ms`)
  assert.equal(writing.producer.signal.aborted, false)

  await redis.start()
  await until(() => there.state === 'ready')
  assert.equal(await there.stop('remote', 'second'), 'stopping')
  assert.equal((await aborted(writing.producer.signal, ATONCE_MS)).reason, 'second')
  assert.equal(await writing.finish(), 'stopped')
  checkHistory({ written: writing.written, readers: [await replay(there, 'remote')] })
})

test('G4 G6: a stop and a takeover at the same moment leave one stopped and one that is not', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const one = openEngine(t, { url: redis.url })
  const two = openEngine(t, { url: proxy.url })
  const random = createRandom()
  const met = { old: 0, new: 0 }
  for (let round = 0; round < 40; round++) {
    const id = `takeover-${round}`
    const old = new Writing(await one.produce(id), { random })
    await old.append()
    const following = followAll(one, id, 2)
    await following.first
    const [stopEngine, startEngine] = random.shuffle([one, two])
    const asked = Promise.all([
      stopEngine?.stop(id, 'enough'),
      startEngine?.produce(id, { ifActive: 'takeover' }),
    ])
    const [result, producer] = await deadline(asked, 20_000, 'both are answered')
    assert.equal(result, 'stopping')
    assert.ok(producer)
    const oldReason = await aborted(old.producer.signal, 20_000)
    await old.append()
    assert.deepEqual(
      old.errors.map(({ code }) => code),
      ['ERR_FENCED'],
    )
    const next = new Writing(producer, { random })
    await next.append()
    if (oldReason.code === 'ERR_STOPPED') {
      met.old += 1
      assert.equal(producer.signal.aborted, false)
      assert.equal(await next.finish(), 'complete')
    } else {
      met.new += 1
      assert.equal(oldReason.code, 'ERR_FENCED')
      assert.equal((await aborted(producer.signal, 20_000)).code, 'ERR_STOPPED')
      assert.equal(await next.finish(), 'stopped')
    }
    const { chunks, generations } = await deadline(following.all, 20_000, 'both generations are seen')
    assert.deepEqual(generations, [old.producer.generation, producer.generation])
    checkHistory({
      written: [...old.written, ...next.written],
      readers: [{ name: 'follower', chunks, outcome: 'complete' }],
    })
  }
  t.diagnostic(`the stop met the old producer ${met.old} times and the new one ${met.new} times`)
})

/** Follows a stream through its generations until it has seen this many chunks; `first` tells that it has begun. */
function followAll(
  /** @type {import('..').Engine} */ engine,
  /** @type {string} */ id,
  /** @type {number} */ count,
) {
  /** @type {{ seq: number, data: string }[]} */
  const chunks = []
  /** @type {string[]} */
  const generations = []
  const reading = async () => {
    for await (const { seq, data, cursor } of engine.subscribe(id, { follow: 'all' })) {
      chunks.push({ seq, data: digest(data) })
      const generation = cursor.slice(0, cursor.indexOf('.'))
      if (generations.at(-1) !== generation) generations.push(generation)
      if (chunks.length === count) break
    }
    return { chunks, generations }
  }
  const all = reading()
  return { all, first: until(() => chunks.length > 0) }
}

test('G6: a stop whose message was lost comes with the next write, or with the next connection', async (t) => {
  const redis = await openRedis(t)
  const links = await openLinks(t, redis.port)
  const here = openEngine(t, { url: links.url })
  const there = openEngine(t, { url: redis.url })
  for (const way of ['write', 'connection']) {
    const writing = new Writing(await here.produce(way), { random: createRandom() })
    await writing.append()
    // Between messages, so that none is cut in two.
    const [link] = links.of('subscriber')
    const heal = links.lose('subscriber', 'replies')
    assert.equal(await there.stop(way, 'enough'), 'stopping')
    await until(() => (link?.swallowed ?? 0) > 0)
    assert.equal(writing.producer.signal.aborted, false)
    heal()
    if (way === 'write') await writing.append()
    else link?.cut()
    // Sooner than the lease is renewed, which would tell as well.
    const reason = await aborted(writing.producer.signal, ATONCE_MS)
    assert.deepEqual([reason.code, reason.reason], ['ERR_STOPPED', 'enough'])
    assert.equal(await writing.finish(), 'stopped')
    checkHistory({ written: writing.written, readers: [await replay(there, way)] })
  }
})

test('G6: a stop arrives while every connection is being killed', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const here = openEngine(t, { url: redis.url })
  const there = openEngine(t, { url: proxy.url })
  const random = createRandom()
  let slowest = 0
  for (let round = 0; round < 40; round++) {
    const id = `killed-${round}`
    const writing = new Writing(await here.produce(id), { random })
    await writing.append()
    // What it gets live shows that all connections are there to be killed: Redis counts as away if one cannot be made.
    const live = follow(there, id)
    await live.has(1)
    await writing.append()
    await live.has(2)
    if (round % 2 === 0) writing.start()
    const types = random.pick([['normal', 'pubsub'], ['pubsub']])
    const kills = types.map((type) => redis.admin.cmd('CLIENT', 'KILL', 'TYPE', type))
    const begin = performance.now()
    const stopped = random.chance(0.5) ? there.stop(id, 'enough') : here.stop(id, 'enough')
    await Promise.all(kills)
    assert.equal(await deadline(stopped, 20_000, 'stop answers'), 'stopping')
    const reason = await aborted(writing.producer.signal, 1_500)
    slowest = Math.max(slowest, performance.now() - begin)
    assert.equal(reason.code, 'ERR_STOPPED', wordFor(reason))
    assert.equal(await writing.finish(), 'stopped')
    assert.equal((await live.end()).outcome, 'stopped')
    checkHistory({ written: writing.written, readers: [await replay(there, id)] })
  }
  t.diagnostic(`the slowest signal took ${Math.round(slowest)} ms`)
})
