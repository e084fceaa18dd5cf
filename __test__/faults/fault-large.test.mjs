// What goes wrong between the pieces of a large chunk: a chunk is there as a whole or not at all, once.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { startChild } from '../support/child.mjs'
import { openEngine, openProxy, openRedis, test } from '../support/fault-scene.mjs'
import { follow } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const MIB = 1 << 20
/** Slows every command down, so that there is a between. */
const DELAY_MS = 10

/** @param {string | Uint8Array} data */
const digest = (data) => `${data.length}: ${createHash('sha1').update(data).digest('hex')}`

/** @param {{ seq: number, data: string | Uint8Array }[]} chunks */
const digests = (chunks) => chunks.map(({ seq, data }) => [seq, digest(data)])

/** @param {string} prefix @param {string} id */
const keysOf = (prefix, id) => [`{${prefix}:${id}}:large:0`, `{${prefix}:${id}}:large:1`]

/** Waits until so many pieces are there. @param {any} redis @param {string[]} keys @param {number} count */
async function pieces(redis, keys, count) {
  const present = async () => {
    const lengths = await Promise.all(keys.map((key) => redis.admin.cmd('HLEN', key)))
    return lengths.reduce((sum, length) => sum + length, 0) >= count
  }
  await until(present, { interval: 1, message: `${count} pieces` })
}

/** @param {any} t */
async function scene(t) {
  const redis = await openRedis(t)
  const proxy = await openProxy(t, redis.url)
  const keyPrefix = 'test-large'
  const slow = openEngine(t, { url: proxy.url, keyPrefix })
  const fast = openEngine(t, { url: redis.url, keyPrefix })
  return { redis, proxy, keyPrefix, slow, fast }
}

test('G3 G5: a producer that is killed between pieces leaves a whole chunk or none', async (t) => {
  const { redis, proxy, keyPrefix, fast } = await scene(t)
  const options = { url: proxy.url, keyPrefix, lease: 1000 }
  const reader = follow(fast, 'killed')
  const WORK = JSON.stringify({ streamId: 'killed', options, bytes: 4 * MIB })
  const child = startChild(new URL('../children/large-writer.mjs', import.meta.url), { env: { WORK } })
  await child.next('accepted')
  proxy.delay(DELAY_MS)
  await child.next('writing')
  await pieces(redis, keysOf(keyPrefix, 'killed'), 17 + 5)
  await child.kill()
  await reader.end()
  assert.equal(reader.outcome, 'interrupted')
  const whole = [0, 1, 2].slice(0, reader.chunks.length)
  assert.ok(whole.length >= 1)
  assert.deepEqual(
    digests(reader.chunks),
    whole.map((round) => [round + 1, digest(`${round} `.repeat(2 * MIB))]),
  )
  for (let generation = 0; generation < 2; generation++) await (await fast.produce('killed')).complete()
  const left = await Promise.all(keysOf(keyPrefix, 'killed').map((key) => redis.admin.cmd('EXISTS', key)))
  assert.deepEqual(left, [0, 0], 'what it left behind goes with its generation')
})

test('G4: a takeover between pieces fences the producer, and nobody sees its chunk', async (t) => {
  const { redis, proxy, keyPrefix, slow, fast } = await scene(t)
  const first = await slow.produce('taken')
  await first.append('before')
  proxy.delay(DELAY_MS)
  const refused = assert.rejects(first.append('x'.repeat(8 * MIB)), { code: 'ERR_FENCED' })
  await pieces(redis, keysOf(keyPrefix, 'taken'), 5)
  const second = await fast.produce('taken', { ifActive: 'takeover' })
  await second.append('y'.repeat(2 * MIB))
  await second.complete()
  await refused
  const reader = await follow(fast, 'taken').end()
  assert.deepEqual(digests(reader.chunks), [[2, digest('y'.repeat(2 * MIB))]])
})

for (const persistence of ['none', 'aof']) {
  test(`G2 G3 G8: Redis restarts between pieces, persistence: ${persistence}`, async (t) => {
    const redis = await openRedis(t, { aof: persistence === 'aof' })
    const proxy = await openProxy(t, redis.url)
    const keyPrefix = 'test-large'
    const here = openEngine(t, { url: proxy.url, keyPrefix })
    const there = openEngine(t, { url: redis.url, keyPrefix })
    const producer = await here.produce('restart')
    const chunks = ['before', 'a'.repeat(2 * MIB), 'é'.repeat(2 * MIB), 'b'.repeat(3 * MIB), 'after']
    const readers = [follow(here, 'restart', { name: 'here' }), follow(there, 'restart', { name: 'there' })]
    await producer.append(chunks[0] ?? '')
    await producer.append(chunks[1] ?? '')
    for (const reader of readers) await reader.has(2)
    proxy.delay(DELAY_MS)
    const rest = chunks.slice(2).map((chunk) => producer.append(chunk))
    await pieces(redis, keysOf(keyPrefix, 'restart'), 9 + 10)
    await redis.stop('SIGKILL')
    proxy.delay(0)
    // While Redis is away, local readers get what waits from the producer's memory.
    await readers[0]?.has(5)
    await redis.start()
    assert.deepEqual(
      await Promise.all(rest),
      [3, 4, 5].map((seq) => `${producer.generation}.${seq}`),
    )
    await producer.complete()
    const expected = chunks.map((chunk, index) => [index + 1, digest(chunk)])
    for (const reader of readers) {
      await reader.end()
      assert.deepEqual(
        [reader.name, reader.outcome, digests(reader.chunks)],
        [reader.name, 'complete', expected],
      )
    }
    const late = await follow(there, 'restart', { from: `${producer.generation}.1`, after: 1 }).end()
    assert.deepEqual(digests(late.chunks), expected.slice(1))
  })
}

test('G1 G3: connections that break between pieces double nothing', async (t) => {
  const { redis, proxy, keyPrefix, slow, fast } = await scene(t)
  const producer = await slow.produce('broken')
  const reader = follow(fast, 'broken')
  proxy.delay(DELAY_MS)
  const chunk = 'z'.repeat(6 * MIB)
  const appended = producer.append(chunk)
  for (const count of [4, 9, 15]) {
    await pieces(redis, keysOf(keyPrefix, 'broken'), count)
    proxy.cut()
  }
  await appended
  await producer.append('after')
  await producer.complete()
  await reader.end()
  assert.deepEqual(digests(reader.chunks), [
    [1, digest(chunk)],
    [2, digest('after')],
  ])
  const status = await fast.status('broken')
  assert.ok(status && status.bytes < 6 * MIB + 1000, `${status?.bytes} bytes are counted`)
})

for (const kind of ['producer', 'log']) {
  test(`G2 G3: a ${kind} writes pieces again that are evicted before their chunk stands, and gives up in the end`, async (t) => {
    const { redis, proxy, keyPrefix, slow, fast } = await scene(t)
    const keys = keysOf(keyPrefix, kind)
    const producer = kind === 'producer' ? await slow.produce(kind) : undefined
    const log = slow.log(kind)
    if (!producer) await log.create()
    const append = (/** @type {string} */ data) => (producer ? producer.append(data) : log.append([data]))
    const reader = follow(fast, kind)
    proxy.delay(DELAY_MS)
    const chunk = 'e'.repeat(3 * MIB)
    const appended = append(chunk)
    for (const count of [3, 9]) {
      await pieces(redis, keys, count)
      await redis.admin.cmd('DEL', ...keys)
    }
    if (producer) {
      // All 12 and their number are there, and the chunk does not stand yet.
      proxy.delay(100)
      await pieces(redis, keys, 11)
      proxy.delay(500)
      await pieces(redis, keys, 13)
      const evict = `if redis.call('HGET', KEYS[1], 'q') == '0' then redis.call('DEL', KEYS[2], KEYS[3]) end`
      await redis.admin.cmd('EVAL', evict, 3, `{${keyPrefix}:${kind}}:meta`, ...keys)
      proxy.delay(DELAY_MS)
    }
    await appended
    await reader.has(1)
    assert.deepEqual(digests(reader.chunks), [[1, digest(chunk)]])

    let isOver = false
    const evict = async () => {
      while (!isOver) await redis.admin.cmd('DEL', ...keys)
    }
    const evicting = evict()
    const code = producer ? 'ERR_INTERRUPTED' : 'ERR_STORE'
    await assert.rejects(deadline(append(chunk), 30_000, 'it gives up'), { code })
    isOver = true
    await evicting
    if (producer) {
      await reader.end()
      assert.deepEqual([reader.outcome, reader.error.reason], ['interrupted', 'lost'])
    } else {
      await append('after')
      await reader.has(2)
    }
    assert.deepEqual(digests(reader.chunks.slice(1)), producer ? [] : [[2, digest('after')]])
  })
}

for (const name of ['a subscription', 'an event stream', 'a group']) {
  test(`G1 G8: Redis goes away while ${name} fetches a large chunk, which comes whole when it is back`, async (t) => {
    const redis = await openRedis(t)
    const proxy = await openProxy(t, redis.url)
    const keyPrefix = 'test-large'
    const engine = openEngine(t, { url: proxy.url, keyPrefix, connectTimeout: 1_000, commandTimeout: 1_000 })
    const writer = openEngine(t, { url: redis.url, keyPrefix })
    const producer = await writer.produce('fetched')
    const chunk = 'é'.repeat(3 * MIB)
    await engine.status('fetched')
    proxy.delay(DELAY_MS)
    await producer.append(chunk)
    await producer.append('after')
    await producer.complete()
    const read = async () => {
      if (name === 'an event stream') {
        const response = await engine.respond(new Request('http://localhost'), 'fetched')
        const text = await response.text()
        return [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data)
      }
      const loop =
        name === 'a group'
          ? engine.consume('fetched', { group: 'workers', consumer: 'a' })
          : engine.subscribe('fetched')
      const texts = []
      for await (const item of loop) {
        texts.push(item.text())
        if ('ack' in item) await /** @type {any} */ (item).ack()
      }
      return texts
    }
    const reading = read()
    const isFetching = async () => (await redis.admin.clients()).some(({ cmd }) => cmd === 'hget')
    await until(isFetching, { interval: 1, message: 'a piece is asked for' })
    proxy.blackhole(true)
    await until(() => engine.state === 'degraded', { message: 'the engine has noticed' })
    // Longer than any command waits.
    await assert.rejects(engine.status('fetched'), { code: 'ERR_CONNECTION' })
    proxy.delay(0)
    proxy.blackhole(false)
    const texts = await deadline(reading, 20_000, `${name} ends`)
    assert.deepEqual(
      texts.slice(0, 2).map((text) => digest(text ?? '')),
      [digest(chunk), digest('after')],
    )
  })
}

test('G1 G2: a large chunk of a producer that idles is put back after a loss of everything', async (t) => {
  const redis = await openRedis(t)
  const keyPrefix = 'test-large'
  const engine = openEngine(t, { url: redis.url, keyPrefix, lease: 1_500 })
  const other = openEngine(t, { url: redis.url, keyPrefix })
  const producer = await engine.produce('idle')
  const large = 'idle '.repeat(MIB)
  await producer.append(large)
  const entry = async () => {
    const flat = await redis.admin.cmd('HGETALL', `{${keyPrefix}:idle}:meta`)
    return flat.find((_, index) => index > 0 && `${flat[index - 1]}`.startsWith('p:'))
  }
  const before = await entry()
  await until(async () => (await entry()) !== before, { timeout: 20_000, message: 'its lease is renewed' })
  await redis.admin.cmd('FLUSHALL')
  await producer.append('after')
  await producer.complete()
  const reader = await follow(other, 'idle').end()
  assert.deepEqual(digests(reader.chunks), [
    [1, digest(large)],
    [2, digest('after')],
  ])
})
