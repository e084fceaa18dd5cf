// G9: whatever one stream is made of, the others do not wait for it. All streams of a process share the engine's thread; the
// test measures what a chunk of another stream waits for while something large is dealt with.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readEvents } from '../support/event-source.mjs'
import { eachStore } from '../support/stores.mjs'
import { readAll, useEngines, writeAll } from '../support/streams.mjs'
import { busy, longestWait } from '../support/turns.mjs'

/** No turn of the thread takes longer. */
const LONGEST_MS = 20
/** Of so many runs the best counts: other programs make them slower, never faster. */
const RUNS = 3

/** @param {import('node:test').TestContext} t @param {(run: number) => Promise<unknown>} work */
async function bounded(t, work) {
  const waits = []
  for (let run = 0; run < RUNS; run++) {
    const longest = await longestWait(() => work(run))
    waits.push(longest)
    if (longest < LONGEST_MS) break
  }
  t.diagnostic(`a chunk waited for ${waits.map((wait) => wait.toFixed(1)).join(', ')} ms`)
  assert.ok(Math.min(...waits) < LONGEST_MS, `${waits.join(', ')} ms`)
}

eachStore('turns', (store) => {
  const open = useEngines(store)
  const ui = /** @type {const} */ ({ format: 'ui-messages' })

  /** @param {import('tidemark').Engine} engine @param {string} id @param {Iterable<string>} chunks */
  const finished = async (engine, id, chunks) => {
    const producer = await engine.produce(id)
    await writeAll(producer, chunks)
    const seq = await producer.append('{"type":"last"}')
    await producer.complete()
    return { generation: producer.generation, seq }
  }

  test('G9 a reconnect into an answer of 80,000 parts that nobody has ended', async (t) => {
    const engine = open()
    const parts = Array.from({ length: 80_000 }, (_, id) => `{"type":"text-start","id":"${id}"}`)
    const { generation } = await finished(engine, 'parts', parts)
    await bounded(t, async () => {
      const headers = { 'last-event-id': `${generation}.80000` }
      const response = await engine.respond(new Request('http://localhost', { headers }), 'parts', ui)
      const { events } = (await readEvents(response)).parser
      const starts = events.filter(({ data }) => data.includes('text-start'))
      assert.ok(starts.length > 0 && starts.length <= 512, `${starts.length} starts`)
      assert.ok(starts.at(-1)?.data.includes('79999'), 'the last ones')
      assert.equal(events.find(({ data }) => data.includes('last'))?.id, `${generation}.80001`)
    })
  })

  test('G9 a reconnect behind 200,000 empty chunks', async (t) => {
    const engine = open()
    const { generation } = await finished(engine, 'empty', Array(200_000).fill(''))
    await bounded(t, async () => {
      const headers = { 'last-event-id': `${generation}.200000` }
      const response = await engine.respond(new Request('http://localhost', { headers }), 'empty', ui)
      const { events } = (await readEvents(response)).parser
      assert.equal(events[0]?.id, `${generation}.200001`)
    })
  })

  test('G9 a queue of 24 MiB', async (t) => {
    const engine = open({ maxQueueBytes: 64 << 20 })
    const chunk = 'x'.repeat(1000)
    await bounded(t, async (run) => {
      const producer = await engine.produce(`queue-${run}`)
      for (let count = 0; count < 24_000; count++) producer.write(chunk)
      await producer.complete()
    })
  })

  test('G9 an answer of long chunks, written, read and replayed', async (t) => {
    const engine = open()
    await bounded(t, async (run) => {
      const chunks = Array.from({ length: 12 }, (_, index) =>
        `${index}`.repeat((1 << 20) - 16).slice(0, 1 << 20),
      )
      const producer = await engine.produce(`long-${run}`)
      for (const chunk of chunks) await producer.append(chunk)
      await producer.complete()
      const reader = await readAll(engine, `long-${run}`)
      assert.equal(reader.chunks.length, chunks.length)
    })
  })

  test('G9 a group that works through 60,000 chunks of one byte', async (t) => {
    const engine = open()
    await finished(engine, 'work', Array(60_000).fill('x'))
    await bounded(t, async (run) => {
      let count = 0
      const consumption = engine.consume('work', { group: `group ${run}`, consumer: 'a', batch: 100 })
      for await (const item of consumption) {
        void item.ack()
        count += 1
        if (count === 2_000) break
      }
      assert.equal(count, 2_000)
    })
  })

  test('G9 2,000 readers of one stream', async (t) => {
    const engine = open()
    await bounded(t, async (run) => {
      const id = `read-${run}`
      const producer = await engine.produce(id)
      const readers = Array.from({ length: 2_000 }, () => readAll(engine, id))
      for (let count = 0; count < 30; count++) await producer.append(`chunk ${count}`)
      await producer.complete()
      for (const reader of await Promise.all(readers)) assert.equal(reader.chunks.length, 30)
    })
  })
})

eachStore('turns of a memory store', (store) => {
  if (store.kind !== 'memory') return
  const open = useEngines(store)

  test('G9 an append costs the same, however many logs are appended to in one turn of JavaScript', async (t) => {
    const engine = open()
    await engine.log('first').append(['x'])
    if (Number.isNaN(busy())) return t.skip('the system does not tell what a thread has used')
    let made = 0
    /** What the engine's thread needs for each, in microseconds. @param {number} count */
    const cost = async (count) => {
      const costs = []
      for (let run = 0; run < RUNS; run++) {
        const logs = Array.from({ length: count }, () => engine.log(`log ${made++}`))
        const before = busy()
        await Promise.all(logs.map((log) => log.append(['x'])))
        costs.push(((busy() - before) / count) * 1000)
      }
      return Math.min(...costs)
    }
    const [few, many] = [await cost(500), await cost(16_000)]
    t.diagnostic(`${few.toFixed(1)} µs for each of few, ${many.toFixed(1)} for each of many`)
    assert.ok(many < 2.5 * few, `${many} and ${few} µs`)
  })

  test('G9 a log of 200,000 frames is read, measured and removed; 20,000 streams are looked through', async (t) => {
    const engine = open({ compression: false })
    await bounded(t, async (run) => {
      const producer = await engine.produce(`frames-${run}`)
      for (let count = 0; count < 200_000; count++) {
        producer.write('x')
        if (count % 100 === 99) await producer.ready
        if (count % 1000 === 999) await producer.flush()
      }
      await producer.complete()
      await engine.status(`frames-${run}`)
      await engine.delete(`frames-${run}`)
    })
    for (let at = 0; at < 20_000; at += 1_000) {
      const ids = Array.from({ length: 1_000 }, (_, index) => `${at + index}`)
      await Promise.all(ids.map(async (id) => (await engine.produce(id)).complete()))
    }
    await bounded(t, async (run) => {
      const consumer = engine.finished({ group: 'g', consumer: `${run}` })
      setTimeout(() => consumer.return?.(), 500)
      for await (const answer of consumer) await answer.ack()
    })
  })
})
