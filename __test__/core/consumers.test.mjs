// Consumers: a reader that says whose progress it is goes on where that one has got to, on any device, after any restart.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { checkHistory } from '../support/history.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore, sharedRedis } from '../support/stores.mjs'
import {
  Follower,
  follow,
  numbered,
  produceAll,
  readAll,
  texts,
  useEngines,
  writeAll,
} from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const consumer = 'user-1'
const UNKNOWN = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

/**
 * Waits for the place that `status` shows for a consumer.
 * @param {import('tidemark').Engine} engine
 * @param {string} streamId
 * @param {{ consumer?: string, lag: number }} expected
 */
async function reaches(engine, streamId, { consumer: name = consumer, lag }) {
  let last
  const isThere = async () => {
    last = (await engine.status(streamId))?.consumers.find((each) => each.consumer === name)
    return last?.lag === lag
  }
  await until(isThere, { message: () => `${name} lags by ${lag}: ${JSON.stringify(last)}` })
}

eachStore('consumers', (store) => {
  const open = useEngines(store)

  test('checklist 19: a loop resumes at what it had moved past, from another engine', async () => {
    const [engine, other] = [open(), open()]
    const producer = await engine.produce('resumed')
    await writeAll(producer, texts(20))
    const first = await readAll(engine, 'resumed', { consumer, each: ({ seq }) => seq < 8 })
    await reaches(other, 'resumed', { lag: 13 })
    assert.equal((await other.status('resumed'))?.consumers[0]?.cursor, `${producer.generation}.7`)
    // The loop was left at chunk 8, so that one may not have been dealt with.
    const second = follow(other, 'resumed', { consumer, after: 7 })
    await producer.complete()
    await second.end()
    await reaches(engine, 'resumed', { lag: 0 })
    const none = await readAll(other, 'resumed', { consumer, after: 20 })
    assert.deepEqual([none.chunks.length, none.outcome], [0, 'complete'])
    const again = await readAll(other, 'resumed', { consumer, from: 'start' })
    const stranger = await readAll(other, 'resumed', { consumer: 'user-2' })
    await reaches(engine, 'resumed', { consumer: 'user-2', lag: 0 })
    checkHistory({ written: numbered(texts(20)), readers: [first, second, none, again, stranger] })
  })

  test('ack takes its options second, and the arguments of earlier versions too', async () => {
    const engine = open()
    const producer = await engine.produce('two forms', { owner: 'ann' })
    await writeAll(producer, texts(3))
    await producer.complete()
    const seen = `${producer.generation}.1`
    await assert.rejects(engine.ack('two forms', { consumer, cursor: seen }), { code: 'ERR_FORBIDDEN' })
    await engine.ack('two forms', { consumer, cursor: seen, owner: 'ann' })
    await reaches(engine, 'two forms', { lag: 2 })
    await engine.ack('two forms', consumer, `${producer.generation}.3`, { owner: 'ann' })
    await reaches(engine, 'two forms', { lag: 0 })
  })

  test('checklist 19: what was seen is stored by close, and known to the engine before', async () => {
    const [engine, other] = [open({ ackIntervalMs: 10_000 }), open()]
    await produceAll(engine, 'closed', texts(10))
    const reader = await readAll(engine, 'closed', { consumer })
    assert.deepEqual((await other.status('closed'))?.consumers, [])
    // The same engine need not wait for its own interval.
    const own = await readAll(engine, 'closed', { consumer, after: 10 })
    assert.equal(own.chunks.length, 0)
    await produceAll(other, 'closed', texts(5, 'more'))
    const more = follow(engine, 'closed', { consumer, after: 10 })
    await more.end()
    await engine.close()
    const [place] = (await other.status('closed'))?.consumers ?? []
    assert.deepEqual([place?.consumer, place?.lag], [consumer, 0])
    checkHistory({
      written: numbered([...texts(10), ...texts(5, 'more')]),
      readers: [{ ...reader, to: 10 }, more],
    })
  })

  test('checklist 19: ack manual moves with subscription.ack and engine.ack alone, and only forward', async () => {
    const [engine, other] = [open({ ackIntervalMs: 0 }), open({ ackIntervalMs: 0 })]
    const producer = await produceAll(engine, 'manual', texts(10))
    const subscription = engine.subscribe('manual', { consumer, ack: 'manual' })
    const reader = await new Follower(subscription).end()
    const cursor = (/** @type {number} */ seq) => `${producer.generation}.${seq}`
    const lag = async () => (await other.status('manual'))?.consumers[0]?.lag
    assert.equal(await lag(), undefined)
    await subscription.ack(cursor(4))
    assert.equal(await lag(), 6)
    await other.ack('manual', consumer, cursor(7))
    assert.equal(await lag(), 3)
    for (const seq of [1, 7, 0]) await other.ack('manual', consumer, cursor(seq))
    await subscription.ack(cursor(5))
    await other.ack('manual', consumer, `${UNKNOWN}.9`)
    assert.equal(await lag(), 3)
    const rest = await readAll(other, 'manual', { consumer, ack: 'manual', after: 7 })
    await other.ack('manual', consumer, cursor(999))
    assert.equal(await lag(), 0)
    checkHistory({ written: numbered(texts(10)), readers: [reader, rest] })
    await assert.rejects(engine.ack('no such stream', consumer, cursor(1)), { code: 'ERR_NOT_FOUND' })
    await assert.rejects(engine.subscribe('manual').ack(cursor(1)), { field: 'options.consumer' })
  })

  test('checklist 19: several devices of one user share the furthest place', async () => {
    const random = createRandom(5)
    const engines = [open({ ackIntervalMs: 5 }), open({ ackIntervalMs: 5 }), open({ ackIntervalMs: 5 })]
    const producer = await random.pick(engines).produce('devices')
    const chunks = texts(300)
    const devices = Array.from({ length: 6 }, (_, index) =>
      follow(random.pick(engines), 'devices', {
        consumer,
        from: 'start',
        name: `device ${index}`,
        each: async ({ seq }) => {
          if (random.chance(0.1)) await turn()
          // The first device reads on to the end.
          return index === 0 || seq < 40 * index
        },
      }),
    )
    for (const chunk of chunks) {
      producer.write(chunk)
      if (random.chance(0.2)) await turn()
    }
    for (const device of devices.slice(1)) await device.end()
    await producer.complete()
    await devices[0]?.end()
    await reaches(random.pick(engines), 'devices', { lag: 0 })
    const late = await readAll(random.pick(engines), 'devices', { consumer, after: 300 })
    assert.equal(late.chunks.length, 0)
    checkHistory({ written: numbered(chunks), readers: devices })
  })

  test('checklist 19: a cursor never moves back, whoever acknowledges what at the same time', async () => {
    const random = createRandom(6)
    const engines = [open({ ackIntervalMs: 0 }), open({ ackIntervalMs: 3 }), open({ ackIntervalMs: 20 })]
    const watcher = open()
    const first = await produceAll(watcher, 'concurrent', texts(100))
    const second = await produceAll(watcher, 'concurrent', texts(100))
    const acks = Array.from({ length: 200 }, () => random.int(1, 190))
    let done = false
    const seen = [0]
    const watching = (async () => {
      while (!done) {
        const [place] = (await watcher.status('concurrent'))?.consumers ?? []
        if (place) seen.push(200 - place.lag)
      }
    })()
    await Promise.all(
      acks.map(async (seq) => {
        for (let turns = random.int(0, 20); turns > 0; turns--) await turn()
        const { generation } = seq > 100 ? second : first
        await random.pick(engines).ack('concurrent', consumer, `${generation}.${seq}`)
      }),
    )
    done = true
    await watching
    assert.deepEqual(
      seen,
      [...seen].sort((one, other) => one - other),
    )
    await reaches(watcher, 'concurrent', { lag: 200 - Math.max(...acks) })
  })

  test('checklist 19: an answer that began meanwhile comes after the rest of the last one', async () => {
    const [engine, other] = [open(), open()]
    const first = await produceAll(engine, 'answers', texts(10, 'first'))
    const one = await readAll(engine, 'answers', { consumer, each: ({ seq }) => seq < 6 })
    await reaches(other, 'answers', { lag: 5 })
    const second = await other.produce('answers')
    await writeAll(second, texts(5, 'second'))
    const reader = follow(other, 'answers', { consumer, after: 5 })
    await reader.has(10)
    await second.complete()
    assert.equal((await reader.end()).outcome, 'complete')
    const written = numbered([...texts(10, 'first'), ...texts(5, 'second')])
    checkHistory({ written, readers: [{ ...one, to: 6 }, reader] })
    assert.ok(reader.chunks[0]?.cursor.startsWith(first.generation))

    // Read to its end, the last answer is nothing to come back for.
    await reaches(other, 'answers', { lag: 0 })
    const third = await produceAll(engine, 'answers', texts(3, 'third'))
    const fresh = await readAll(engine, 'answers', { consumer, after: 15 })
    assert.equal(fresh.chunks[0]?.cursor, `${third.generation}.16`)
    checkHistory({ written: [...written, ...numbered(texts(3, 'third'), 16)], readers: [fresh] })

    await reaches(other, 'answers', { lag: 0 })

    // Two answers later there is a gap, and it is told.
    for (const label of ['fourth', 'fifth']) await produceAll(engine, 'answers', texts(3, label))
    const gone = await produceAll(engine, 'answers', texts(1, 'sixth'))
    await reaches(other, 'answers', { lag: 7 })
    const lost = await readAll(other, 'answers', { consumer })
    assert.equal(lost.error?.code, 'ERR_GAP')
    const resumed = await readAll(other, 'answers', { consumer, from: lost.error.resume })
    assert.equal(resumed.chunks.length, 1)
    assert.ok(resumed.chunks[0]?.cursor.startsWith(gone.generation))
  })

  test('checklist 19: an answer that is no longer kept but was read to its end leaves no gap', async () => {
    const engine = open()
    await produceAll(engine, 'kept', texts(4, 'first'))
    await readAll(engine, 'kept', { consumer })
    await reaches(engine, 'kept', { lag: 0 })
    for (const label of ['second', 'third']) await produceAll(engine, 'kept', texts(2, label))
    const reader = await readAll(open(), 'kept', { consumer, after: 4 })
    const written = numbered([...texts(2, 'second'), ...texts(2, 'third')], 5)
    checkHistory({ written, first: 5, readers: [{ ...reader, from: 4 }] })
  })

  test('G10 only the owner acknowledges', async () => {
    const engine = open({ ackIntervalMs: 0 })
    const producer = await produceAll(engine, 'owned', texts(3), { owner: 'alice' })
    const cursor = `${producer.generation}.2`
    for (const options of [undefined, {}, { owner: 'bob' }]) {
      await assert.rejects(engine.ack('owned', consumer, cursor, options), { code: 'ERR_FORBIDDEN' })
    }
    assert.deepEqual((await engine.status('owned'))?.consumers, [])
    // A stranger's request does not spoil those that are written with it.
    const slow = open({ ackIntervalMs: 50 })
    const [own, stranger] = await Promise.allSettled([
      slow.ack('owned', consumer, cursor, { owner: 'alice' }),
      slow.ack('owned', consumer, `${producer.generation}.3`, { owner: 'bob' }),
    ])
    assert.deepEqual([own.status, stranger.status], ['fulfilled', 'rejected'])
    assert.equal((await engine.status('owned'))?.consumers[0]?.lag, 1)
  })

  test('acks after close are refused, and those under way settle', async () => {
    const engine = open({ ackIntervalMs: 10_000 })
    const producer = await produceAll(engine, 'late', texts(3))
    const underWay = engine.ack('late', consumer, `${producer.generation}.2`)
    await engine.close()
    await underWay
    await assert.rejects(engine.ack('late', consumer, `${producer.generation}.3`), { code: 'ERR_CLOSED' })
    assert.equal((await open().status('late'))?.consumers[0]?.lag, 1)
  })
})

describe('consumers on Redis', () => {
  test('checklist 19: the acks of all streams are written together, one script for each', async () => {
    const redis = await sharedRedis()
    const engine = createEngine({ url: redis.url, keyPrefix: 'test-batched', ackIntervalMs: 1000 })
    const names = texts(20, 'stream')
    const producers = await Promise.all(names.map((name) => produceAll(engine, name, texts(50, name))))
    await engine.ack(names[0] ?? '', consumer, `${producers[0]?.generation}.1`)
    const scripts = async () => {
      const stats = await redis.admin.info('commandstats')
      return Number(/calls=(\d+)/.exec(stats.cmdstat_evalsha ?? '')?.[1])
    }
    const before = await scripts()
    /** @type {Promise<void>[]} */
    const acks = []
    for (let seq = 1; seq <= 50; seq++) {
      for (const [index, name] of names.entries()) {
        acks.push(engine.ack(name, consumer, `${producers[index]?.generation}.${seq}`))
      }
    }
    await Promise.all(acks)
    assert.equal((await scripts()) - before, names.length, '1,000 acks')
    for (const name of names) await reaches(engine, name, { lag: 0 })
    await engine.close()
  })

  test('checklist 19: offsets survive a restart of Redis, and of the reader', async () => {
    const redis = await startRedis({ aof: true })
    const keyPrefix = 'test-restart'
    const engine = createEngine({ url: redis.url, keyPrefix })
    const producer = await engine.produce('chat', { owner: 'alice' })
    await writeAll(producer, texts(30))
    const owner = 'alice'
    const first = await readAll(engine, 'chat', { consumer, owner, each: ({ seq }) => seq < 21 })
    await reaches(engine, 'chat', { lag: 10 })
    await redis.restart('SIGTERM')
    await producer.complete()
    await engine.close()
    const later = createEngine({ url: redis.url, keyPrefix })
    const second = await readAll(later, 'chat', { consumer, owner, after: 20 })
    checkHistory({ written: numbered(texts(30)), readers: [first, second] })
    await reaches(later, 'chat', { lag: 0 })
    const keys = await redis.admin.cmd('SCAN', '0', 'COUNT', 1000)
    for (const key of keys[1]) assert.ok((await redis.admin.cmd('PTTL', key)) > 0, `${key} has a TTL`)
    assert.ok(keys[1].some((/** @type {string} */ key) => key.endsWith(':cursors')))
    await later.close()
    await redis.close()
  })

  test('checklist 19: acks wait for Redis to come back, and are refused when it does not', async () => {
    const redis = await startRedis({ aof: true })
    const engine = createEngine({ url: redis.url, connectTimeout: '5s', ackIntervalMs: 10 })
    const producer = await produceAll(engine, 'chat', texts(5))
    await redis.stop()
    const waiting = engine.ack('chat', consumer, `${producer.generation}.4`)
    await until(() => engine.state === 'degraded', { message: 'the engine notices' })
    await redis.start()
    await waiting
    await reaches(engine, 'chat', { lag: 1 })
    const hasty = createEngine({ url: redis.url, connectTimeout: '100ms', ackIntervalMs: 10 })
    await hasty.connect()
    await redis.stop()
    await assert.rejects(hasty.ack('chat', consumer, `${producer.generation}.5`), { retryable: true })
    await Promise.all([engine.close(), hasty.close()])
    await redis.close()
  })
})
