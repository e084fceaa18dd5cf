// Cursors: a reader that comes back gets exactly the rest, or is told what is gone.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'

const UNKNOWN = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

eachStore('resume', (store) => {
  const open = useEngines(store)

  test('G1 from every single position, live and finished, exactly the rest', async () => {
    const random = createRandom(1)
    const chunks = Array.from({ length: 300 }, (_, index) => {
      const data = `${index} ${'é'.repeat(2 ** random.int(0, 11))}`
      return random.chance(0.3) ? Buffer.from(data) : data
    })
    const [writer, other] = [open(), open()]
    const producer = await writer.produce('positions')
    for (const chunk of chunks) {
      if (!producer.write(chunk)) await producer.ready
      // Frames of one chunk, of some, and of many.
      if (random.chance(0.1)) await (random.chance(0.5) ? producer.flush() : turn())
    }
    await producer.flush()
    const everywhere = (/** @type {string} */ name) =>
      Array.from({ length: chunks.length + 1 }, (_, seq) => {
        const from = `${producer.generation}.${seq}`
        return follow(random.pick([writer, other]), 'positions', {
          from,
          after: seq,
          name: `${name} ${from}`,
        })
      })
    const live = everywhere('live')
    await turn()
    await producer.complete()
    const finished = everywhere('finished')
    for (const reader of [...live, ...finished]) assert.equal((await reader.end()).outcome, 'complete')
    checkHistory({ written: numbered(chunks), readers: [...live, ...finished] })
    const last = finished.at(-1)
    assert.equal(last?.chunks.length, 0)
  })

  test('G1 a reader that comes back again and again, anywhere, sees every chunk once', async () => {
    const random = createRandom(2)
    const engines = [open(), open(), open()]
    const producer = await random.pick(engines).produce('returning')
    const chunks = texts(1_500)
    const writing = (async () => {
      for (const chunk of chunks) {
        producer.write(chunk)
        if (random.chance(0.1)) await turn()
      }
      await producer.complete()
    })()
    const visits = []
    let seen = 0
    for (let outcome; outcome !== 'complete'; ) {
      const until = seen + random.int(1, 60)
      const visit = await readAll(random.pick(engines), 'returning', {
        from: seen === 0 ? 'start' : `${producer.generation}.${seen}`,
        after: seen,
        name: `visit ${visits.length}`,
        each: ({ seq }) => seq < until,
      })
      seen = visit.chunks.at(-1)?.seq ?? seen
      outcome = visit.outcome
      visits.push(visit)
    }
    await writing
    assert.ok(visits.length >= 1_500 / 60)
    checkHistory({ written: numbered(chunks), readers: visits })
  })

  test('G1 the cursor of the previous generation reads its rest, and with follow all the next one', async () => {
    const [writer, other] = [open(), open()]
    const first = await writer.produce('previous')
    await writeAll(first, texts(20, 'first'))
    await first.complete()
    const second = await writer.produce('previous')
    await writeAll(second, texts(20, 'second'))
    await second.flush()
    for (const seq of [0, 1, 7, 19, 20]) {
      const from = `${first.generation}.${seq}`
      const rest = await readAll(other, 'previous', { from, after: seq })
      assert.equal(rest.outcome, 'complete')
      checkHistory({ written: numbered(texts(20, 'first')), readers: [rest] })
      const each = (/** @type {{ seq: number }} */ chunk) => chunk.seq < 40
      const all = await readAll(writer, 'previous', { from, after: seq, follow: 'all', each })
      const written = numbered([...texts(20, 'first'), ...texts(20, 'second')])
      checkHistory({ written, readers: [{ ...all, to: 40 }] })
    }
    await second.complete()
    const current = await readAll(other, 'previous', { from: `${second.generation}.20`, after: 20 })
    assert.equal(current.chunks.length, 20)
  })

  test("<generation>.0 is the generation's start, also when its seqs begin later", async () => {
    const engine = open()
    const first = await produceAll(engine, 'zero', texts(5, 'first'))
    const second = await produceAll(engine, 'zero', texts(5, 'second'))
    const start = await readAll(engine, 'zero', { from: `${first.generation}.0` })
    checkHistory({ written: numbered(texts(5, 'first')), readers: [start] })
    const own = await readAll(engine, 'zero', { from: `${second.generation}.0` })
    checkHistory({ written: numbered(texts(5, 'second'), 6), first: 6, readers: [own] })
    // Every position before the generation's first chunk stands for its start as well.
    const before = await readAll(engine, 'zero', { from: `${second.generation}.3` })
    checkHistory({ written: numbered(texts(5, 'second'), 6), first: 6, readers: [before] })
  })

  test('G1 a generation that is gone is a GapError, and its resume goes on with what is left', async () => {
    const engine = open()
    const oldest = await produceAll(engine, 'gone', texts(5, 'oldest'))
    await produceAll(engine, 'gone', texts(5, 'older'))
    const current = await engine.produce('gone')
    await writeAll(current, texts(5, 'current'))
    await current.flush()
    for (const from of [`${UNKNOWN}.3`, `${oldest.generation}.2`]) {
      const lost = await readAll(open(), 'gone', { from })
      assert.equal(lost.error?.code, 'ERR_GAP')
      assert.equal(lost.error?.name, 'GapError')
      assert.equal(lost.error?.streamId, 'gone')
      assert.equal(lost.chunks.length, 0)
      const rest = follow(engine, 'gone', { from: lost.error?.resume, after: 10 })
      const all = follow(engine, 'gone', { from, follow: 'all' })
      assert.equal((await all.end()).error?.code, 'ERR_GAP')
      if (from.startsWith(oldest.generation)) await current.complete()
      else continue
      await rest.end()
      checkHistory({ written: numbered(texts(5, 'current'), 11), first: 11, readers: [rest] })
    }
  })

  test('G1 a cursor ahead of the stream is never taken for an end that was seen', async () => {
    const engine = open()
    const producer = await engine.produce('ahead')
    await writeAll(producer, texts(5))
    await producer.flush()
    const ahead = follow(engine, 'ahead', { from: `${producer.generation}.7`, after: 7 })
    await writeAll(producer, texts(5, 'more'))
    await producer.complete()
    await ahead.end()
    if (ahead.error) {
      assert.equal(ahead.error.code, 'ERR_GAP')
    } else {
      checkHistory({ written: numbered([...texts(5), ...texts(5, 'more')]), readers: [ahead] })
    }
  })

  test('G1 large streams are read in pages, from anywhere', async () => {
    const random = createRandom(3)
    const engine = open()
    const chunks = Array.from({ length: 400 }, (_, index) => `${index} `.padEnd(random.int(10, 20_000), '·'))
    const producer = await produceAll(engine, 'large', chunks)
    const readers = [await readAll(open(), 'large')]
    for (let count = 0; count < 20; count++) {
      const seq = random.int(0, 400)
      const from = `${producer.generation}.${seq}`
      readers.push(await readAll(random.pick([engine, open()]), 'large', { from, after: seq }))
    }
    checkHistory({ written: numbered(chunks), readers })
  })
})
