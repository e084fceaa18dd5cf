// G8 for pipes: Redis is slow, goes away in the middle of an answer, or was never there.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { chatRoutes } from 'tidemark/next'
import { freePort } from '../support/free-port.mjs'
import { gate } from '../support/gate.mjs'
import { checkHistory } from '../support/history.mjs'
import { expectNoRejections, KINDS, Local, pipe, Source } from '../support/pipes.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { createRandom } from '../support/seed.mjs'
import { numbered, readAll, texts } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const MIB = 1 << 20
/** The default of `connectTimeout`: what does not wait for a connection takes far less, however busy the machine is. */
const CONNECT_MS = 5_000
const LIMIT = { timeout: 60_000 }

expectNoRejections()

/**
 * @param {import('node:test').TestContext} t
 * @param {import('tidemark').EngineOptions} options
 */
function openEngine(t, options) {
  const engine = createEngine(options)
  t.after(() => engine.close())
  return engine
}

/** @param {import('node:test').TestContext} t @param {Parameters<typeof startRedis>[0]} [options] */
async function openRedis(t, options) {
  const redis = await startRedis(options)
  t.after(() => redis.close())
  return redis
}

/** Waits until the source is not asked for more, for longer than a command or a connection is waited for. */
async function stalls(/** @type {Source} */ source) {
  let last = { taken: -1, since: 0 }
  await until(() => {
    if (source.taken !== last.taken) last = { taken: source.taken, since: performance.now() }
    return performance.now() - last.since > 1_200
  })
}

for (const { size, name } of [
  { size: 16 * 1024, name: 'small chunks' },
  { size: 400 * 1024, name: 'chunks of which two fit into the queue' },
  { size: MIB, name: 'chunks that fill the queue' },
]) {
  test(`back-pressure: a source waits for a Redis that is slow or away, with ${name}`, LIMIT, async (t) => {
    const redis = await openRedis(t, { aof: true })
    const times = { connectTimeout: 500, commandTimeout: 500 }
    const engine = openEngine(t, { url: redis.url, maxQueueBytes: MIB, ...times })
    const count = Math.ceil((12 * MIB) / size)
    const chunks = Array.from({ length: count }, (_, index) => `${index} `.padEnd(size, 'x'))
    const middle = [gate(), gate()]
    async function* answer() {
      for (const [index, chunk] of chunks.entries()) {
        if (index === Math.floor(count / 3)) await middle[0]?.opened
        if (index === Math.floor((2 * count) / 3)) await middle[1]?.opened
        yield chunk
      }
    }
    const source = new Source(answer())
    const { stream, done } = pipe(engine, 'slow', source.as('iterable'))
    const local = new Local(stream)
    const outages = [
      { begin: async () => redis.pause(), end: async () => redis.resume() },
      { begin: () => redis.stop(), end: () => redis.start() },
    ]
    for (const [index, { begin, end }] of outages.entries()) {
      const before = Math.floor(((index + 1) * count) / 3)
      await local.has(before)
      await until(async () => (await engine.status('slow'))?.lastSeq === before)
      await begin()
      middle[index]?.open()
      await stalls(source)
      const ahead = source.taken - before
      // Up to the high-water mark, a quarter of the queue, and the chunk that passes it.
      assert.ok(
        ahead >= 1 && (ahead - 1) * size <= MIB / 4,
        `${ahead} chunks were taken while Redis was away`,
      )
      assert.equal(source.ended, undefined)
      await end()
    }
    assert.equal(await done, 'complete')
    assert.equal((await local.end()).error, undefined)
    const replay = await readAll(openEngine(t, { url: redis.url }), 'slow')
    checkHistory({ written: numbered(chunks), readers: [local, replay] })
  })
}

test(
  'G8 Redis goes away in the middle: the client goes on, and the whole stream is there later',
  LIMIT,
  async (t) => {
    const redis = await openRedis(t, { aof: true })
    const engine = openEngine(t, { url: redis.url, connectTimeout: 500 })
    const random = createRandom()
    const scenes = KINDS.map((kind) => {
      const chunks = texts(3_000, kind)
      const stages = [gate(), gate()]
      const away = random.int(500, 1_500)
      async function* answer() {
        for (const [index, chunk] of chunks.entries()) {
          if (index === away) await stages[0]?.opened
          if (index === away + 1_000) await stages[1]?.opened
          if (random.chance(0.02)) await turn()
          yield chunk
        }
      }
      const source = new Source(answer())
      const { stream, done } = pipe(engine, kind, source.as(kind))
      return { kind, chunks, stages, away, source, done, local: new Local(stream) }
    })
    for (const { local, away } of scenes) await local.has(away)
    await redis.stop()
    await until(() => engine.state === 'degraded')
    for (const { stages } of scenes) stages[0]?.open()
    for (const { local, away } of scenes) await local.has(away + 1_000)
    assert.equal(engine.state, 'degraded')
    await redis.start()
    for (const { stages } of scenes) stages[1]?.open()
    const other = openEngine(t, { url: redis.url })
    for (const { kind, chunks, source, done, local } of scenes) {
      assert.equal(await done, 'complete')
      assert.equal(source.ended, 'drained')
      const readers = [await local.end(), await readAll(other, kind)]
      checkHistory({ written: numbered(chunks), readers })
    }
  },
)

test('G8 the answer ends while Redis is away: the end is written later', LIMIT, async (t) => {
  const redis = await openRedis(t, { aof: true })
  const engine = openEngine(t, { url: redis.url, connectTimeout: 500, commandTimeout: 500 })
  const cause = new Error('the model is gone')
  for (const error of [undefined, cause]) {
    const id = `ends ${error}`
    const away = gate()
    // One connection may be back before the other, and while Redis counts as away nothing is kept.
    await until(() => engine.state === 'ready' || engine.state === 'idle')
    async function* answer() {
      yield* texts(50)
      await away.opened
      yield* texts(50, 'more')
      if (error) throw error
    }
    const { stream, done } = pipe(engine, id, new Source(answer()).as('function'))
    const settled = done.then(
      (outcome) => outcome,
      (thrown) => thrown,
    )
    const local = new Local(stream)
    await local.has(50)
    await redis.stop()
    away.open()
    await local.has(100)
    await local.end()
    assert.equal(local.error, error)
    assert.notEqual(engine.state, 'ready', 'the client need not wait for Redis')
    await redis.start()
    assert.equal(await settled, error ?? 'complete')
    const replay = await readAll(openEngine(t, { url: redis.url }), id)
    assert.equal(replay.outcome, error ? 'failed' : 'complete')
    const written = numbered([...texts(50), ...texts(50, 'more')])
    checkHistory({ written, readers: [local, { ...replay, to: 100 }] })
  }
})

test(
  'G8 while Redis is known to be away answers begin at once, and are kept again when it is back',
  LIMIT,
  async (t) => {
    const redis = await openRedis(t, { aof: true })
    const url = redis.url
    await redis.stop()
    const engine = openEngine(t, { url })
    const answer = async (/** @type {string} */ id) => {
      const started = performance.now()
      const { stream, done } = pipe(engine, id, new Source(texts(3)).as('function'))
      const local = new Local(stream)
      await local.has(1)
      const took = performance.now() - started
      await local.end()
      assert.deepEqual(
        local.chunks.map(({ data }) => data),
        texts(3),
      )
      return { took, outcome: await done }
    }
    // The first one may wait for a connection; nothing has failed yet.
    assert.equal((await answer('first')).outcome, undefined)
    assert.equal(engine.state, 'degraded')
    for (const id of ['second', 'third']) {
      const { took, outcome } = await answer(id)
      assert.ok(took < CONNECT_MS / 2, `the first chunk came after ${Math.round(took)} ms`)
      assert.equal(outcome, undefined)
    }
    // Nobody listens and nobody waits: the answers themselves find out that Redis is there again.
    await redis.start()
    await until(async () => (await answer('after')).outcome === 'complete')
    assert.equal(engine.state, 'ready')
  },
)

test(
  'G8 while Redis is known to be away, responses are refused at once, but for what is produced here; and it is found again',
  LIMIT,
  async (t) => {
    const redis = await openRedis(t, { aof: true })
    const engine = openEngine(t, { url: redis.url })
    const routes = chatRoutes({
      engine,
      authorize: () => 'ann',
      onError: () => 'no',
      generate: () => new ReadableStream(),
    })
    const get = (/** @type {string} */ id) =>
      routes.GET(new Request('http://localhost/'), { params: Promise.resolve({ id }) })
    const live = await engine.produce('live', { owner: 'ann', metadata: { chatId: 'live' } })
    await live.append('{"type":"start"}')
    await redis.stop()
    await until(() => engine.state === 'degraded')
    for (const ask of [
      () => engine.respond(new Request('http://localhost/'), 'there', { onError() {} }),
      () => get('there'),
    ]) {
      const started = performance.now()
      const { status, headers } = await ask()
      const took = performance.now() - started
      assert.deepEqual([status, headers.get('retry-after')], [503, '1'])
      assert.ok(took < CONNECT_MS / 2, `it was said after ${Math.round(took)} ms`)
    }
    const seen = { cursor: `${live.generation}.1`, consumer: 'a browser' }
    const body = JSON.stringify(seen)
    const context = { params: Promise.resolve({ id: 'there' }) }
    const started = performance.now()
    for (const response of await Promise.all([
      routes.DELETE(new Request('http://localhost/', { method: 'DELETE' }), context),
      engine.acknowledge(new Request('http://localhost/', { method: 'POST', body }), 'live', {
        owner: 'ann',
        onError() {},
      }),
    ]))
      assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '1'])
    for (const ask of [
      () => engine.stop('there'),
      () => engine.status('there'),
      () => engine.delete('there'),
      () => engine.streams().next(),
    ])
      await assert.rejects(ask, { code: 'ERR_CONNECTION', retryable: true })
    assert.ok(performance.now() - started < CONNECT_MS / 2)
    const answer = await get('live')
    assert.equal(answer.status, 200)
    live.write('{"type":"finish"}')
    await redis.start()
    await until(async () => (await get('there')).status === 204, { message: 'it is found again' })
    await live.complete()
    assert.match(await answer.text(), /data: \{"type":"finish"\}\n.*data: \[DONE\]/s)
  },
)

test('G8 Redis cannot be reached: the source is passed through', LIMIT, async (t) => {
  const engine = openEngine(t, { url: `redis://127.0.0.1:${await freePort()}`, connectTimeout: 200 })
  const cause = new Error('the model is gone')
  for (const kind of KINDS) {
    const chunks = [...texts(100), new Uint8Array(3), '']
    const whole = new Source(chunks)
    const passed = pipe(engine, 'whole', whole.as(kind))
    const local = await new Local(passed.stream).end()
    checkHistory({ written: numbered(chunks), readers: [local] })
    assert.deepEqual([whole.ended, await passed.done], ['drained', undefined])
    assert.equal(whole.signal?.aborted, kind.endsWith('function') ? false : undefined)

    const step = gate()
    async function* stepping() {
      yield 'one'
      await step.opened
      yield 'two'
    }
    const live = pipe(engine, 'live', new Source(stepping()).as(kind))
    const client = new Local(live.stream)
    await client.has(1)
    step.open()
    await client.end()
    assert.deepEqual([client.outcome, client.chunks.length, await live.done], ['complete', 2, undefined])

    for (const leave of [0, 3]) {
      const left = new Source(texts(100))
      const { stream, done } = pipe(engine, 'left', left.as(kind))
      const reader = stream.getReader()
      for (let count = 0; count < leave; count++) await reader.read()
      await reader.cancel()
      assert.equal(await done, undefined)
      assert.deepEqual([left.ended, left.taken], ['drained', 100])
    }

    async function* failing() {
      yield 'good'
      throw cause
    }
    const failed = pipe(engine, 'fails', new Source(failing()).as(kind))
    const told = await new Local(failed.stream).end()
    assert.deepEqual([told.error, told.chunks.length], [cause, 1])
    await assert.rejects(failed.done, cause)

    const bad = new Source(/** @type {any} */ (['good', 5]))
    const refused = pipe(engine, 'bad', bad.as(kind))
    const victim = await new Local(refused.stream).end()
    assert.deepEqual(
      [victim.outcome, victim.error.field, victim.chunks.length],
      ['ERR_INVALID_ARGUMENT', 'chunk', 1],
    )
    await assert.rejects(refused.done, victim.error)
    assert.equal(await bad.end(), 'left')
  }
  const thrown = pipe(engine, 'throws', () => {
    throw cause
  })
  await assert.rejects(thrown.done, cause)
  assert.equal((await new Local(thrown.stream).end()).error, cause)
})
