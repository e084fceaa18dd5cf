// Producers race for one stream: one writes, and no generation holds a chunk of another's.

import assert from 'node:assert/strict'
import { openEngine, openProxy, openRedis, test } from '../support/fault-scene.mjs'
import { digest, Reading, seqOf, Writing, wordFor } from '../support/fault-work.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { follow } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const ROUNDS = 50

/** What a generation holds after `from`. */
async function generation(
  /** @type {import('..').Engine} */ engine,
  /** @type {import('..').Producer} */ { streamId, generation },
  from = 0,
) {
  /** @type {{ seq: number, data: string }[]} */
  const chunks = []
  const subscription = engine.subscribe(streamId, { from: `${generation}.${from}` })
  const reading = async () => {
    for await (const { seq, data, cursor } of subscription) {
      assert.equal(cursor, `${generation}.${seq}`)
      chunks.push({ seq, data: digest(data) })
    }
    return subscription.outcome
  }
  const outcome = await deadline(reading().catch(wordFor), 20_000, 'the generation ends')
  return { name: generation, from, chunks, outcome, to: from + chunks.length }
}

test(`G4 G5: two producers take a stream over at the same moment, ${ROUNDS} times`, async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const engines = [openEngine(t, { url: redis.url }), openEngine(t, { url: proxy.url })]
  const reader = openEngine(t, { url: redis.url })
  const random = createRandom()
  const counts = { chunks: 0, refused: 0, ofLosers: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    const racers = await Promise.all(
      random.shuffle(engines).map(async (engine) => {
        const producer = await engine.produce(`race-${round}`, { ifActive: 'takeover' })
        const writing = new Writing(producer, { random })
        for (let count = random.int(1, 5); count > 0; count--) writing.append()
        await writing.settle()
        return writing
      }),
    )
    // The one that came first may have written before it was taken over, but it is fenced by now.
    await deadline(Promise.all(racers.map((writing) => writing.append())), 20_000, 'the late appends settle')
    const [loser, winner] = racers.sort((one) => (one.written.at(-1)?.acknowledged ? 1 : -1))
    assert.ok(loser && winner)
    assert.deepEqual(winner.errors, [], 'one of them writes')
    assert.equal(winner.producer.signal.aborted, false)
    const codes = new Set(loser.errors.map(({ code }) => code))
    assert.deepEqual([...codes], ['ERR_FENCED'], 'the other one is fenced')
    assert.equal(loser.producer.signal.reason?.code, 'ERR_FENCED')
    assert.equal(await winner.producer.complete(), 'complete')

    const first = await generation(reader, loser.producer)
    assert.equal(first.outcome, 'interrupted: superseded')
    const second = await generation(reader, winner.producer, first.to)
    assert.equal(second.outcome, 'complete')
    checkHistory({ written: [...loser.written, ...winner.written], readers: [first, second] })
    assert.deepEqual(
      first.chunks.map(({ data }) => data),
      loser.written.filter(({ acknowledged }) => acknowledged).map(({ data }) => data),
      'what was refused with ERR_FENCED is not there',
    )
    assert.equal(second.chunks.length, winner.written.length)
    counts.chunks += second.to
    counts.refused += loser.errors.length
    counts.ofLosers += first.chunks.length
  }
  t.diagnostic(JSON.stringify(counts))
})

test('G4: two that join with share interleave, each chunk with a seq of its own', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const engines = [openEngine(t, { url: redis.url }), openEngine(t, { url: proxy.url })]
  const random = createRandom()
  const producers = await Promise.all(
    engines.map((engine) => engine.produce('shared', { ifActive: 'share' })),
  )
  assert.equal(producers[0]?.generation, producers[1]?.generation)
  const writings = producers.map((producer) => new Writing(producer, { random, everyMs: 2 }))
  const chunks = []
  const subscription = /** @type {import('..').Engine} */ (engines[0]).subscribe('shared')
  const reading = (async () => {
    for await (const { seq, data } of subscription) chunks.push({ seq, data: digest(data) })
  })()
  for (let count = 0; count < 300; count++) {
    for (const [index, writing] of random.shuffle([...writings.entries()]))
      writing.append(`${index}: ${count}`)
    if (random.chance(0.1)) await new Promise(setImmediate)
    if (random.chance(0.02)) proxy.cut()
  }
  await Promise.all(writings.map((writing) => writing.settle()))
  const outcomes = await Promise.all(producers.map((producer) => producer.complete()))
  assert.deepEqual(outcomes, ['complete', 'complete'])
  await deadline(reading, 20_000, 'the reader ends')
  const written = writings.flatMap((writing, index) =>
    writing.written.map((chunk) => ({ ...chunk, producer: `${index}` })),
  )
  assert.equal(written.length, 600)
  checkHistory({ written, readers: [{ name: 'reader', chunks, outcome: subscription.outcome }] })
})

test('G4: a taken over producer that Redis cannot be reached from is fenced when it comes back', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const away = openEngine(t, { url: proxy.url })
  const here = openEngine(t, { url: redis.url })
  const old = new Writing(await away.produce('cut-off'), { random: createRandom() })
  await old.append()
  await proxy.refuse(true)
  proxy.cut()
  await until(() => away.state !== 'ready')
  const late = [old.append(), old.append()]
  const next = new Writing(await here.produce('cut-off', { ifActive: 'takeover' }), {
    random: createRandom(1),
  })
  await next.append()
  await proxy.refuse(false)
  await deadline(Promise.all(late), 10_000, 'the late appends settle')
  assert.deepEqual(
    old.errors.map(({ code }) => code),
    ['ERR_FENCED', 'ERR_FENCED'],
  )
  assert.equal(old.producer.signal.reason.code, 'ERR_FENCED')
  assert.equal(await next.finish(), 'complete')
  assert.deepEqual(
    next.written.map(({ seq }) => seq),
    [2],
  )
  const first = []
  const reading = async () => {
    for await (const { seq, cursor } of here.subscribe('cut-off', { from: `${old.producer.generation}.0` }))
      first.push(seqOf(cursor) === seq && seq)
  }
  await assert.rejects(reading(), { code: 'ERR_INTERRUPTED', reason: 'superseded' })
  assert.deepEqual(first, [1])
})

test('G4: what a fenced producer could not write is shown to nobody while Redis can be reached', async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const slow = openEngine(t, { url: proxy.url })
  const old = await slow.produce('slow')
  const reader = follow(slow, 'slow')
  await old.append('written')
  await reader.has(1)
  proxy.delay(500)
  const next = await openEngine(t, { url: redis.url }).produce('slow', { ifActive: 'takeover' })
  await assert.rejects(old.append('never'), { code: 'ERR_FENCED' })
  proxy.delay(0)
  await reader.end()
  assert.deepEqual([reader.outcome, reader.error?.reason], ['interrupted', 'superseded'])
  assert.deepEqual(
    reader.chunks.map(({ data }) => data),
    ['written'],
  )
  assert.ok(!slow.states.includes('degraded'), `${slow.states}`)
  await next.complete()
})

/** @type {{ name: string, oldFirst: boolean, isIdle: boolean }[]} */
const RETURNS = [
  { name: 'its successor is the first to come back', oldFirst: false, isIdle: false },
  { name: 'it comes back first, and its successor writes on', oldFirst: true, isIdle: false },
  { name: 'it comes back first, and its successor is idle', oldFirst: true, isIdle: true },
]

for (const { name, oldFirst, isIdle } of RETURNS) {
  test(`G1 G4: a producer is taken over without hearing of it, Redis loses everything: ${name}`, async (t) => {
    const redis = await openRedis(t)
    const proxy = await openProxy(t, redis.url)
    const away = openEngine(t, { url: proxy.url, lease: '3s' })
    const here = openEngine(t, { url: redis.url, lease: '3s' })
    const there = openEngine(t, { url: redis.url, lease: '3s', connectTimeout: '6s' })
    const old = new Writing(await away.produce('lost'), { random: createRandom() })
    await Promise.all([old.append(), old.append()])
    await proxy.refuse(true)
    proxy.cut()
    await until(() => away.state !== 'ready')
    const next = new Writing(await here.produce('lost', { ifActive: 'takeover' }), {
      random: createRandom(1),
    })
    await Promise.all([next.append(), next.append()])
    const readings = [here, there].map((engine, index) =>
      new Reading(engine, 'lost', { name: `reader ${index}`, random: createRandom(2), stay: null }).start(),
    )
    await until(() => readings.every(({ chunks }) => chunks === 2))

    await redis.admin.cmd('FLUSHALL')
    const current = async () => (await there.status('lost'))?.generation
    if (oldFirst) {
      await proxy.refuse(false)
      await old.append()
      const since = performance.now()
      // The successor may be faster to find it out than this test.
      assert.ok([old.producer.generation, next.producer.generation].includes((await current()) ?? ''))
      if (!isIdle) await next.append()
      await until(async () => (await current()) === next.producer.generation)
      t.diagnostic(`its successor is back after ${Math.round(performance.now() - since)} ms`)
    } else {
      await next.append()
      await proxy.refuse(false)
    }
    await until(() => old.producer.signal.aborted, { message: 'the old producer is told' })
    assert.equal(old.producer.signal.reason.code, 'ERR_FENCED')
    await old.append()
    assert.equal(old.errors.at(-1)?.code, 'ERR_FENCED')
    await next.append()
    assert.equal(await next.finish(), 'complete')
    assert.deepEqual(next.errors, [])
    const found = await generation(there, next.producer, 2)
    assert.equal(found.outcome, 'complete')
    await deadline(Promise.all(readings.map(({ done }) => done)), 10_000, 'the readers end')
    const readers = [found, ...readings.flatMap(({ sessions }) => sessions)]
    for (const { outcome } of readers) assert.equal(outcome, 'complete')
    checkHistory({ written: next.written, first: 3, readers })
  })
}

test('G4: two were taken over without hearing of it, and Redis loses everything twice', async (t) => {
  const redis = await openRedis(t)
  const here = openEngine(t, { url: redis.url })
  const random = createRandom()
  const old = []
  for (let index = 0; index < 2; index++) {
    const proxy = await openProxy(t, redis.url)
    const away = openEngine(t, { url: proxy.url })
    const producer = await away.produce('twice', { ifActive: 'takeover' })
    const writing = new Writing(producer, { random })
    await writing.append()
    await proxy.refuse(true)
    proxy.cut()
    await until(() => away.state !== 'ready')
    old.push({ proxy, writing })
  }
  const next = new Writing(await here.produce('twice', { ifActive: 'takeover' }), { random })
  await next.append()
  for (const { proxy, writing } of old) {
    await redis.admin.cmd('FLUSHALL')
    await proxy.refuse(false)
    await writing.append()
    await next.append()
    await until(() => writing.producer.signal.aborted)
    assert.equal(writing.producer.signal.reason.code, 'ERR_FENCED')
  }
  assert.equal(await next.finish(), 'complete')
  assert.deepEqual(next.errors, [])
  const found = await generation(here, next.producer, 2)
  checkHistory({ written: next.written, first: 3, readers: [found] })
})
