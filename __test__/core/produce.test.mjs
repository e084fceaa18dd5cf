// What a producer promises its caller: chunks arrive as they were given, endings are final, errors come back.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { numbered, produceAll, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'

const MIB = 1 << 20

eachStore('produce', (store) => {
  const open = useEngines(store)

  test('G1 text and bytes of every size arrive identical and with their type', async () => {
    const random = createRandom(1)
    const bytes = (/** @type {number} */ length) => Uint8Array.from({ length }, () => random.int(0, 255))
    const chunks = [
      '',
      new Uint8Array(0),
      'x',
      Uint8Array.of(0),
      '\0',
      '\uFEFFa byte order mark stays',
      '😀',
      '👩‍👩‍👧‍👦 \u{10FFFF}\uFFFF',
      'ü'.repeat(MIB / 2),
      'a'.repeat(MIB),
      '€'.repeat(Math.floor(MIB / 3)),
      bytes(MIB),
      Buffer.from('text as bytes'),
      Uint8Array.of(0xff, 0xfe, 0xc3, 0x28),
      ...Array.from({ length: 60 }, () => bytes(2 ** random.int(0, 16) + random.int(-1, 1))),
      ...Array.from({ length: 60 }, () => 'aé€😀'.repeat(2 ** random.int(0, 13)).slice(0, -2)),
    ]
    const [writer, reader] = [open(), open()]
    await produceAll(writer, 'sizes', chunks)
    const replay = await readAll(reader, 'sizes')
    checkHistory({ written: numbered(chunks), readers: [replay] })
    for (const [index, { data }] of replay.chunks.entries()) {
      assert.equal(typeof data, typeof chunks[index])
      if (typeof data !== 'string') assert.ok(data instanceof Uint8Array)
    }
  })

  test('G1 a chunk is what it was when it was written', async () => {
    const engine = open()
    const producer = await engine.produce('reused buffer')
    const buffer = Buffer.alloc(100_000)
    const written = []
    for (const size of [1, 10, 1000, 70_000, 100_000]) {
      const part = buffer.subarray(0, size)
      part.fill(size % 251)
      producer.write(part)
      written.push(Uint8Array.from(part))
      part.fill(255)
    }
    await producer.complete()
    checkHistory({ written: numbered(written), readers: [await readAll(engine, 'reused buffer')] })
  })

  test('text() and json() read a chunk', async () => {
    const engine = open()
    await produceAll(engine, 'json', ['{"a":[1,"ü"]}', Buffer.from('{"a":[1,"ü"]}'), 'no json'])
    const chunks = []
    for await (const chunk of engine.subscribe('json')) chunks.push(chunk)
    const [text, bytes, bad] = chunks
    for (const chunk of [text, bytes]) {
      assert.equal(chunk?.text(), '{"a":[1,"ü"]}')
      assert.deepEqual(chunk?.json(), { a: [1, 'ü'] })
    }
    assert.throws(() => bad?.json(), SyntaxError)
  })

  test('what json() gives is the caller’s own, however many readers ask for the same text', async () => {
    const engine = open()
    const json = ['{"__proto__":{"a":1},"b":[{"c":[]}],"d":null}', '[1,[2]]', '"x"', 'null', '{}']
    await produceAll(engine, 'shared json', json)
    const readers = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const values = []
        for await (const chunk of engine.subscribe('shared json')) {
          const value = /** @type {any} */ (chunk.json())
          assert.equal(JSON.stringify(value), chunk.data)
          values.push(value)
          // Whatever becomes of it is nobody else's concern.
          if (Array.isArray(value)) value[1].push(3)
          else if (typeof value === 'object' && value !== null) Object.assign(value, { b: 'changed' })
        }
        return values
      }),
    )
    const objects = readers.flat().filter((value) => typeof value === 'object' && value !== null)
    assert.equal(new Set(objects).size, objects.length)
    assert.equal(Object.getPrototypeOf(readers[3]?.[0]), Object.prototype)
  })

  test('what cannot be a chunk is refused and nothing of it is written', async () => {
    const engine = open()
    const producer = await engine.produce('refused')
    const bad = [
      'a'.repeat(32 * MIB + 1),
      'ü'.repeat((32 * MIB) / 2 + 1),
      new Uint8Array(32 * MIB + 1),
      1,
      null,
      undefined,
      {},
      ['a'],
      new Uint16Array(2),
      new ArrayBuffer(2),
    ]
    for (const chunk of bad) {
      const refused = { code: 'ERR_INVALID_ARGUMENT', name: 'InvalidArgumentError', field: 'chunk' }
      // @ts-expect-error most of these are no chunks by type either
      assert.throws(() => producer.write(chunk), refused)
      // @ts-expect-error the same
      await assert.rejects(async () => producer.append(chunk), refused)
    }
    producer.write('good')
    await producer.complete()
    checkHistory({ written: numbered(['good']), readers: [await readAll(engine, 'refused')] })
  })

  test('G2 append settles with the cursor once the chunk can be read, item 13 and its errors come back', async () => {
    const [writer, reader] = [open(), open()]
    const producer = await writer.produce('append')
    for (const [index, text] of texts(5).entries()) {
      assert.equal(await producer.append(text), `${producer.generation}.${index + 1}`)
      assert.equal((await reader.status('append'))?.lastSeq, index + 1)
    }
    const cursors = await Promise.all(texts(2_000, 'burst').map((text) => producer.append(text)))
    assert.deepEqual(
      cursors,
      cursors.map((_, index) => `${producer.generation}.${index + 6}`),
    )
    assert.equal((await reader.status('append'))?.lastSeq, 2_005)
    assert.equal(await reader.delete('append'), true)
    await assert.rejects(producer.append('late'), { code: 'ERR_INTERRUPTED', reason: 'deleted' })
  })

  test('G2 flush settles once everything written can be read', async () => {
    const [writer, reader] = [open(), open()]
    const producer = await writer.produce('flush')
    await producer.flush()
    for (const text of texts(500)) producer.write(text)
    await producer.flush()
    assert.equal((await reader.status('flush'))?.lastSeq, 500)
    await producer.complete()
    await producer.flush()
    checkHistory({ written: numbered(texts(500)), readers: [await readAll(reader, 'flush')] })
  })

  test('complete ends it, once and for all', async () => {
    const engine = open()
    const producer = await engine.produce('complete')
    producer.write('all')
    assert.equal(producer.outcome, undefined)
    const [first, second] = [producer.complete(), producer.complete()]
    assert.throws(() => producer.write('more'), { code: 'ERR_ENDED' })
    assert.deepEqual(await Promise.all([first, second]), ['complete', 'complete'])
    assert.equal(producer.outcome, 'complete')
    assert.equal(await producer.complete(), 'complete')
    assert.equal(await producer.fail(new Error('too late')), 'complete')
    assert.throws(() => producer.write('more'), { code: 'ERR_ENDED', name: 'EndedError' })
    await assert.rejects(producer.append('more'), { code: 'ERR_ENDED', streamId: 'complete' })
    assert.equal(producer.signal.aborted, false)
    const replay = await readAll(engine, 'complete')
    assert.equal(replay.outcome, 'complete')
    checkHistory({ written: numbered(['all']), readers: [replay] })
  })

  test('a generation without chunks is a stream all the same', async () => {
    const engine = open()
    await produceAll(engine, 'empty', [])
    const replay = await readAll(engine, 'empty', { wait: 0 })
    assert.deepEqual([replay.outcome, replay.chunks], ['complete', []])
  })

  test('fail gives readers every chunk and then ERR_FAILED with the message', async () => {
    const [writer, reader] = [open(), open()]
    const causes = [
      [new TypeError('the model is gone'), 'the model is gone'],
      ['plain words', 'plain words'],
      [undefined, 'undefined'],
      [new Error('\uD800'), '\uFFFD'],
      [new Error('ü'.repeat(2_000)), /^ü{400,512}…$/],
    ]
    for (const [index, [cause, words]] of causes.entries()) {
      const streamId = `fail ${index}`
      const producer = await writer.produce(streamId)
      await writeAll(producer, texts(200))
      assert.equal(await producer.fail(cause), 'failed')
      const replay = await readAll(reader, streamId)
      checkHistory({ written: numbered(texts(200)), readers: [{ ...replay, to: 200 }] })
      assert.equal(replay.outcome, 'failed')
      assert.equal(replay.error.code, 'ERR_FAILED')
      assert.equal(replay.error.streamId, streamId)
      const status = await reader.status(streamId)
      for (const reason of [replay.error.reason, replay.subscription.reason, status?.reason]) {
        if (words instanceof RegExp) assert.match(reason, words)
        else assert.equal(reason, words)
      }
      assert.equal(status?.state, 'failed')
    }
  })

  test('leaving the block of a producer fails what has not ended', async () => {
    const engine = open()
    const forgotten = await engine.produce('forgotten')
    forgotten.write('half')
    await forgotten[Symbol.asyncDispose]()
    assert.equal(forgotten.outcome, 'failed')
    const replay = await readAll(engine, 'forgotten')
    assert.equal(replay.error?.code, 'ERR_FAILED')
    checkHistory({ written: numbered(['half']), readers: [{ ...replay, to: 1 }] })
    const ended = await produceAll(engine, 'ended', ['all'])
    await ended[Symbol.asyncDispose]()
    assert.equal((await readAll(engine, 'ended')).outcome, 'complete')
  })

  test('owner and metadata are kept, and what cannot be kept is refused', async () => {
    const engine = open()
    const metadata = { model: 'm', nested: [1, null, { ü: '😀' }], date: new Date(0) }
    await produceAll(engine, 'described', ['x'], { owner: 'user-1', metadata })
    const status = await engine.status('described')
    assert.equal(status?.owner, 'user-1')
    assert.deepEqual(status?.metadata, JSON.parse(JSON.stringify(metadata)))
    const circular = {}
    Object.assign(circular, { circular })
    for (const bad of [circular, () => {}, 1n, 'x'.repeat(65_536)]) {
      await assert.rejects(async () => engine.produce('undescribed', { metadata: bad }), {
        code: 'ERR_INVALID_ARGUMENT',
        field: 'options.metadata',
      })
    }
    for (const owner of ['', 'x'.repeat(513), 1, '\uD800']) {
      // @ts-expect-error a number is no owner
      await assert.rejects(async () => engine.produce('undescribed', { owner }), { field: 'options.owner' })
    }
    await assert.rejects(async () => engine.produce(''), { code: 'ERR_INVALID_ARGUMENT', field: 'streamId' })
    assert.equal(await engine.status('undescribed'), null)
  })
})
