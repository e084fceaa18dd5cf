// Producers race for one stream: one writes, and no generation holds a chunk of another's.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openEngine, openProxy, openRedis } from './children/fault-scene.mjs'
import { digest, seqOf, Writing } from './children/fault-work.mjs'
import { checkHistory } from './support/history.mjs'
import { createRandom } from './support/seed.mjs'
import { deadline, until } from './support/wait.mjs'

/** A promise that never settles is a failure, not a hang. */
const LIMIT = { timeout: 60_000 }

const ROUNDS = 50

/** @param {string} cursor */
const generationOf = (cursor) => cursor.slice(0, cursor.lastIndexOf('.'))

test(`G4 G5: two producers take a stream over at the same moment, ${ROUNDS} times`, LIMIT, async (t) => {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const engines = [openEngine(t, { url: redis.url }), openEngine(t, { url: proxy.url })]
  const random = createRandom()

  /** @type {{ seq: number, data: string, generation: string }[]} */
  const seen = []
  const following = new AbortController()
  const follower = (async () => {
    const options = /** @type {const} */ ({ follow: 'all', signal: following.signal })
    for await (const { seq, data, cursor } of openEngine(t, { url: redis.url }).subscribe('race', options)) {
      seen.push({ seq, data: digest(data), generation: generationOf(cursor) })
    }
  })()
  follower.catch(() => {})

  /** @type {Writing[]} */
  const all = []
  for (let round = 0; round < ROUNDS; round++) {
    const racers = await Promise.all(
      random.shuffle(engines).map(async (engine) => {
        const producer = await engine.produce('race', { ifActive: 'takeover' })
        const writing = new Writing(producer, { random })
        for (let count = random.int(1, 5); count > 0; count--) writing.append()
        await writing.settle()
        return writing
      }),
    )
    all.push(...racers)
    // The one that came first may have written before it was taken over, but it is fenced by now.
    const late = racers.map((writing) => writing.append())
    await deadline(Promise.all(late), 5_000, 'the late appends settle')
    const winners = racers.filter(({ written }) => written.at(-1)?.acknowledged)
    assert.equal(winners.length, 1, 'one of them writes')
    for (const { producer, errors } of racers) {
      assert.deepEqual(
        errors.map(({ code }) => code),
        Array(errors.length).fill('ERR_FENCED'),
      )
      assert.equal(producer.signal.aborted, errors.length > 0)
      if (producer.signal.aborted) assert.equal(producer.signal.reason.code, 'ERR_FENCED')
    }
    if (random.chance(0.5)) assert.equal(await winners[0]?.producer.complete(), 'complete')
  }
  const status = await engines[0]?.status('race')
  await until(() => seen.at(-1)?.seq === status?.lastSeq, {
    message: () => `${seen.at(-1)?.seq} of ${status?.lastSeq}`,
  })
  following.abort()
  await assert.rejects(follower, { name: 'AbortError' })

  checkHistory({
    written: all.flatMap(({ written }) => written),
    readers: [{ name: 'follower', chunks: seen, outcome: 'left', to: status?.lastSeq }],
  })
  const generations = new Map(all.map((writing) => [writing.producer.generation, writing]))
  for (const { data, generation } of seen) {
    const writing = generations.get(generation)
    assert.ok(
      writing?.written.some((chunk) => chunk.data === data),
      `${data} is in the generation ${generation} of another`,
    )
  }
  const refused = all.flatMap(({ written }) => written.filter(({ acknowledged }) => !acknowledged))
  const landed = refused.filter(({ data }) => seen.some((chunk) => chunk.data === data))
  assert.deepEqual(landed, [], 'what was refused with ERR_FENCED is not there')
  t.diagnostic(`${seen.length} chunks, ${refused.length} refused`)
})

test('G4: two that join with share interleave, each chunk with a seq of its own', LIMIT, async (t) => {
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
  await deadline(reading, 5_000, 'the reader ends')
  const written = writings.flatMap((writing, index) =>
    writing.written.map((chunk) => ({ ...chunk, producer: `${index}` })),
  )
  assert.equal(written.length, 600)
  checkHistory({ written, readers: [{ name: 'reader', chunks, outcome: subscription.outcome }] })
})

test(
  'G4: a taken over producer that Redis cannot be reached from is fenced when it comes back',
  LIMIT,
  async (t) => {
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
  },
)
