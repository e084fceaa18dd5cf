// An engine's life: it connects when it is used, tells how it is, and closes for good.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import { createEngine } from '../../dist/index.mjs'
import { freePort } from '../support/free-port.mjs'
import { checkHistory } from '../support/history.mjs'
import { startProxy } from '../support/proxy.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/**
 * @param {import('tidemark').Engine} engine
 * @param {import('tidemark').Producer} [producer]
 * @returns {(() => Promise<unknown>)[]}
 */
const everyCall = (engine, producer) => [
  () => engine.connect(),
  () => engine.produce('x'),
  () => engine.stop('x'),
  () => engine.status('x'),
  () => engine.delete('x'),
  () => engine.streams().next(),
  () => engine.subscribe('x', { wait: 0 }).next(),
  ...(producer ? [() => producer.append('x'), () => producer.flush(), () => producer.complete()] : []),
]

eachStore('lifecycle', (store) => {
  const open = useEngines(store)

  test('close flushes what was written, ends subscriptions, and refuses everything after it', async () => {
    const [engine, other] = [open(), open()]
    const producer = await engine.produce('closed')
    await writeAll(producer, texts(20, 'before'))
    const here = follow(engine, 'closed')
    const there = follow(other, 'closed')
    const waiting = follow(engine, 'not there')
    for (const reader of [here, there]) await reader.has(20)
    for (const chunk of texts(500)) producer.write(chunk)
    const accepted = producer.append('last')
    const closed = engine.close()
    assert.throws(() => producer.write('too late'), { code: 'ERR_CLOSED', name: 'ClosedError' })
    assert.equal(await accepted, `${producer.generation}.521`)
    await closed
    assert.equal(engine.state, 'closed')
    for (const reader of [here, waiting]) assert.equal((await reader.end()).error?.code, 'ERR_CLOSED')
    assert.equal(producer.signal.aborted, true)
    for (const call of everyCall(engine, producer)) await assert.rejects(call(), { code: 'ERR_CLOSED' })
    await Promise.all([engine.close(), engine[Symbol.asyncDispose]()])

    await there.end()
    assert.equal(there.error?.code, 'ERR_INTERRUPTED')
    const written = numbered([...texts(20, 'before'), ...texts(500), 'last'])
    checkHistory({ written, readers: [here, { ...there, to: 521 }] })
    const next = await produceAll(other, 'closed', ['goes on'])
    assert.equal(next.outcome, 'complete')
  })

  test('close ends its own subscriptions alike, even one whose generation it has just ended', async () => {
    for (let round = 0; round < 15; round++) {
      const engine = open()
      const names = texts(8, `round ${round}`)
      const producers = await Promise.all(names.map((name) => engine.produce(name)))
      const readers = names.map((name) => follow(engine, name))
      await Promise.all(producers.map((producer) => producer.append('chunk')))
      await Promise.all(readers.map((reader) => reader.has(1)))
      await engine.close()
      for (const reader of readers) assert.equal((await reader.end()).error?.code, 'ERR_CLOSED')
    }
  })

  test('close of an engine that was never used, and of one that is just being used', async () => {
    await open().close()
    const engine = open()
    const calls = everyCall(engine).map((call) =>
      call().then(
        () => 'done',
        ({ code, reason }) => (reason ? `${code} ${reason}` : code),
      ),
    )
    await deadline(engine.close(), 20_000, 'the engine closes')
    // The calls run side by side: the reader may find what is being deleted.
    const ends = /^(done|ERR_CLOSED|ERR_NOT_FOUND|ERR_INTERRUPTED deleted)$/
    for (const end of await Promise.all(calls)) assert.match(end, ends)
  })

  test('G5 close leaves no generation behind whose start is under way', async () => {
    const other = open()
    const random = createRandom(21)
    for (let round = 0; round < 40; round++) {
      const engine = open()
      const streamId = `starting ${round}`
      const ifActive = random.pick(/** @type {const} */ (['error', 'takeover', 'share']))
      const start = engine.produce(streamId, { ifActive }).then(
        () => 'started',
        ({ code }) => code,
      )
      for (let turns = random.int(0, 8); turns > 0; turns--) await turn()
      await engine.close()
      assert.match(await start, /^(started|ERR_CLOSED)$/)
      const status = await other.status(streamId)
      if (status) assert.deepEqual([status.state, status.reason], ['interrupted', 'closed'], `round ${round}`)
    }
  })

  test('G5 close leaves a shared generation that is just being joined to the others', async () => {
    const other = open()
    const random = createRandom(22)
    for (let round = 0; round < 40; round++) {
      const engine = open()
      const streamId = `joining ${round}`
      const first = await other.produce(streamId, { ifActive: 'share' })
      const join = engine.produce(streamId, { ifActive: 'share' }).then(
        () => 'joined',
        ({ code }) => code,
      )
      for (let turns = random.int(0, 8); turns > 0; turns--) await turn()
      await engine.close()
      const status = await other.status(streamId)
      if ((await join) === 'joined') {
        assert.deepEqual([status?.state, status?.reason], ['interrupted', 'closed'], `round ${round}`)
      } else {
        assert.deepEqual([status?.state, status?.producers], ['active', 1], `round ${round}`)
        assert.equal(await first.complete(), 'complete')
        assert.equal((await other.status(streamId))?.state, 'complete')
      }
    }
  })

  test('engines are closed one by one, and the others go on', async () => {
    const engines = Array.from({ length: 6 }, () => open())
    const [reader] = engines.splice(0, 1)
    assert.ok(reader)
    const follower = follow(reader, 'relay', { follow: 'all' })
    const chunks = []
    for (const [index, engine] of engines.entries()) {
      await produceAll(engine, 'relay', texts(10, `engine ${index}`))
      chunks.push(...texts(10, `engine ${index}`))
      await follower.has(chunks.length)
      await engine.close()
    }
    assert.equal((await reader.status('relay'))?.state, 'complete')
    await reader.close()
    assert.equal((await follower.end()).error?.code, 'ERR_CLOSED')
    checkHistory({ written: numbered(chunks), readers: [{ ...follower, to: 50 }] })
  })

  test('connect may be called many times; state tells of it', async () => {
    const engine = open()
    /** @type {string[]} */
    const states = []
    engine.on('state', (state, reason) => states.push(`${state} ${reason}`))
    // There is nothing to connect to in memory.
    assert.equal(engine.state, store.kind === 'redis' ? 'idle' : 'ready')
    await Promise.all([engine.connect(), engine.connect(), engine.connect()])
    await engine.connect()
    await until(() => engine.state === 'ready')
    await produceAll(engine, 'connected', ['x'])
    await engine.close()
    assert.equal(engine.state, 'closed')
    // Another engine of this process may have connected for all of them.
    const changes = states.filter((state) => state !== 'connecting ')
    assert.deepEqual(changes, store.kind === 'redis' ? ['ready ', 'closed '] : ['closed '])
  })

  test('what cannot be an engine is refused', () => {
    const bad = [
      [{ url: 'http://host' }, 'options.url'],
      [{ url: 'redis://' }, 'options.url'],
      [{ url: 'redis://host/db' }, 'options.url'],
      [{ url: '' }, 'options.url'],
      [{ connectTimeout: 1 }, 'options.connectTimeout'],
      [{ commandTimeout: '11m' }, 'options.commandTimeout'],
      [{ stopGrace: '2m' }, 'options.stopGrace'],
      [{ flushIntervalMs: -1 }, 'options.flushIntervalMs'],
      [{ maxQueueBytes: 1 }, 'options.maxQueueBytes'],
      [{ retries: 1 }, 'options.retries'],
    ]
    for (const [options, field] of bad) {
      assert.throws(() => createEngine(options), { code: 'ERR_INVALID_ARGUMENT', field })
    }
    assert.throws(
      () => createEngine({ url: 'redis://:s3cret@host:port' }),
      (error) => {
        return !inspect(error).includes('s3cret')
      },
    )
  })
})

describe('close while a start is under way [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())
  /** A lease that is not what ends anything here. */
  const lease = '60s'

  for (const ifActive of /** @type {const} */ (['error', 'share'])) {
    for (const isLost of [false, true]) {
      test(`G5 ${ifActive}: the answer ${isLost ? 'is lost' : 'comes late'}`, async () => {
        const proxy = await startProxy({ target: store.url })
        const [far, near] = [open({ url: proxy.url, lease }), open()]
        const streamId = `${ifActive} ${isLost}`
        await far.connect()
        // The engine's control channel is listened to.
        await (await far.produce('before')).complete()
        proxy.delay(200)
        const refused = assert.rejects(far.produce(streamId, { ifActive }), { code: 'ERR_CLOSED' })
        await until(() => near.status(streamId), { message: 'it has begun' })
        proxy.delay(0)
        if (isLost) proxy.cut()
        await deadline(far.close(), 20_000, 'the engine closes')
        await refused
        const status = await near.status(streamId)
        assert.deepEqual([status?.state, status?.reason], ['interrupted', 'closed'])
        await proxy.close()
      })
    }
  }

  test('G5 a thread that is terminated leaves no generation behind whose start is under way', async () => {
    const proxy = await startProxy({ target: store.url })
    const keyPrefix = store.prefix()
    const near = open({ keyPrefix })
    const options = { url: proxy.url, keyPrefix, lease }
    proxy.delay(100)
    const file = new URL('../children/starting.mjs', import.meta.url)
    const worker = new Worker(file, { workerData: { streamId: 'thread', options } })
    await until(() => near.status('thread'), { message: 'it has begun' })
    await worker.terminate()
    const ended = async () => (await near.status('thread'))?.reason === 'closed'
    await until(ended, { message: 'it has ended' })
    await proxy.close()
  })
})

describe('lifecycle of the connection [redis]', () => {
  test('item 8 nothing is connected before the first use, and nothing is left after close', async () => {
    const redis = await startRedis()
    const clients = async () => (await redis.admin.clients()).length - 1
    const engines = Array.from({ length: 3 }, () => createEngine({ url: redis.url }))
    for (let turns = 0; turns < 20; turns++) await turn()
    assert.equal(await clients(), 0)
    for (const { state } of engines) assert.equal(state, 'idle')
    const producers = await Promise.all(engines.map((engine, index) => engine.produce(`lazy ${index}`)))
    const readers = engines.map((engine) => follow(engine, 'lazy 0'))
    await producers[0]?.append('x')
    for (const reader of readers) await reader.has(1)
    assert.equal(await clients(), 2)
    await engines[0]?.close()
    await engines[1]?.close()
    assert.equal(await clients(), 2)
    await engines[2]?.close()
    await until(async () => (await clients()) === 0, { message: 'every connection is closed' })
    for (const reader of readers) await reader.end()
    checkHistory({ written: [{ data: 'x', seq: 1 }], readers })
    await redis.close()
  })

  test('item 8 a Redis that cannot be reached is an error in time, with its address, without the password', async () => {
    const port = await freePort()
    const url = `redis://user:s3cret@127.0.0.1:${port}`
    const engine = createEngine({ url, connectTimeout: '500ms' })
    engine.on('error', (error) => assert.fail(error))
    /** @type {string[]} */
    const told = []
    engine.on('state', (state, reason) => told.push(`${state}: ${reason}`))
    for (const call of everyCall(engine)) {
      const started = performance.now()
      /** @type {any} */
      const error = await call().then(
        () => assert.fail('it was reached'),
        (reason) => reason,
      )
      const lasted = performance.now() - started
      assert.ok(lasted < 1_500, `${call} took ${lasted} ms`)
      assert.equal(error.code, 'ERR_CONNECTION', inspect(error))
      assert.equal(error.name, 'ConnectionError')
      assert.equal(error.retryable, true)
      assert.ok(error.message.includes(`127.0.0.1:${port}`), error.message)
      assert.match(error.message, /refused/i)
      assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes('s3cret'))
    }
    assert.equal(engine.state, 'degraded')
    assert.match(told.at(-1) ?? '', /^degraded: .*refused/i)
    assert.ok(!told.join().includes('s3cret'))
    await deadline(engine.close(), 20_000, 'the engine closes')
  })

  test('item 8 a wrong password is an error at once, and not in its words', async () => {
    const redis = await startRedis({ password: 'right' })
    const engine = createEngine({ url: `redis://:s3cret@127.0.0.1:${redis.port}`, connectTimeout: '20s' })
    for (const call of everyCall(engine)) {
      await assert.rejects(deadline(call(), 2_000, `${call}`), (error) => {
        assert.equal(/** @type {any} */ (error).code, 'ERR_CONNECTION')
        assert.match(/** @type {any} */ (error).message, /WRONGPASS|password/i)
        return !inspect(error).includes('s3cret')
      })
    }
    await engine.close()
    const right = createEngine({ url: redis.url })
    await right.connect()
    assert.ok(!inspect(right, { depth: 9, showHidden: true }).includes('right'))
    await right.close()
    await redis.close()
  })

  test('item 8 the state follows the connection, and a lost one comes back by itself', async () => {
    const redis = await startRedis({ aof: true })
    const engine = createEngine({ url: redis.url, connectTimeout: '3s' })
    /** @type {string[]} */
    const states = []
    engine.on('state', (state) => states.push(state))
    const producer = await engine.produce('comes back')
    const reader = follow(engine, 'comes back')
    await producer.append('before')
    await redis.stop()
    await until(() => engine.state === 'degraded', { message: 'the loss is noticed' })
    await assert.rejects(engine.status('comes back'), { code: 'ERR_CONNECTION' })
    producer.write('meanwhile')
    await redis.start()
    await until(() => engine.state === 'ready', { message: 'it is connected again' })
    await producer.append('after')
    await producer.complete()
    await reader.end()
    const replay = await readAll(engine, 'comes back')
    checkHistory({ written: numbered(['before', 'meanwhile', 'after']), readers: [reader, replay] })
    const closing = once(engine, 'state')
    await engine.close()
    assert.equal((await closing)[0], 'closed')
    // The connection for live messages may notice the loss only when the other one is back already.
    const told = states.filter((state) => state !== 'reconnecting')
    assert.deepEqual(
      told.filter((state, index) => state !== told[index - 1]),
      ['connecting', 'ready', 'degraded', 'ready', 'closed'],
    )
    await redis.close()
  })
})
