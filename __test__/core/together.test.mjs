// Readers of one stream in one process: a chunk that comes is delivered once, to all that stand right before it. Those who stand elsewhere,
// are slow, or have a window, must not notice.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const CHUNKS = 600
const ALL_AT_ONCE = 1300
const bytesOf = (/** @type {string} */ text) => new TextEncoder().encode(text)

eachStore('together', (store) => {
  const open = useEngines(store)

  for (const where of ['elsewhere', 'here']) {
    test(`G1 G7 readers of all kinds, of a stream that is written ${where}, each get every chunk once`, async () => {
      const random = createRandom(where.length)
      const id = `kinds ${where}`
      const reading = open()
      const writing = where === 'here' ? reading : open()
      const producer = await writing.produce(id)
      const chunks = Array.from({ length: CHUNKS }, (_, n) => {
        const text = `${n + 1} ${'é'.repeat(random.int(0, 30))} `
        return random.chance(0.2) ? bytesOf(text) : text.padEnd(random.chance(0.05) ? 5000 : 0, '.')
      })
      const ack = (/** @type {import('../support/streams.mjs').Follower} */ reader) =>
        reader.subscription.ack(/** @type {string} */ (reader.subscription.cursor))
      /** @type {import('../support/streams.mjs').Follower[]} */
      const readers = []
      const begin = (/** @type {NonNullable<Parameters<typeof follow>[2]>} */ options) => {
        const reader = follow(reading, id, { name: `reader ${readers.length}`, ...options })
        readers.push(reader)
        return reader
      }
      for (let count = 0; count < 5; count++) begin({})
      begin({ each: () => turn() })
      begin({ each: ({ seq }) => (seq % 50 === 0 ? sleep(3) : undefined) })
      begin({ window: 1 })
      const windowed = begin({
        window: 7,
        ack: 'manual',
        each: ({ seq }) => (seq % 5 === 0 ? ack(windowed) : undefined),
      })
      begin({ consumer: 'ann' })
      const leaver = begin({ each: ({ seq }) => seq < 100 })
      const aborted = new AbortController()
      begin({ signal: aborted.signal, each: ({ seq }) => (seq === 150 ? aborted.abort() : undefined) })
      const idle = reading.subscribe(id)
      const response = await reading.respond(new Request('http://host/'), id)
      const events = response.text()
      for (let written = 0; written < chunks.length; ) {
        const count = random.pick([1, 1, 1, 2, 3, 40])
        for (const chunk of chunks.slice(written, written + count)) producer.write(chunk)
        written += count
        await turn()
        // One that comes later reads the log, and joins the others.
        if (random.chance(0.1) && readers.length < 30) begin({})
        const known = readers[0]?.chunks.at(-1)
        if (known && random.chance(0.05) && readers.length < 40)
          begin({ from: known.cursor, after: known.seq })
      }
      await producer.complete()
      for (const reader of readers) await reader.end()
      checkHistory({ written: numbered(chunks), readers })
      assert.equal(leaver.outcome, 'left')
      assert.equal(readers.filter(({ outcome }) => outcome === 'complete').length, readers.length - 2)
      const text = await events
      const seen = [...text.matchAll(/^id: \S+\.(\d+)$/gm)].map(([, seq]) => Number(seq))
      assert.deepEqual(
        seen,
        [...chunks.keys()].map((n) => n + 1),
      )
      let count = 0
      for await (const { seq } of idle) assert.equal(seq, ++count)
      assert.equal(count, CHUNKS)
    })
  }

  test('G1 what one reader does to its chunks no other one sees', async () => {
    const engine = open()
    const producer = await engine.produce('own')
    const json = '{"a":1,"list":[{"b":2}],"__proto__":{"c":3}}'
    const flat = '{"a":1,"__proto__":3}'
    const bytes = bytesOf('bytes')
    /** @type {unknown[][]} */
    const seen = []
    const readers = Array.from({ length: 6 }, (_, index) =>
      follow(engine, 'own', {
        each: (chunk) => {
          const { data } = chunk
          if (typeof data !== 'string') {
            seen.push(['bytes', [...data]])
            data.fill(index)
            structuredClone(data.buffer, { transfer: [data.buffer] })
            return
          }
          if (!data.startsWith('{')) return
          const value = /** @type {any} */ (chunk.json())
          seen.push([data, JSON.stringify(value)])
          value.a = index
          value.extra = true
          if (value.list) value.list[0].b = value.list.push(index)
        },
      }),
    )
    await producer.append('first')
    for (const reader of readers) await reader.has(1)
    for (const chunk of [json, json, flat, bytes, bytes, flat]) await producer.append(chunk)
    producer.write(json)
    producer.write(bytes)
    producer.write(bytes)
    producer.write(flat)
    await producer.complete()
    for (const reader of readers) assert.equal((await reader.end()).outcome, 'complete')
    const wanted = [json, json, flat, bytes, bytes, flat, json, bytes, bytes, flat]
    assert.equal(seen.length, wanted.length * readers.length)
    for (const [what, got] of seen) {
      if (what === 'bytes') assert.deepEqual(got, [...bytesOf('bytes')])
      else assert.equal(got, what)
    }
  })

  test(`G1 G7 ${ALL_AT_ONCE} readers, more than a drain can name at once`, async () => {
    const reading = open()
    const producer = await open().produce('many')
    const counts = new Uint32Array(ALL_AT_ONCE)
    const readers = Array.from(counts.keys(), async (index) => {
      for await (const { seq } of reading.subscribe('many')) {
        assert.equal(seq, ++/** @type {any} */ (counts)[index])
      }
    })
    await producer.append('first')
    await until(() => counts.every((count) => count === 1))
    for (let n = 0; n < 10; n++) {
      producer.write('one')
      producer.write('two')
      if (n % 2 === 0) await producer.flush()
    }
    await producer.complete()
    await Promise.all(readers)
    assert.ok(counts.every((count) => count === 21))
  })
})
