// Sealed streams read like any other, from anywhere.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { englishChunks } from '../support/english.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const MIB = 1 << 20

/** Writes chunk by chunk, each its own batch. @param {import('tidemark').Producer} producer @param {string[]} chunks */
async function appendAll(producer, chunks) {
  for (const chunk of chunks) await producer.append(chunk)
}

eachStore('sealing', (store) => {
  const open = useEngines(store)

  test('checklist 18: a stream is compressed while it lives and whole when it has ended', async () => {
    const engine = open()
    const producer = await engine.produce('compressed')
    const chunks = englishChunks(2000)
    await appendAll(producer, chunks)
    // Compressing may lag behind; what it has seen goes with the next write.
    const sealed = async () => {
      const live = await engine.status('compressed')
      if (live && live.storedBytes < live.bytes / 3) return true
      chunks.push('more')
      await producer.append('more')
    }
    await until(sealed, { message: 'the live stream is a third of what was written' })
    await producer.complete()
    const done = await engine.status('compressed')
    assert.ok(done && done.storedBytes < done.bytes / 8, `${done?.storedBytes} of ${done?.bytes} bytes`)
    const reader = await readAll(open(), 'compressed')
    checkHistory({ written: numbered(chunks), readers: [reader] })
  })

  test('checklist 18: at the end all is sealed, whoever has written it, in as many parts as it takes', async () => {
    const [first, second] = [open({ compression: false }), open()]
    const chunks = englishChunks(4_000)
    const one = await first.produce('parts')
    await writeAll(one, chunks)
    await one.flush()
    const live = await first.status('parts')
    assert.equal(live?.storedBytes, live?.bytes)
    const producer = await second.produce('parts', { ifActive: 'continue' })
    await producer.complete()
    const done = await first.status('parts')
    assert.ok(done && done.storedBytes < done.bytes / 4, `${done?.storedBytes} of ${done?.bytes} bytes`)
    checkHistory({ written: numbered(chunks), readers: [await readAll(first, 'parts')] })
  })

  test('G1 who ends with a chunk, while others have written, seals nothing of theirs away', async () => {
    const [here, there] = [open(), open()]
    const one = await here.produce('beside others', { ifActive: 'share' })
    const other = await there.produce('beside others', { ifActive: 'share' })
    await one.append('a1')
    await appendAll(other, ['b1', 'b2', 'b3'])
    one.write('a2')
    await one.complete()
    await other.complete()
    const written = numbered(['a1', 'b1', 'b2', 'b3', 'a2'])
    checkHistory({ written, readers: [await readAll(open(), 'beside others')] })
  })

  test('checklist 18: one long chunk is compressed too, even if nothing follows it', async () => {
    const engine = open()
    const producer = await engine.produce('long')
    await producer.append('a long chunk '.repeat(2_000))
    const sealed = async () => {
      const live = await engine.status('long')
      return live && live.storedBytes < live.bytes / 3
    }
    await until(sealed, { timeout: 20_000, message: 'the live stream is a third of what was written' })
    await producer.complete()
    const { encodedBytes, savedBytes } = engine.metrics()
    assert.ok(savedBytes > encodedBytes / 2)
    assert.equal(savedBytes, encodedBytes - ((await engine.status('long'))?.storedBytes ?? 0))
  })

  test('checklist 18: a live stream is resumed from any cursor', async () => {
    const [engine, other] = [open(), open()]
    const producer = await engine.produce('resumed')
    const chunks = texts(1000)
    const random = createRandom(18)
    const readers = [follow(engine, 'resumed', { name: 'from the start' })]
    for (const [index, chunk] of chunks.entries()) {
      await producer.append(chunk)
      if (index % 20 > 0) continue
      const seq = random.int(0, index + 1)
      const from = `${producer.generation}.${seq}`
      readers.push(follow(random.pick([engine, other]), 'resumed', { from, after: seq, name: `from ${seq}` }))
    }
    await producer.complete()
    await Promise.all(readers.map((reader) => reader.end()))
    for (const { outcome } of readers) assert.equal(outcome, 'complete')
    checkHistory({ written: numbered(chunks), readers })
  })

  test('checklist 18: chunks of every kind and size survive', async () => {
    const engine = open()
    const random = createRandom(19)
    const noise = () => Uint8Array.from({ length: random.int(1, 3000) }, () => random.int(0, 255))
    /** @type {(string | Uint8Array)[]} */
    const chunks = [
      '',
      new Uint8Array(),
      'a',
      '\0',
      Uint8Array.of(255),
      '🌊 ünï 世界 \u2028',
      'z'.repeat(MIB),
    ]
    chunks.push(Buffer.alloc(MIB, 7), ...Array.from({ length: 300 }, () => '~'), noise(), 'é'.repeat(MIB / 2))
    chunks.push(...Array.from({ length: 20 }, noise), '', 'the end')
    const producer = await produceAll(engine, 'kinds', chunks)
    for (const [from, seq] of /** @type {const} */ ([
      ['start', 0],
      [`${producer.generation}.8`, 8],
    ])) {
      const reader = await readAll(open(), 'kinds', { from, after: seq })
      checkHistory({ written: numbered(chunks), readers: [reader] })
      assert.equal(reader.outcome, 'complete')
    }
    const status = await engine.status('kinds')
    assert.ok(status && status.storedBytes < status.bytes)
  })

  test('checklist 18: what gzip would make larger is not compressed', async () => {
    const engine = open()
    const random = createRandom(20)
    const noise = Uint8Array.from({ length: 30_000 }, () => random.int(0, 255))
    await produceAll(engine, 'noise', [noise])
    await produceAll(engine, 'short', ['a'])
    for (const id of ['noise', 'short']) {
      const status = await engine.status(id)
      assert.equal(status?.storedBytes, status?.bytes)
    }
    const reader = await readAll(open(), 'noise')
    checkHistory({ written: numbered([noise]), readers: [reader] })
  })

  test('checklist 18: with compression off streams stay as they were written', async () => {
    const engine = open({ compression: false })
    const chunks = texts(600)
    const producer = await engine.produce('off')
    await appendAll(producer, chunks)
    await producer.complete()
    const status = await engine.status('off')
    assert.equal(status?.storedBytes, status?.bytes)
    // The next answer is sealed, and trims nothing of this one.
    const sealing = await open().produce('off')
    await appendAll(sealing, texts(600, 'sealed'))
    await sealing.complete()
    const reader = await readAll(open(), 'off', { from: `${producer.generation}.0` })
    checkHistory({ written: numbered(chunks), readers: [reader] })
  })

  test('checklist 18: levels are gzip’s', async () => {
    const sizes = []
    for (const compression of [1, 9]) {
      const engine = open({ compression })
      await produceAll(engine, `level ${compression}`, englishChunks(2000))
      sizes.push((await engine.status(`level ${compression}`))?.storedBytes ?? 0)
    }
    const [fast = 0, best = 0] = sizes
    assert.ok(best > 0 && best < fast, `${best} and ${fast} bytes`)
  })

  test('checklist 18: a shared generation is sealed by whoever is at hand', async () => {
    const engines = [open(), open(), open()]
    const producers = await Promise.all(
      engines.map((engine) => engine.produce('shared', { ifActive: 'share' })),
    )
    /** @type {import('../support/history.mjs').Written[]} */
    const written = []
    const reader = follow(open(), 'shared')
    await Promise.all(
      producers.map(async (producer, index) => {
        for (const data of texts(500, `of ${index}`)) {
          const cursor = await producer.append(data)
          written.push({ data, seq: Number(cursor.split('.')[1]), producer: `${index}` })
        }
      }),
    )
    await until(
      async () => {
        const status = await engines[0]?.status('shared')
        return status && status.storedBytes < status.bytes / 2
      },
      { message: 'the live stream is sealed' },
    )
    for (const producer of producers) await producer.complete()
    const status = await engines[0]?.status('shared')
    assert.ok(status && status.storedBytes < status.bytes / 3, `${status?.storedBytes} of ${status?.bytes}`)
    const readers = [await reader.end(), await readAll(open(), 'shared')]
    checkHistory({ written, readers })
    assert.deepEqual(
      readers.map(({ outcome }) => outcome),
      ['complete', 'complete'],
    )
  })

  test('checklist 18: readers of every pace see one history while it is sealed under them', async () => {
    const engines = [open(), open()]
    const random = createRandom(21)
    const producer = await /** @type {import('tidemark').Engine} */ (engines[0]).produce('crowd')
    const chunks = texts(6000)
    /** @param {import('tidemark').Chunk} chunk */
    const dawdle = ({ seq }) => (seq % 500 === 0 ? sleep(20) : undefined)
    const readers = Array.from({ length: 12 }, (_, index) => {
      const each = index % 3 === 0 ? dawdle : undefined
      return follow(random.pick(engines), 'crowd', { name: `reader ${index}`, each })
    })
    for (let at = 0; at < chunks.length; ) {
      const count = random.chance(0.8) ? 1 : random.int(2, 50)
      await writeAll(producer, chunks.slice(at, at + count))
      if (random.chance(0.7)) await producer.flush()
      at += count
    }
    await producer.complete()
    await Promise.all(readers.map((reader) => reader.end()))
    for (const { outcome } of readers) assert.equal(outcome, 'complete')
    checkHistory({ written: numbered(chunks), readers })
  })
})
