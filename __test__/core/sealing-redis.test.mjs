// Sealed streams in Redis: what they take there, and what happens when they are damaged or set back.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { englishChunks } from '../support/english.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { TestStore } from '../support/stores.mjs'
import { follow, numbered, readAll, texts, useEngines } from '../support/streams.mjs'

const CHUNKS = 10_000
/** Bytes of Redis memory for a chunk, all keys of the stream counted. */
const LIMIT = { live: 10, finished: 7 }

const store = new TestStore('redis')
await store.start()
const { admin } = store.redis

/** The keys of a stream that exist. @param {string} prefix @param {string} id @returns {Promise<string[]>} */
async function keysOf(prefix, id) {
  const keys = ['meta', 'log', 'sealed', 'cursors'].map((part) => `{${prefix}:${id}}:${part}`)
  const exist = await Promise.all(keys.map((key) => admin.cmd('EXISTS', key)))
  return keys.filter((_, index) => exist[index] === 1)
}

/** @param {string} prefix @param {string} id */
async function memory(prefix, id) {
  const keys = await keysOf(prefix, id)
  const sizes = await Promise.all(keys.map((key) => admin.cmd('MEMORY', 'USAGE', key, 'SAMPLES', 0)))
  return sizes.reduce((sum, size) => sum + size, 0)
}

test(`checklist 18: ${CHUNKS} chunks take at most ${LIMIT.live} bytes each while live, ${LIMIT.finished} when finished`, async (t) => {
  const keyPrefix = store.prefix()
  const open = useEngines(store)
  const engine = open({ keyPrefix })
  const chunks = englishChunks(CHUNKS)
  const raw = Buffer.byteLength(chunks.join('')) / CHUNKS
  const producer = await engine.produce('long')
  let highest = 0
  for (const [index, chunk] of chunks.entries()) {
    await producer.append(chunk)
    // What is open grows and is sealed: the last round of that is looked at closely.
    if (index > CHUNKS - 400 && index % 10 === 0) {
      highest = Math.max(highest, (await memory(keyPrefix, 'long')) / (index + 1))
    }
  }
  const live = (await memory(keyPrefix, 'long')) / CHUNKS
  highest = Math.max(highest, live)
  await producer.complete()
  const finished = (await memory(keyPrefix, 'long')) / CHUNKS
  t.diagnostic(
    `${raw.toFixed(1)} bytes a chunk take ${live.toFixed(2)} live (${highest.toFixed(2)} at most), ${finished.toFixed(2)} finished`,
  )
  assert.ok(raw > 50 && raw < 60, `${raw} bytes a chunk`)
  assert.ok(highest <= LIMIT.live, `${highest} bytes a chunk while live`)
  assert.ok(finished <= LIMIT.finished, `${finished} bytes a chunk when finished`)

  for (const key of await keysOf(keyPrefix, 'long')) assert.ok((await admin.cmd('PTTL', key)) > 0, key)
  const reader = await readAll(open({ keyPrefix }), 'long')
  checkHistory({ written: numbered(chunks), readers: [reader] })
})

test('a damaged sealed frame is ERR_CORRUPT, with stream and seq, for those who read it and nobody else', async () => {
  const keyPrefix = store.prefix()
  const open = useEngines(store)
  const [engine, other] = [open({ keyPrefix }), open({ keyPrefix })]
  const producer = await engine.produce('damaged')
  const chunks = texts(1200)
  for (const chunk of chunks.slice(0, 900)) await producer.append(chunk)
  const unhurt = follow(other, 'damaged', { from: `${producer.generation}.800`, after: 800 })
  await unhurt.has(50)

  const sealed = `{${keyPrefix}:damaged}:sealed`
  /** @type {string[]} */
  const ids = (await admin.cmd('XRANGE', sealed, '-', '+')).map((/** @type {[string]} */ [id]) => id)
  const seqs = ids.map((id) => Number(id.split('-')[1]))
  assert.ok(seqs.length >= 3, `sealed up to ${seqs}`)
  // Writes the sealed part anew, in one step, with one bit of that entry turned.
  const damage = `
    local entries = redis.call('XRANGE', KEYS[1], '-', '+')
    redis.call('DEL', KEYS[1])
    for _, entry in ipairs(entries) do
      local frame = entry[2][2]
      if entry[1] == ARGV[1] then
        local middle = math.floor(#frame / 2)
        local byte = bit.bxor(string.byte(frame, middle), 4)
        frame = string.sub(frame, 1, middle - 1) .. string.char(byte) .. string.sub(frame, middle + 1)
      end
      redis.call('XADD', KEYS[1], entry[1], entry[2][1], frame, entry[2][3], entry[2][4])
    end`
  await admin.cmd('EVAL', damage, 1, sealed, ids[1])

  for (const reading of [engine, other]) {
    const hurt = await readAll(reading, 'damaged')
    assert.equal(hurt.outcome, 'ERR_CORRUPT')
    assert.match(hurt.error.message, new RegExp(`damaged.*\\b${seqs[1]}\\b`))
    assert.equal(hurt.chunks.length, seqs[0], 'what comes before it is read')
    checkHistory({ written: numbered(chunks), readers: [hurt] })
  }
  for (const chunk of chunks.slice(900)) await producer.append(chunk)
  await producer.complete()
  const after = await readAll(other, 'damaged', {
    from: `${producer.generation}.${seqs[1]}`,
    after: seqs[1],
  })
  await unhurt.end()
  assert.deepEqual([after.outcome, unhurt.outcome], ['complete', 'complete'])
  checkHistory({ written: numbered(chunks), readers: [after, unhurt] })
})

test('G1 G2: Redis is set back, seals and all: the producer writes again what is lost', async (t) => {
  const keyPrefix = store.prefix()
  const open = useEngines(store)
  const [engine, other] = [open({ keyPrefix }), open({ keyPrefix })]
  const random = createRandom(22)
  const keys = ['meta', 'log', 'sealed'].map((part) => `{${keyPrefix}:back}:${part}`)
  const copies = keys.map((key) => `copy of ${key}`)
  /** @param {string[]} from @param {string[]} to */
  const copy = (from, to) => {
    const script = `
      for index = 1, #KEYS / 2 do
        local from, to = KEYS[index], KEYS[#KEYS / 2 + index]
        redis.call('DEL', to)
        redis.call('COPY', from, to)
      end`
    return admin.cmd('EVAL', script, 2 * keys.length, ...from, ...to)
  }
  const producer = await engine.produce('back')
  const readers = [follow(engine, 'back', { name: 'near' }), follow(other, 'back', { name: 'far' })]
  const chunks = texts(6000)
  let back = 0
  for (let at = 0; at < chunks.length; ) {
    await copy(keys, copies)
    const kept = at
    // As much as a failover may lose: from nothing to several seals.
    const count = Math.min(random.pick([1, 20, 300, 700]), chunks.length - at)
    for (const chunk of chunks.slice(at, at + count)) await producer.append(chunk)
    at += count
    if (random.chance(0.6)) {
      await copy(copies, keys)
      back += at - kept
      if (random.chance(0.5)) readers.push(follow(other, 'back', { name: `after ${at}` }))
    }
  }
  await producer.complete()
  t.diagnostic(`${back} chunks were lost and written again`)
  assert.ok(back > 300)
  readers.push(await readAll(other, 'back', { name: 'at last' }))
  await Promise.all(readers.map((reader) => reader.end()))
  for (const { name, outcome, error } of readers) assert.equal(outcome, 'complete', `${name}: ${error}`)
  checkHistory({ written: numbered(chunks), readers })
  const status = await other.status('back')
  assert.ok(
    status && status.storedBytes < status.bytes / 4,
    `${status?.storedBytes} of ${status?.bytes} bytes`,
  )
})

test('G9: a producer that is faster than its sealing waits for it', async () => {
  const keyPrefix = store.prefix()
  const engine = useEngines(store)({ keyPrefix, compression: 9 })
  const random = createRandom(23)
  const words = Array.from({ length: 50 }, (_, n) => `${n}`.padEnd(random.int(2, 9), 'sealing'))
  const producer = await engine.produce('fast')
  const chunks = Array.from({ length: 150 }, () => {
    let text = ''
    while (text.length < 60_000) text += `${random.pick(words)} `
    return text
  })
  let most = 0
  for (const chunk of chunks) {
    await producer.append(chunk)
    most = Math.max(most, await admin.cmd('XLEN', `{${keyPrefix}:fast}:log`))
  }
  await producer.complete()
  // 1 MiB, what the batch that went past it brought, and what was written meanwhile with a seal.
  assert.ok(most <= 20, `${most} frames of 60,000 bytes were open`)
  checkHistory({ written: numbered(chunks), readers: [await readAll(engine, 'fast')] })
})
