// What is in Redis changes or vanishes underneath: readers get the right data or an error that says so.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkWritings, openEngine, openRedis, replay, test } from '../support/fault-scene.mjs'
import { histories, startReaders, Writing } from '../support/fault-work.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { deadline, failureOf, until } from '../support/wait.mjs'

/**
 * A stream that is being written, with readers in the producer's engine and in another.
 * @param {import('node:test').TestContext} t
 * @param {string} id
 * @param {import('..').EngineOptions} [options]
 */
async function flow(t, id, options) {
  const redis = await openRedis(t)
  const here = openEngine(t, { url: redis.url, keyPrefix: 'test-data', ...options })
  const there = openEngine(t, { url: redis.url, keyPrefix: 'test-data', ...options })
  const random = createRandom()
  const near = startReaders(here, [id], { each: 2, name: 'near ', random, stay: null })
  const far = startReaders(there, [id], { each: 2, name: 'far ', random, stay: null })
  const writing = new Writing(await here.produce(id), { random, everyMs: 5 }).start()
  const readers = [...near.values(), ...far.values()].flat()
  const moves = async () => {
    const before = { seen: readers.map(({ chunks }) => chunks), accepted: writing.accepted }
    const moved = () =>
      writing.accepted > before.accepted + 50 &&
      readers.every(({ chunks }, index) => chunks > (before.seen[index] ?? 0) + 50)
    await until(moved, { message: () => `${JSON.stringify(before)}: ${readers.map(({ chunks }) => chunks)}` })
  }
  await moves()
  return {
    redis,
    here,
    there,
    writing,
    moves,
    log: `{test-data:${id}}:log`,
    sealed: `{test-data:${id}}:sealed`,
    parts: async () => [await histories(near, 10_000), await histories(far, 10_000)],
  }
}

/** The error of a subscription, and the chunks before it. @param {import('..').Subscription} subscription */
async function failure(subscription) {
  const chunks = []
  const reading = async () => {
    for await (const { seq } of subscription) chunks.push(seq)
  }
  const error = await deadline(failureOf(reading()), 10_000, 'the reader ends')
  return { chunks, error, outcome: subscription.outcome }
}

for (const command of ['FLUSHALL', 'SCRIPT FLUSH', 'SCRIPT FLUSH SYNC']) {
  test(`G1 G2 G3: ${command} while chunks flow`, async (t) => {
    const { redis, here, writing, moves, parts } = await flow(t, 'flush')
    for (let round = 0; round < 10; round++) {
      await redis.admin.cmd(...command.split(' '))
      await moves()
    }
    await writing.finish()
    await checkWritings(here, [writing], ...(await parts()))
  })
}

test('G1: the log is deleted while chunks flow: live readers go on, others get a gap', async (t) => {
  const { redis, there, writing, moves, parts, log } = await flow(t, 'log', { compression: false })
  assert.equal(await redis.admin.cmd('DEL', log), 1)
  const gone = writing.accepted
  await moves()
  const { chunks, error } = await failure(there.subscribe('log'))
  assert.deepEqual(chunks, [])
  assert.equal(error?.code, 'ERR_GAP', `${error}`)
  assert.equal(error.streamId, 'log')
  await writing.finish()
  const rest = await replay(there, 'log', error.resume)
  const from = (rest.chunks[0]?.seq ?? 0) - 1
  assert.ok(Math.abs(from - gone) < 50, `the rest begins after ${from}, the log was deleted at ${gone}`)
  const readers = (await parts()).flatMap((part) => part.log ?? [])
  for (const { outcome } of readers) assert.equal(outcome, 'complete')
  checkHistory({ written: writing.written, readers: [...readers, { ...rest, from }] })
})

test('G1: the log of a stream that has ended is deleted: a gap, not a quiet end', async (t) => {
  const { redis, there, writing, sealed } = await flow(t, 'ended')
  await writing.finish()
  const last = writing.written.length
  const middle = await failure(
    there.subscribe('ended', { from: `${writing.producer.generation}.${last - 10}` }),
  )
  assert.equal(middle.chunks.length, 10)
  assert.equal(await redis.admin.cmd('DEL', sealed), 1)
  for (const from of ['start', `${writing.producer.generation}.${last - 10}`]) {
    const { chunks, error, outcome } = await failure(there.subscribe('ended', { from }))
    assert.deepEqual(chunks, [])
    assert.equal(error?.code, 'ERR_GAP', `from ${from}: ${error ?? outcome}`)
    const after = await replay(there, 'ended', error.resume)
    assert.deepEqual([after.chunks, after.outcome], [[], 'complete'])
  }
  const end = await failure(there.subscribe('ended', { from: `${writing.producer.generation}.${last}` }))
  assert.deepEqual([end.error, end.outcome], [undefined, 'complete'], 'whoever has seen all misses nothing')
})

test('G1: entries are taken out of the log: each way of losing some is a gap', async (t) => {
  const { redis, there, writing, log } = await flow(t, 'holes', { compression: false })
  await writing.finish()
  /** @type {[string, string[]][]} ids with their fields */
  const entries = await redis.admin.cmd('XRANGE', log, '-', '+')
  const ids = entries.filter(([, [field]]) => field === 'f').map(([id]) => id)
  const lasts = ids.map((id) => Number(id.split('-')[1]))
  const cut = Math.floor(ids.length / 2)
  await redis.admin.cmd('XDEL', log, ids[cut])
  const hole = await failure(there.subscribe('holes'))
  assert.equal(hole.error?.code, 'ERR_GAP', `${hole.error ?? hole.outcome}`)
  assert.equal(hole.chunks.at(-1) ?? 0, hole.chunks.length, 'no gap before it')
  assert.ok(hole.chunks.length <= /** @type {number} */ (lasts[cut - 1]))
  const rest = await replay(there, 'holes', hole.error.resume)
  assert.equal(rest.chunks[0]?.seq, /** @type {number} */ (lasts[cut]) + 1)
  assert.equal(rest.chunks.at(-1)?.seq, writing.written.length)

  await redis.admin.cmd('XTRIM', log, 'MINID', /** @type {string} */ (ids[cut + 5]))
  const head = await failure(there.subscribe('holes'))
  assert.deepEqual(head.chunks, [])
  assert.equal(head.error?.code, 'ERR_GAP', `${head.error ?? head.outcome}`)

  await redis.admin.cmd('XDEL', log, ...ids.slice(-3))
  const tail = await failure(there.subscribe('holes', { from: head.error.resume }))
  assert.equal(tail.error?.code, 'ERR_GAP', `${tail.error ?? tail.outcome}`)
})

test('a damaged frame is ERR_CORRUPT, with stream and seq, for those who read it and nobody else', async (t) => {
  // Sealing would write the frame anew, from the producer's memory.
  const { redis, here, there, writing, moves, parts, log } = await flow(t, 'damaged', { compression: false })
  /** @type {string[]} */
  const ids = (await redis.admin.cmd('XRANGE', log, '-', '+')).map((/** @type {[string]} */ [id]) => id)
  const id = /** @type {string} */ (ids[Math.floor(ids.length / 2)])
  const seq = Number(id.split('-')[1])
  // Writes the log anew, in one step, with other bytes in that entry.
  const damage = `
    local entries = redis.call('XRANGE', KEYS[1], '-', '+')
    redis.call('DEL', KEYS[1])
    for _, entry in ipairs(entries) do
      local frame = entry[1] == ARGV[1] and ARGV[2] or entry[2][2]
      redis.call('XADD', KEYS[1], entry[1], entry[2][1], frame)
    end`
  await redis.admin.cmd('EVAL', damage, 1, log, id, Buffer.from([0, 1, 200, 1, 65]))
  for (const engine of [here, there]) {
    const { error } = await failure(engine.subscribe('damaged'))
    assert.equal(error?.code, 'ERR_CORRUPT', `${error}`)
    assert.equal(error.streamId, 'damaged')
    assert.match(error.message, new RegExp(`damaged.*\\b${seq}\\b`))
    assert.equal(error.retryable, false)
  }
  await moves()
  await writing.finish()
  const after = await replay(there, 'damaged', `${writing.producer.generation}.${seq}`)
  const readers = (await parts()).flatMap((part) => part.damaged ?? [])
  for (const { outcome } of readers) assert.equal(outcome, 'complete')
  checkHistory({ written: writing.written, readers: [...readers, { ...after, from: seq }] })
})

test('G2: Redis is out of memory for a while', async (t) => {
  const { redis, here, there, writing, moves, parts } = await flow(t, 'memory')
  const waiting = openEngine(t, { url: redis.url, keyPrefix: 'test-data', connectTimeout: 500 })
  await redis.admin.cmd('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  await redis.admin.cmd('CONFIG', 'SET', 'maxmemory', 1_000)
  await assert.rejects(waiting.stop('other'), (/** @type {any} */ error) => {
    assert.equal(error.code, 'ERR_STORE')
    assert.equal(error.retryable, true)
    assert.match(error.message, /OOM/)
    return true
  })
  const stuck = writing.accepted
  await until(() => writing.written.length > stuck + 100)
  assert.equal(writing.accepted, stuck, 'nothing is acknowledged meanwhile')
  assert.equal((await there.status('memory'))?.lastSeq, stuck, 'asking works')
  const late = startReaders(there, ['memory'], { each: 1, name: 'late ', stay: null })
  const [reader] = late.get('memory') ?? []
  await until(() => reader?.chunks === stuck, {
    message: () => `reading works: ${reader?.chunks} of ${stuck}`,
  })
  await redis.admin.cmd('CONFIG', 'SET', 'maxmemory', 0)
  await moves()
  await writing.finish()
  await checkWritings(here, [writing], ...(await parts()), await histories(late, 10_000))
  assert.equal(await waiting.stop('other'), 'kept')
})

/** Takes a copy of a stream; the function that is returned puts it in the place of what has become of it since. */
async function snapshot(
  /** @type {import('../support/redis-server.mjs').RedisServer} */ { admin },
  /** @type {string} */ id,
) {
  const parts = ['meta', 'log', 'sealed'].map((part) => `{test-data:${id}}:${part}`)
  // In one step: a seal between two copies would make a stream of them that there never was.
  await admin.cmd('MULTI')
  for (const key of parts) await admin.cmd('COPY', key, `${key}-then`)
  const copied = await admin.cmd('EXEC')
  return async () => {
    await admin.cmd('MULTI')
    for (const [index, key] of parts.entries()) {
      if (copied[index] === 1) await admin.cmd('COPY', `${key}-then`, key, 'REPLACE')
      else await admin.cmd('DEL', key)
    }
    await admin.cmd('EXEC')
  }
}

/** Waits until every producer of a stream has renewed its lease. */
async function renewed(
  /** @type {import('../support/redis-server.mjs').RedisServer} */ { admin },
  /** @type {string} */ id,
) {
  const leases = async () => {
    const fields = await admin.cmd('HGETALL', `{test-data:${id}}:meta`)
    const at = fields.flatMap((/** @type {string} */ field, /** @type {number} */ index) =>
      field.startsWith('p:') ? [index + 1] : [],
    )
    return at.map((/** @type {number} */ index) => Number(fields[index].split(' ')[2]))
  }
  const before = await leases()
  await until(async () => (await leases()).every((lease, index) => lease > before[index]))
}

for (const { name, finds } of [
  { name: 'who has written what is lost', finds: (/** @type {Writing[]} */ [first]) => first?.append() },
  { name: 'who has only heard of it', finds: (/** @type {Writing[]} */ [, , third]) => third?.append() },
  {
    name: 'who has renewed its lease since',
    finds: (/** @type {Writing[]} */ [, , , fourth]) => fourth?.append(),
  },
  { name: 'who wants to end', finds: (/** @type {Writing[]} */ [first]) => first?.producer.complete() },
  { name: 'who is idle', finds: () => {} },
]) {
  test(`G1 G2: the last chunks of a shared generation are lost: nobody goes on, found out by one ${name}`, async (t) => {
    const redis = await openRedis(t)
    const options = { url: redis.url, keyPrefix: 'test-data', lease: 2_000 }
    const engines = Array.from({ length: 4 }, () => openEngine(t, options))
    const produced = engines.map((engine) => engine.produce('shared', { ifActive: 'share' }))
    const random = createRandom()
    const writings = (await Promise.all(produced)).map((producer) => new Writing(producer, { random }))
    const [first, second] = /** @type {[Writing, Writing]} */ (writings.slice(0, 2))
    const reader = /** @type {import('..').Engine} */ (engines[2])
    const early = startReaders(reader, ['shared'], { each: 1, name: 'early ', random, stay: null })
    for (const writing of writings) await writing.append()
    const revert = await snapshot(redis, 'shared')
    for (let count = 0; count < 3; count++) for (const writing of [first, second]) await writing.append()
    await until(() => early.get('shared')?.[0]?.chunks === 10)
    await renewed(redis, 'shared')

    await revert()
    await Promise.resolve(finds(writings)).catch((error) => assert.equal(error.code, 'ERR_INTERRUPTED'))
    for (const { producer } of writings) {
      await until(() => producer.signal.aborted, { message: 'every producer is told' })
      assert.equal(producer.signal.reason.code, 'ERR_INTERRUPTED')
      assert.equal(producer.signal.reason.reason, 'lost')
      await assert.rejects(producer.append('late'), { code: 'ERR_INTERRUPTED', reason: 'lost' })
    }
    const { state, reason, lastSeq } = (await reader.status('shared')) ?? {}
    assert.deepEqual({ state, reason, lastSeq }, { state: 'interrupted', reason: 'lost', lastSeq: 4 })
    const parts = await histories(early, 10_000)
    const late = startReaders(openEngine(t, options), ['shared'], { each: 1, name: 'late ', stay: null })
    const readers = [...(parts.shared ?? []), ...((await histories(late, 10_000)).shared ?? [])]
    assert.deepEqual(
      readers.map(({ outcome }) => outcome),
      ['interrupted: lost', 'interrupted: lost'],
    )
    assert.deepEqual(readers[1]?.chunks, readers[0]?.chunks.slice(0, 4), 'no cursor stands for two chunks')
  })
}

for (const [name, lost] of /** @type {const} */ ([
  ['chunks', Array.from({ length: 15 }, (_, index) => `${index} ${'x'.repeat(100_000)}`)],
  ['large chunks', ['x'.repeat(17 << 20), 'y'.repeat(17 << 20)]],
])) {
  test(`G1 G2 G7: more ${name} are lost than their only producer keeps: the generation ends, and no chunk is under another number`, async (t) => {
    const redis = await openRedis(t)
    const engine = openEngine(t, { url: redis.url, keyPrefix: 'test-data', compression: false })
    const writing = new Writing(await engine.produce('alone'), { random: createRandom() })
    for (let count = 0; count < 3; count++) await writing.append()
    const revert = await snapshot(redis, 'alone')
    for (const chunk of lost) await writing.append(chunk)
    await revert()
    await writing.append()
    assert.deepEqual([writing.errors[0]?.code, writing.errors[0]?.reason], ['ERR_INTERRUPTED', 'lost'])
    const { state, reason, lastSeq } = (await engine.status('alone')) ?? {}
    assert.deepEqual({ state, reason, lastSeq }, { state: 'interrupted', reason: 'lost', lastSeq: 3 })
    const { error, chunks } = await failure(
      openEngine(t, { url: redis.url, keyPrefix: 'test-data' }).subscribe('alone'),
    )
    assert.deepEqual([error?.code, error?.reason, chunks], ['ERR_INTERRUPTED', 'lost', [1, 2, 3]])
  })
}

test('G4: somebody else has written to the generation of an only producer: it is fenced', async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url, keyPrefix: 'test-data' })
  const producer = await engine.produce('ahead')
  await producer.append('first')
  await redis.admin.cmd('HSET', '{test-data:ahead}:meta', 'h', 0, 'q', 9)
  await assert.rejects(producer.append('second'), { code: 'ERR_FENCED' })
  assert.equal((await engine.status('ahead'))?.lastSeq, 9, 'nothing was written')
})

test('G1: a reader that looks after a while is given what is there before it is told of a gap', async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url, keyPrefix: 'test-data', compression: false })
  const writing = new Writing(await engine.produce('behind'), { random: createRandom() })
  for (let count = 0; count < 20; count++) await writing.append('chunk')
  await redis.admin.cmd('XDEL', '{test-data:behind}:log', '1-11')
  const subscription = openEngine(t, { url: redis.url, keyPrefix: 'test-data' }).subscribe('behind')
  // Past the time for which a page waits for a reader that has not asked.
  await sleep(1_500)
  const { error, chunks } = await failure(subscription)
  assert.deepEqual([error?.code, chunks.length], ['ERR_GAP', 10])
})

test('G1: whoever has seen what Redis has lost since is told so before a later generation has the same numbers', async (t) => {
  const redis = await openRedis(t)
  const [here, there] = ['here', 'there'].map(() => openEngine(t, { url: redis.url, keyPrefix: 'test-data' }))
  const old = await here.produce('back')
  for (const chunk of ['one', 'two', 'three']) await old.append(chunk)
  const revert = await snapshot(redis, 'back')
  const chunks = there.subscribe('back', { follow: 'all' })[Symbol.asyncIterator]()
  const next = async () => (await deadline(chunks.next(), 20_000, 'a chunk')).value
  for (const chunk of ['four', 'five']) await old.append(chunk)
  await old.complete()
  const seen = []
  for (let count = 0; count < 5; count++) seen.push((await next()).text())
  assert.deepEqual(seen, ['one', 'two', 'three', 'four', 'five'])
  await revert()
  const producer = await here.produce('back', { ifActive: 'takeover' })
  await producer.append('another four')
  const gap = await deadline(
    chunks.next().then(
      ({ value }) => value,
      (error) => error,
    ),
    20_000,
    'the gap',
  )
  assert.deepEqual([gap.code, gap.resume], ['ERR_GAP', `${producer.generation}.3`])
  await producer.complete()
  const { chunks: rest, outcome } = await failure(there.subscribe('back', { from: gap.resume }))
  assert.deepEqual([rest, outcome], [[4], 'complete'])
})

test('G5: a stream that is put back is listed again, and its end is announced', async (t) => {
  const redis = await openRedis(t)
  const here = openEngine(t, { url: redis.url })
  const there = openEngine(t, { url: redis.url })
  const producer = await here.produce('back')
  await producer.append('one')
  await redis.admin.cmd('FLUSHALL')
  await producer.append('two')
  const isListed = async () => {
    for await (const { streamId } of there.streams()) if (streamId === 'back') return true
  }
  await until(isListed, { timeout: 20_000, message: 'it is listed' })
  const isOpen = async () => (await redis.admin.cmd('ZCARD', 'tidemark:{finished}:open')) === 1
  await until(isOpen, { timeout: 20_000, message: 'it is noted as open' })
  await producer.complete()
})
