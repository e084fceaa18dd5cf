// Chunks of up to 32 MiB: whole, in their place, once, for every kind of reader.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { follow as followUrl } from 'tidemark/client'
import { loadNative } from '../../dist/native/native.js'
import { MAX_CHUNK_BYTES } from '../../dist/options/chunk.js'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore, sharedRedis } from '../support/stores.mjs'
import { Follower, follow, useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const KIB = 1024
const MIB = 1 << 20
const LIMIT = 32 * MIB

/** What says as much of a chunk as the chunk itself, and is compared faster. @param {string | Uint8Array} data */
function digest(data) {
  const kind = typeof data === 'string' ? 'text' : 'bytes'
  return `${kind} of ${data.length}: ${createHash('sha1').update(data).digest('hex')}`
}

/** @param {{ seq: number, data: string | Uint8Array }[]} chunks */
const digests = (chunks) => chunks.map(({ seq, data }) => ({ seq, data: digest(data) }))

/** @param {(string | Uint8Array)[]} chunks */
const written = (chunks) => chunks.map((data, index) => ({ data: digest(data), seq: index + 1 }))

/** A reader as the history checker takes it. @param {Follower} follower */
const seenBy = ({ name, from, outcome, chunks }) => ({ name, from, outcome, chunks: digests(chunks) })

/** Text of exactly so many bytes whose characters lie across every border. @param {number} bytes @param {number} [shift] */
function textOf(bytes, shift = 0) {
  const unit = `${'é🌊世a'.repeat(100)}\n`
  const unitBytes = Buffer.byteLength(unit)
  const head = 'x'.repeat(Math.min(shift, bytes))
  const rest = bytes - head.length
  return head + unit.repeat(Math.floor(rest / unitBytes)) + 'y'.repeat(rest % unitBytes)
}

/** @param {number} length @param {import('../support/seed.mjs').Random} random */
function bytesOf(length, random) {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += 4096) bytes[at] = random.int(0, 255)
  return bytes
}

test('both sides of the boundary know one limit', () => {
  assert.equal(MAX_CHUNK_BYTES, LIMIT)
  assert.equal(loadNative().maxChunkBytes(), LIMIT)
})

eachStore('large chunks', (store) => {
  const open = useEngines(store)
  /** @type {import('../support/seed.mjs').Random} */
  const random = createRandom()

  /** Chunks with sizes around every border, small ones in between. */
  function borders() {
    const sizes = [0, 1, 256 * KIB, MIB, MIB + 256 * KIB].flatMap((size) => [size - 1, size, size + 1])
    const chunks = sizes
      .filter((size) => size >= 0)
      .flatMap((size, index) => [textOf(size, index % 7), `small ${index}`, bytesOf(size, random)])
    return [...chunks, textOf(8 * MIB + 1), textOf(LIMIT), bytesOf(LIMIT, random), 'the end']
  }

  test('G1 G2: every size survives, live and replayed, whole and in its place', {
    timeout: 120_000,
  }, async () => {
    const [here, there] = [open(), open()]
    const chunks = borders()
    const live = [follow(here, 'sizes', { name: 'here' }), follow(there, 'sizes', { name: 'there' })]
    const producer = await here.produce('sizes')
    const cursors = []
    for (const chunk of chunks) cursors.push(await producer.append(chunk))
    assert.deepEqual(
      cursors,
      chunks.map((_, index) => `${producer.generation}.${index + 1}`),
    )
    await producer.complete()
    const late = follow(open(), 'sizes', { name: 'late' })
    for (const reader of [...live, late]) {
      await reader.end(60_000)
      assert.equal(reader.outcome, 'complete', reader.error?.stack)
      checkHistory({ written: written(chunks), readers: [seenBy(reader)] })
    }
    const status = await here.status('sizes')
    assert.ok(status && status.bytes > chunks.reduce((sum, chunk) => sum + Buffer.byteLength(chunk), 0))
    assert.equal(await here.delete('sizes'), true)
  })

  test('the limit is one sentence, and what is beyond it changes nothing', async () => {
    const producer = await open().produce('limit')
    for (const chunk of ['x'.repeat(LIMIT + 1), 'é'.repeat(LIMIT / 2 + 1), new Uint8Array(LIMIT + 1)]) {
      const message = `chunk: must be at most 33554432 bytes (32 MiB), got ${Buffer.byteLength(chunk)}`
      const expected = { code: 'ERR_INVALID_ARGUMENT', field: 'chunk', message }
      assert.throws(() => producer.write(chunk), expected)
      await assert.rejects(producer.append(chunk), expected)
    }
    assert.equal(await producer.append('first'), `${producer.generation}.1`)
    await producer.complete()
  })

  test('G1: readers go on from any cursor, in front of a large chunk and behind it', async () => {
    const [here, there] = [open(), open()]
    const chunks = ['a', textOf(2 * MIB), 'b', bytesOf(MIB + 1, random), textOf(MIB + 1), 'c']
    const producer = await here.produce('resume')
    const readers = []
    for (const chunk of chunks) await producer.append(chunk)
    for (let seq = 0; seq <= chunks.length; seq++) {
      for (const engine of [here, there]) {
        const from = `${producer.generation}.${seq}`
        readers.push(follow(engine, 'resume', { from, after: seq, name: `from ${seq}` }))
      }
    }
    await producer.complete()
    for (const reader of readers) await reader.end()
    checkHistory({ written: written(chunks), readers: readers.map(seenBy) })
  })

  test('G4: producers that share a stream interleave large chunks, each with a seq of its own', async () => {
    const engines = [open(), open(), open()]
    const parts = await Promise.all(
      engines.map(async (engine, index) => {
        const producer = await engine.produce('shared', { ifActive: 'share' })
        const chunks = [`small of ${index}`, textOf(2 * MIB + index), bytesOf(MIB + 10 + index, random)]
        return { producer, chunks, cursors: /** @type {string[]} */ ([]) }
      }),
    )
    const reader = follow(open(), 'shared')
    await Promise.all(
      parts.map(async ({ producer, chunks, cursors }) => {
        for (const chunk of chunks) cursors.push(await producer.append(chunk))
      }),
    )
    for (const { producer } of parts) await producer.complete()
    await reader.end()
    const all = parts.flatMap(({ chunks, cursors }, index) =>
      chunks.map((chunk, at) => ({
        data: digest(chunk),
        seq: Number(cursors[at]?.split('.')[1]),
        producer: `${index}`,
      })),
    )
    checkHistory({ written: all, readers: [seenBy(reader)] })
  })

  test('a window and a consumer count a large chunk as one', async () => {
    const engine = open()
    const producer = await engine.produce('window')
    const chunks = [textOf(2 * MIB), bytesOf(2 * MIB, random), 'end']
    for (const chunk of chunks) await producer.append(chunk)
    const subscription = engine.subscribe('window', { consumer: 'c', ack: 'manual', window: 1 })
    const first = await subscription.next()
    const second = subscription.next()
    let came = false
    second.then(() => {
      came = true
    })
    await until(async () => (await engine.status('window'))?.lastSeq === 3)
    assert.equal(came, false)
    await subscription.ack(first.value?.cursor ?? '')
    assert.equal(digest((await second).value?.data ?? ''), digest(chunks[1] ?? ''))
    await subscription.return()
    const rest = await new Follower(engine.subscribe('window', { consumer: 'c' }), {
      from: 1,
      each: ({ seq }) => seq < 3,
    }).end()
    assert.deepEqual(digests(rest.chunks), written(chunks).slice(1))
    await producer.complete()
  })

  test('a group hands out large chunks, and keeps them as dead letters', async () => {
    const engine = open()
    const producer = await engine.produce('group')
    const chunks = ['a', textOf(2 * MIB), bytesOf(LIMIT, random), 'b']
    for (const chunk of chunks) await producer.append(chunk)
    await producer.complete()
    const items = []
    for await (const item of engine.consume('group', { group: 'g', consumer: 'one', batch: 10 })) {
      items.push({ seq: item.seq, data: digest(item.data) })
      await item.ack()
    }
    assert.deepEqual(items, written(chunks))
    for (let round = 0; round < 2; round++) {
      for await (const _ of engine.consume('group', {
        group: 'dead',
        consumer: `${round}`,
        batch: 10,
        claimIdleMs: 1,
        maxDeliveries: 1,
      })) {
        break
      }
    }
    const other = engine.consume('group', {
      group: 'dead',
      consumer: 'last',
      claimIdleMs: 1,
      maxDeliveries: 1,
      batch: 10,
    })
    const handed = (async () => {
      for await (const item of other) await item.ack()
    })()
    await handed
    const dead = []
    for await (const { seq, data } of engine.deadLetters({ group: 'dead', streamId: 'group' })) {
      dead.push({ seq, data: digest(data ?? '') })
    }
    for (const letter of dead) assert.deepEqual(letter, written(chunks)[letter.seq - 1])
  })

  test('event streams carry large chunks, and resume behind them', async () => {
    const engine = open()
    const producer = await engine.produce('events')
    const chunks = [
      'a',
      textOf(5 * MIB),
      'b',
      bytesOf(2 * MIB, random),
      `${textOf(MIB)}\r\0`,
      textOf(LIMIT),
      'c',
    ]
    for (const chunk of chunks) await producer.append(chunk)
    await producer.complete()
    /** Serves at most so many bytes of every response, so that clients are cut in the middle of events. @param {number} most */
    const server = (most) => async (/** @type {any} */ url, /** @type {any} */ init) => {
      const response = await engine.respond(new Request(url, init), 'events')
      let left = most
      return new Response(
        response.body?.pipeThrough(
          new TransformStream({
            transform(bytes, controller) {
              controller.enqueue(bytes.subarray(0, left))
              left -= bytes.length
              if (left <= 0) controller.terminate()
            },
          }),
        ),
        { headers: response.headers },
      )
    }
    for (const most of [Number.POSITIVE_INFINITY, 50 * MIB]) {
      const seen = []
      for await (const { seq, data } of followUrl('http://x/', { fetch: server(most) })) {
        seen.push({ seq, data })
      }
      assert.deepEqual(digests(seen), written(chunks), `${most} bytes for each response`)
    }
  })

  test('G7: twenty readers of one process share a large chunk until they take it', {
    timeout: 60_000,
  }, async () => {
    const [here, there] = [open(), open()]
    const producer = await here.produce('twenty')
    // Everything that grows once has grown.
    await producer.append(bytesOf(LIMIT, random))
    await follow(there, 'twenty', { each: () => false }).end()
    const before = process.memoryUsage.rss()
    const readers = Array.from({ length: 20 }, () => there.subscribe('twenty'))
    const streams = Array.from({ length: 20 }, () => there.subscribe('twenty').toSSE().getReader())
    for (const reader of readers) {
      const { value } = await reader.next()
      assert.equal(value?.data.length, LIMIT)
    }
    await producer.append(bytesOf(LIMIT, random))
    for (const stream of streams) assert.equal((await stream.read()).done, false)
    await until(async () => (await there.status('twenty'))?.lastSeq === 2)
    const grown = process.memoryUsage.rss() - before
    // Each its own would be 40 times that, and as much again for the events.
    assert.ok(grown < 15 * LIMIT, `${Math.round(grown / MIB)} MiB`)
    for (const reader of readers) await reader.return()
    for (const stream of streams) await stream.cancel()
    await producer.complete()
  })
})

test('G7: a response that nobody reads lets go of a large chunk, goes on where it was, and is cut when that is gone', async () => {
  const redis = await sharedRedis()
  const options = { url: redis.url, keyPrefix: 'test-large-still' }
  const [engine, other] = [createEngine(options), createEngine(options)]
  const chunk = textOf(6 * MIB)
  for (const id of ['kept', 'gone']) {
    const producer = await engine.produce(id)
    producer.write(chunk)
    await producer.complete()
  }
  /** Lets the client stand still for longer than what is left is held. @param {string} id */
  const interrupted = async (id) => {
    const { body } = await other.respond(new Request('http://x/'), id)
    const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader()
    const parts = [(await reader.read()).value, (await reader.read()).value]
    const reads = async () => (await redis.admin.info('commandstats')).cmdstat_hget ?? ''
    const before = await reads()
    await sleep(6_000)
    if (id === 'gone')
      await redis.admin.cmd('DEL', `{test-large-still:gone}:large:0`, `{test-large-still:gone}:large:1`)
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      parts.push(value)
    }
    assert.notEqual(await reads(), before, 'it was fetched again')
    return Buffer.concat(parts.map((part) => part ?? new Uint8Array())).toString()
  }
  const [kept, gone] = await Promise.all([interrupted('kept'), interrupted('gone')])
  const whole = await (await other.respond(new Request('http://x/'), 'kept')).text()
  assert.ok(kept === whole)
  assert.ok(gone.length > 0 && gone.length < chunk.length && !gone.includes('event: end'))
  await Promise.all([engine.close(), other.close()])
})

test('G1 G9: pieces that are gone are a gap, with a cursor behind it; no command is large', async () => {
  const redis = await sharedRedis()
  const engine = createEngine({ url: redis.url, keyPrefix: 'test-large-gap' })
  const other = createEngine({ url: redis.url, keyPrefix: 'test-large-gap' })
  const producer = await engine.produce('gap')
  for (const chunk of ['a', textOf(2 * MIB), 'b']) await producer.append(chunk)
  await producer.complete()
  const keys = ['{test-large-gap:gap}:large:0', '{test-large-gap:gap}:large:1']
  const ttls = await Promise.all(keys.map((key) => redis.admin.cmd('PTTL', key)))
  assert.ok(
    ttls.some((ttl) => ttl > 3_000_000),
    `${ttls}`,
  )
  const lengths = await redis.admin.cmd('HVALS', keys[1])
  assert.ok(lengths.every((/** @type {string} */ value) => Buffer.byteLength(value) <= 512 * KIB))
  await redis.admin.cmd('DEL', ...keys)
  const reader = await follow(other, 'gap').end()
  assert.equal(reader.outcome, 'ERR_GAP')
  assert.deepEqual([reader.error.resume, reader.chunks.length], [`${producer.generation}.2`, 1])
  const rest = await follow(other, 'gap', { from: reader.error.resume, after: 2 }).end()
  assert.deepEqual([rest.outcome, rest.chunks.map(({ data }) => data)], ['complete', ['b']])
  await Promise.all([engine.close(), other.close()])
})

test('a damaged piece is ERR_CORRUPT, with stream and seq, for readers and groups', async () => {
  const redis = await sharedRedis()
  const keyPrefix = 'test-large-damaged'
  const engine = createEngine({ url: redis.url, keyPrefix })
  const other = createEngine({ url: redis.url, keyPrefix })
  const damages = [
    { id: 'short', damaged: (/** @type {number} */ length) => Buffer.alloc(length - 1, 'x') },
    { id: 'not-utf8', damaged: (/** @type {number} */ length) => Buffer.alloc(length, 0xff) },
  ]
  for (const { id, damaged } of damages) {
    const producer = await engine.produce(id)
    for (const chunk of ['a', textOf(2 * MIB)]) await producer.append(chunk)
    await producer.complete()
    for (const ordinal of [0, 1]) {
      const key = `{${keyPrefix}:${id}}:large:${ordinal}`
      for (const field of await redis.admin.cmd('HKEYS', key)) {
        // Not how many pieces there are.
        if (!field.includes('.')) continue
        await redis.admin.cmd('HSET', key, field, damaged(await redis.admin.cmd('HSTRLEN', key, field)))
      }
    }
    const message = new RegExp(`"${id}".*seq 2`)
    const reader = await follow(other, id).end()
    assert.deepEqual([reader.outcome, reader.chunks.length], ['ERR_CORRUPT', 1])
    assert.match(reader.error.message, message)
    const consume = async () => {
      for await (const item of other.consume(id, { group: 'g', consumer: 'c' })) await item.ack()
    }
    await assert.rejects(deadline(consume(), 20_000, 'the group fails'), { code: 'ERR_CORRUPT', message })
  }
  await Promise.all([engine.close(), other.close()])
})

test('G7: a chunk beyond the queue is taken when nothing waits, and back-pressure counts its bytes', async () => {
  const redis = await sharedRedis()
  const engine = createEngine({ url: redis.url, keyPrefix: 'test-large-queue', maxQueueBytes: MIB })
  const producer = await engine.produce('queue')
  const chunk = textOf(3 * MIB)
  redis.pause()
  try {
    assert.equal(producer.write(chunk), false)
    assert.throws(() => producer.write(chunk), { code: 'ERR_BACKPRESSURE' })
    assert.throws(() => producer.write('x'), { code: 'ERR_BACKPRESSURE' })
  } finally {
    redis.resume()
  }
  await producer.flush()
  assert.equal(producer.write('x'), true)
  await producer.flush()
  producer.write(chunk)
  await producer.ready
  await producer.complete()
  const reader = await follow(engine, 'queue').end()
  assert.deepEqual(digests(reader.chunks), written([chunk, 'x', chunk]))
  await engine.close()
})
