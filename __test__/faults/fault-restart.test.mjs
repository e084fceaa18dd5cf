// Redis goes away and comes back: with its data, without the last of it, without any.

import assert from 'node:assert/strict'
import { readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  checkWritings,
  openEngine,
  openProxy,
  openRedis,
  openWork,
  replay,
  test,
} from '../support/fault-scene.mjs'
import { digest, histories, startReaders, Writing, wordFor } from '../support/fault-work.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { deadline, failureOf, until } from '../support/wait.mjs'

/** @typedef {{ redis: import('../support/redis-server.mjs').RedisServer, writings: Writing[] }} Scene */

const STREAMS = ['restart-0', 'restart-1', 'restart-2', 'restart-3', 'restart-4']
const AWAY_MS = 3_000

/** @type {{ name: string, aof: boolean, stop: (scene: Scene) => Promise<void> }[]} */
const RESTARTS = [
  { name: 'after SIGTERM, with its data', aof: true, stop: ({ redis }) => redis.stop('SIGTERM') },
  { name: 'after SIGKILL, with its data', aof: true, stop: ({ redis }) => redis.stop('SIGKILL') },
  { name: 'without the last accepted writes', aof: true, stop: loseTheTail },
  { name: 'without any data', aof: false, stop: ({ redis }) => redis.stop('SIGKILL') },
]

// Each waits for Redis to have been away for a while, so they wait together.
describe('G1 G2 G3 G8: restarts', { concurrency: true }, () => {
  for (const { name, aof, stop } of RESTARTS) {
    test(`Redis is away for 3 s and comes back ${name}`, async (t) => {
      const redis = await openRedis(t, { aof })
      const { engine, steady, writings, accepted, finish } = await openWork(t, STREAMS, { url: redis.url })
      const local = startReaders(engine, STREAMS, { each: 1, name: 'local ' })
      const seen = () => [...steady.values()].flat().map(({ chunks }) => chunks)
      await until(() => seen().every((chunks) => chunks > 50))

      await stop({ redis, writings })
      const gone = performance.now()
      await until(() => engine.state === 'degraded', { message: () => `degraded, not ${engine.state}` })
      const before = { seen: seen(), accepted: accepted() }
      await until(() => seen().every((chunks, index) => chunks >= (before.seen[index] ?? 0) + 50), {
        timeout: AWAY_MS,
        message: () => `local readers go on: ${before.seen} … ${seen()}`,
      })
      assert.equal(engine.state, 'degraded')
      assert.deepEqual(accepted(), before.accepted, 'nothing is acknowledged while Redis is away')
      await until(() => performance.now() - gone >= AWAY_MS)
      await redis.start()
      await until(() => engine.state === 'ready', { message: () => `ready, not ${engine.states}` })
      await until(() => accepted().every((chunks, index) => chunks > (before.accepted[index] ?? 0)))

      await finish(local)
      assert.equal(engine.state, 'ready')
    })
  }
})

/** Kills Redis and takes from its file what it had accepted in the last moments, as a crash of the machine would. */
async function loseTheTail(/** @type {Scene} */ { redis, writings }) {
  const folder = join(redis.folder, 'appendonlydir')
  const files = await readdir(folder).catch(() => /** @type {string[]} */ ([]))
  const increment = files.find((name) => name.includes('.incr.'))
  const file = increment ? join(folder, increment) : join(redis.folder, 'appendonly.aof')
  const { size } = await stat(file)
  const lengths = writings.map(({ written }) => written.length)
  await sleep(700)
  await redis.stop('SIGKILL')
  await truncate(file, size)
  for (const [index, { producer, written }] of writings.entries()) {
    // What was written after the file had this size, and was acknowledged, is lost.
    const lost = written.slice(lengths[index]).filter(({ acknowledged }) => acknowledged)
    assert.ok(lost.length > 5, `${lost.length} acknowledged chunks of ${producer.streamId} are lost`)
  }
}

test('G1 G5: an idle producer puts its stream back, and one that is gone leaves its readers an end', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const lease = 2_000
  const here = openEngine(t, { url: redis.url, lease })
  const there = openEngine(t, { url: proxy.url, lease })
  const idle = new Writing(await here.produce('idle'), { random: createRandom() })
  const gone = await there.produce('gone')
  await Promise.all([idle.append(), idle.append(), gone.append('last words')])
  const reader = openEngine(t, { url: redis.url, lease })
  const readers = startReaders(reader, ['idle'], { each: 2, stay: null })
  /** @type {import('../support/history.mjs').Reader['chunks']} */
  const seen = []
  const orphan = (async () => {
    for await (const { seq, data } of reader.subscribe('gone')) seen.push({ seq, data: digest(data) })
  })()
  orphan.catch(() => {})
  await until(() => seen.length === 1 && [...readers.values()].flat().every(({ chunks }) => chunks === 2))

  await proxy.refuse(true)
  proxy.cut()
  await redis.restart('SIGKILL')
  const back = performance.now()
  const error = await deadline(failureOf(orphan), lease + 2_000, 'the reader of a lost stream ends')
  t.diagnostic(`the reader ended after ${Math.round(performance.now() - back)} ms: ${wordFor(error)}`)
  assert.equal(error?.code, 'ERR_INTERRUPTED')
  assert.match(error.reason, /^(lost|lease)$/)

  await until(async () => (await here.status('idle'))?.lastSeq === 2, {
    message: 'the idle producer puts it back',
  })
  await idle.append()
  await idle.finish()
  await checkWritings(here, [idle], await histories(readers, 5_000))
})

test('G1: what cannot be put back whole is a gap, never skipped', async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url })
  const writing = new Writing(await engine.produce('large'), { random: createRandom() })
  const attached = startReaders(engine, ['large'], { each: 1, stay: null })
  // More than a producer keeps for such a case.
  for (let count = 0; count < 40; count++) await writing.append(`${count} ${'x'.repeat(100_000)}`)
  await redis.restart('SIGKILL')
  await writing.append()
  await until(async () => (await engine.status('large'))?.lastSeq === 41)
  const late = openEngine(t, { url: redis.url })
  const chunks = []
  /** @type {any} */
  let gap
  try {
    for await (const { seq } of late.subscribe('large')) chunks.push(seq)
  } catch (error) {
    gap = error
  }
  assert.deepEqual(chunks, [])
  assert.equal(gap?.code, 'ERR_GAP', `${gap}`)
  await writing.finish()
  const rest = await replay(late, 'large', gap.resume)
  const from = (rest.chunks[0]?.seq ?? 0) - 1
  assert.ok(from > 0 && from < 41, `the rest begins after ${from}`)
  const { large } = await histories(attached, 5_000)
  checkHistory({ written: writing.written, readers: [{ ...rest, from }, ...(large ?? [])] })
})

test('G2 G8: past the bound ERR_BACKPRESSURE, and nothing that was taken is lost', async (t) => {
  const redis = await openRedis(t)
  const maxQueueBytes = 1 << 20
  const engine = openEngine(t, { url: redis.url, maxQueueBytes })
  const writing = new Writing(await engine.produce('full'), { random: createRandom() })
  const reading = startReaders(engine, ['full'], { each: 1, stay: null })
  await writing.append('first')
  await redis.stop()
  await until(() => engine.state === 'degraded')

  let refused = 0
  let taken = 0
  for (let count = 0; refused < 3; count++) {
    assert.ok(taken <= maxQueueBytes, `${taken} bytes were taken`)
    const errors = writing.errors.length
    const chunk = `${count} ${'x'.repeat(30_000)}`
    writing.append(chunk)
    // A refusal is known at once; an accepted chunk has to wait.
    await new Promise(setImmediate)
    if (writing.errors.length > errors) refused += 1
    else taken += chunk.length
  }
  assert.ok(taken > maxQueueBytes / 2, `${taken} bytes were taken`)
  assert.throws(() => writing.producer.write('x'.repeat(60_000)), {
    code: 'ERR_BACKPRESSURE',
    retryable: true,
  })
  assert.equal(engine.state, 'degraded')
  const settled = writing.settle()
  await redis.start()
  await settled
  await deadline(writing.producer.ready, 20_000, 'there is room again')
  await writing.append('last')
  assert.equal(await writing.producer.complete(), 'complete')

  assert.deepEqual(
    writing.errors.map(({ code, retryable }) => [code, retryable]),
    Array(3).fill(['ERR_BACKPRESSURE', true]),
  )
  const written = writing.written.filter(({ acknowledged }) => acknowledged)
  assert.equal(written.length, writing.written.length - 3)
  const { full } = await histories(reading, 5_000)
  checkHistory({ written, readers: [...(full ?? []), await replay(engine, 'full')] })
})
