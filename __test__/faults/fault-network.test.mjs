// The network delays, cuts and swallows; the server freezes. No outcome stays unknown, and everybody arrives.

import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openLinks } from '../support/fault-link.mjs'
import { checkWritings, openEngine, openProxy, openRedis, test } from '../support/fault-scene.mjs'
import { histories, startReaders, Writing } from '../support/fault-work.mjs'
import { createRandom } from '../support/seed.mjs'
import { follow } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const STREAMS = ['network-0', 'network-1', 'network-2', 'network-3']

/**
 * Producers and readers in engines of their own, each at its address, and what they have seen.
 * @param {import('node:test').TestContext} t
 * @param {{ writers: string, readers: string }} urls
 * @param {number} [everyMs]
 */
async function work(t, urls, everyMs) {
  const random = createRandom()
  const writer = openEngine(t, { url: urls.writers })
  const reader = openEngine(t, { url: urls.readers })
  const near = startReaders(writer, STREAMS, { each: 1, name: 'near ', random })
  const far = startReaders(reader, STREAMS, { each: 2, name: 'far ', random })
  const steady = startReaders(reader, STREAMS, { each: 1, name: 'steady ', random, stay: null })
  const producers = await Promise.all(STREAMS.map((id) => writer.produce(id)))
  const writings = producers.map((producer) => new Writing(producer, { random, everyMs }).start())
  const seen = () => [...steady.values()].flat().map(({ chunks }) => chunks)
  await until(() => seen().every((chunks) => chunks > 5))
  return {
    writer,
    reader,
    /** Waits until every stream moves: accepted by the store and seen by a reader, after this call. */
    async moves() {
      const before = { seen: seen(), accepted: writings.map(({ accepted }) => accepted) }
      const moved = () =>
        seen().every((chunks, index) => chunks > (before.seen[index] ?? 0)) &&
        writings.every(({ accepted }, index) => accepted > (before.accepted[index] ?? 0))
      await until(moved, { timeout: 15_000, message: () => `chunks move on: ${before.seen} … ${seen()}` })
    },
    /** Ends the writing and checks it. */
    async finish() {
      await Promise.all(writings.map((writing) => writing.finish()))
      const parts = await Promise.all([near, far, steady].map((readings) => histories(readings, 15_000)))
      await checkWritings(reader, writings, ...parts)
      return writings.reduce((sum, { written }) => sum + written.length, 0)
    },
  }
}

// Each waits for what its network does, so they wait together.
describe('G1 G2 G3: a bad network', { concurrency: true }, () => {
  test('G1 G2 G3: connections are cut while requests are on their way and replies are not back', async (t) => {
    const redis = await openRedis(t)
    const proxy = await openProxy(t, redis.url)
    const random = createRandom(1)
    // How often the server was sent the same frame by the same script; no two chunks of this test are alike.
    /** @type {Map<string, number>} */
    const batches = new Map()
    const endMonitor = await redis.admin.monitor(({ source, args }) => {
      const frame = args.at(-1) ?? ''
      if (source === 'lua' || !/^evalsha$/i.test(args[0] ?? '') || !frame.includes('network-')) return
      const batch = `${args[1]} ${frame}`
      batches.set(batch, (batches.get(batch) ?? 0) + 1)
    })
    const scene = await work(t, { writers: proxy.url, readers: proxy.url })
    const begin = performance.now()
    let cuts = 0
    while (performance.now() - begin < 12_000) {
      proxy.delay(random.int(0, 50))
      await sleep(random.int(5, 600))
      proxy.cut()
      cuts += 1
    }
    proxy.delay(0)
    const chunks = await scene.finish()
    endMonitor()
    const twice = [...batches.values()].filter((times) => times > 1).length
    t.diagnostic(
      `${cuts} cuts, ${chunks} chunks, ${twice} of ${batches.size} batches reached Redis more than once`,
    )
    assert.ok(twice > 0, 'some batch was sent again after its outcome was unknown')
  })

  test('G1 G2 G3: the delay jumps between 0 and 50 ms', async (t) => {
    const redis = await openRedis(t)
    const proxy = await openProxy(t, redis.url)
    const random = createRandom(2)
    const scene = await work(t, { writers: proxy.url, readers: proxy.url })
    for (let count = 0; count < 100; count++) {
      proxy.delay(random.int(0, 50))
      await sleep(30)
    }
    await scene.moves()
    assert.deepEqual([scene.writer.state, scene.reader.state], ['ready', 'ready'])
    await scene.finish()
  })

  test('G1 G2 G3: the network swallows everything for 4 s', async (t) => {
    const redis = await openRedis(t)
    const proxy = await openProxy(t, redis.url)
    const scene = await work(t, { writers: proxy.url, readers: proxy.url })
    proxy.blackhole(true)
    await sleep(4_000)
    assert.notEqual(scene.writer.state, 'ready')
    proxy.blackhole(false)
    await scene.moves()
    await until(() => scene.writer.state === 'ready' && scene.reader.state === 'ready')
    await scene.finish()
  })

  test('G1 G2 G3: Redis freezes for 3 s', async (t) => {
    const redis = await openRedis(t)
    const scene = await work(t, { writers: redis.url, readers: redis.url })
    redis.pause()
    await sleep(3_000)
    redis.resume()
    await scene.moves()
    await scene.finish()
  })
})

// Each waits until the client notices, so they wait together.
describe('G1 G2 G3: one direction of one connection vanishes for good', { concurrency: true }, () => {
  for (const kind of /** @type {const} */ (['commands', 'subscriber'])) {
    for (const direction of /** @type {const} */ (['requests', 'replies'])) {
      test(`the ${direction} of the ${kind} connection`, async (t) => {
        const redis = await openRedis(t)
        const links = await openLinks(t, redis.port)
        const scene = await work(t, { writers: links.url, readers: links.url }, 50)
        const old = links.of(kind)
        links.lose(kind, direction)
        await until(() => old.every((link) => link.swallowed > 0), { message: 'something was lost' })
        // Nobody tells the client: it has to find out by itself, and makes another connection.
        await until(() => links.of(kind).some((link) => !old.includes(link)), {
          timeout: 15_000,
          message: `another connection for ${kind}`,
        })
        await scene.moves()
        await scene.finish()
      })
    }
  }
})

test('G8: while Redis is away a reader is told so as others are, also if nothing has noticed it yet', async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url, connectTimeout: 1_000 })
  // Nothing is listened to: nobody looks after the connection.
  await engine.connect()
  await redis.stop()
  const reader = await follow(engine, 'any', { wait: 1 }).end()
  assert.equal(reader.error?.code, 'ERR_CONNECTION', `${reader.error}`)
  await assert.rejects(engine.status('any'), { code: 'ERR_CONNECTION' })
})

/** Everything that an engine can be asked for. @type {Record<string, (engine: import('tidemark').Engine) => unknown>} */
const questions = {
  produce: (engine) => engine.produce('new'),
  'take over': (engine) => engine.produce('there', { ifActive: 'takeover' }),
  'append to a log': (engine) => engine.log('log').append(['one']),
  'read a log': (engine) => engine.log('log').page(),
  ack: (engine) => engine.ack('there', { consumer: 'ann', cursor: '00000000000000000000000000.0' }),
  consume: (engine) => engine.consume('there', { group: 'workers', consumer: 'a', wait: 1 }).next(),
  finished: (engine) => engine.finished({ group: 'workers', consumer: 'a' }).next(),
  'dead letters': (engine) => engine.deadLetters({ streamId: 'there', group: 'workers' }).next(),
  stop: (engine) => engine.stop('elsewhere'),
  status: (engine) => engine.status('there'),
  list: (engine) => engine.streams().next(),
  delete: (engine) => engine.delete('there'),
  'clean up': (engine) => engine.cleanup(),
  'sample memory': (engine) => engine.sampleMemory(),
}
for (const position of /** @type {const} */ (['start', 'now', '00000000000000000000000000.0'])) {
  questions[`subscribe from ${position}`] = (engine) =>
    engine.subscribe('there', { from: position, wait: 1 }).next()
}
questions['subscribe as a consumer'] = (engine) =>
  engine.subscribe('there', { consumer: 'ann', wait: 1 }).next()

test('G8: whatever is asked for of a network that swallows everything, Redis cannot be reached', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const engine = openEngine(t, { url: proxy.url, connectTimeout: 1_500, commandTimeout: 1_500 })
  const producer = await engine.produce('there')
  await producer.append('one')
  // Heard from a moment ago: nothing makes anybody doubt the connection.
  await engine.status('there')
  proxy.blackhole(true)
  const answers = Object.entries(questions).map(async ([name, ask]) => {
    const asked = Promise.resolve(ask(engine)).then(
      () => 'an answer',
      (error) => error.code,
    )
    return [name, await deadline(asked, 30_000, name)]
  })
  const expected = Object.keys(questions).map((name) => [name, 'ERR_CONNECTION'])
  assert.deepEqual(await Promise.all(answers), expected)
})

test('a server that can be reached again, but has not answered, has not answered in time', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const engine = openEngine(t, { url: proxy.url, connectTimeout: 1_500, commandTimeout: 1_500 })
  await engine.status('any')
  proxy.swallow()
  await assert.rejects(engine.status('any'), { code: 'ERR_TIMEOUT', retryable: true })
  assert.equal(await engine.status('any'), null)
})

test('G2: flush waits until Redis has accepted what was written, however slow it is', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const slow = openEngine(t, { url: proxy.url })
  const other = openEngine(t, { url: redis.url })
  const producer = await slow.produce('flushed')
  proxy.delay(100)
  for (let written = 2; written <= 6; written += 2) {
    producer.write('one')
    producer.write('two')
    await producer.flush()
    assert.equal((await other.status('flushed'))?.lastSeq, written)
  }
  await other.delete('flushed')
  producer.write('three')
  await assert.rejects(producer.flush(), { code: 'ERR_INTERRUPTED', reason: 'deleted' })
})

test('G5: a stream whose start got no answer is listed, and ends', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const deaf = openEngine(t, { url: proxy.url, connectTimeout: 1_500, commandTimeout: 1_500, lease: 2_000 })
  const other = openEngine(t, { url: redis.url })
  await (await deaf.produce('heard')).complete()
  proxy.mute(true)
  const error = await deaf.produce('unheard').catch((error) => error)
  assert.ok(['ERR_TIMEOUT', 'ERR_CONNECTION'].includes(error.code), `${error}`)
  const isThere = async () => (await other.status('unheard')) !== null
  await until(isThere, { timeout: 20_000, message: 'it has begun' })
  proxy.mute(false)
  const isListed = async () => {
    for await (const { streamId } of other.streams()) if (streamId === 'unheard') return true
  }
  await until(isListed, { timeout: 20_000, message: 'it is listed' })
  const reader = await follow(other, 'unheard').end()
  assert.deepEqual([reader.outcome, reader.error?.reason], ['interrupted', 'lease'])
})

test('G5: the end is found by those whom its message did not reach', async (t) => {
  const redis = await openRedis(t)
  const links = await openLinks(t, redis.port)
  const writer = openEngine(t, { url: redis.url })
  const reader = openEngine(t, { url: links.url })
  const writing = new Writing(await writer.produce('tail'), { random: createRandom() })
  const readings = startReaders(reader, ['tail'], { each: 3, stay: null })
  await writing.append()
  const all = [...readings.values()].flat()
  await until(() => all.every(({ chunks }) => chunks === 1))

  // Between messages, so that none is cut in two.
  const heal = links.lose('subscriber', 'replies')
  await writing.append()
  await writing.finish()
  const [link] = links.of('subscriber')
  await until(() => (link?.swallowed ?? 0) > 0)
  const begin = performance.now()
  await sleep(50)
  heal()
  // The audit comes every 5 s, give or take a quarter.
  await deadline(Promise.all(all.map(({ done }) => done)), 7_000, 'the readers end')
  t.diagnostic(`the readers ended after ${Math.round(performance.now() - begin)} ms`)
  assert.equal(links.of('subscriber').includes(/** @type {any} */ (link)), true, 'on the same connection')
  await checkWritings(reader, [writing], await histories(readings, 0))
})

test('G5: the end comes while the subscriber connection is being made again', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const writer = openEngine(t, { url: redis.url })
  const reader = openEngine(t, { url: proxy.url })
  for (let round = 0; round < 10; round++) {
    const id = `tail-${round}`
    const writing = new Writing(await writer.produce(id), { random: createRandom() })
    const readings = startReaders(reader, [id], { each: 2, stay: null })
    await writing.append()
    const all = [...readings.values()].flat()
    await until(() => all.every(({ chunks }) => chunks === 1))
    await Promise.all([
      writing.append(),
      redis.admin.cmd('CLIENT', 'KILL', 'TYPE', 'pubsub'),
      writing.finish(),
    ])
    await deadline(Promise.all(all.map(({ done }) => done)), 6_500, 'the readers end')
    await checkWritings(reader, [writing], await histories(readings, 0))
  }
})
