// Back-pressure: a queue is bounded, says when it is long, and loses nothing of what it took.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { startProxy } from '../support/proxy.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { numbered, readAll, texts, useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const MIB = 1 << 20

/**
 * Writes each chunk until it is accepted.
 * @param {import('tidemark').Producer} producer
 * @param {(string | Uint8Array)[]} chunks
 */
async function writeAgain(producer, chunks) {
  for (const chunk of chunks) {
    for (let refusals = 0; ; refusals++) {
      try {
        producer.write(chunk)
        break
      } catch (error) {
        assert.equal(/** @type {any} */ (error).code, 'ERR_BACKPRESSURE')
        assert.ok(refusals < 10, 'ready is no loop that never lets go')
        await producer.ready
      }
    }
  }
}

eachStore('back-pressure', (store) => {
  const open = useEngines(store)

  test('checklist 21: a producer that waits for it loses nothing, however much it writes', async () => {
    const engine = open({ maxQueueBytes: MIB })
    const producer = await engine.produce('patient')
    const chunks = texts(3_000).map((text) => text.padEnd(10_000, 'x'))
    await writeAgain(producer, chunks)
    await producer.complete()
    checkHistory({ written: numbered(chunks), readers: [await readAll(engine, 'patient')] })
  })

  test('the longest chunk fits into the shortest queue, and ready waits until it does', async () => {
    const engine = open({ maxQueueBytes: MIB })
    const producer = await engine.produce('longest')
    const chunks = ['a', 'b', 'c'].flatMap((letter) => [letter, letter.repeat(MIB), new Uint8Array(MIB)])
    await writeAgain(producer, chunks)
    await producer.complete()
    checkHistory({ written: numbered(chunks), readers: [await readAll(engine, 'longest')] })
  })
})

describe('back-pressure while Redis is slow [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())

  test('checklist 21: false past the mark, ready, and past the bound an error that loses nothing', async () => {
    const proxy = await startProxy({ target: store.url })
    const engine = open({ url: proxy.url, maxQueueBytes: MIB })
    const producer = await engine.produce('pressure')
    /** @type {string[]} */
    const accepted = []
    const fill = () => {
      let below = 0
      for (let size = 0; ; size++) {
        const chunk = `${accepted.length} `.padEnd(10_000, 'x')
        try {
          if (producer.write(chunk)) below = size + 1
        } catch (error) {
          return { below, size, error: /** @type {any} */ (error) }
        }
        accepted.push(chunk)
      }
    }
    // Until then nothing that is written is accepted, so that the queue is as long as what was written.
    proxy.delay(1_000)
    const { below, size, error } = fill()
    assert.deepEqual([below, size], [Math.floor(MIB / 4 / 10_000), Math.floor(MIB / 10_000)])
    assert.deepEqual(
      [error.code, error.name, error.retryable],
      ['ERR_BACKPRESSURE', 'BackpressureError', true],
    )
    await assert.rejects(producer.append('x'.repeat(20_000)), { code: 'ERR_BACKPRESSURE' })
    let isReady = false
    const ready = producer.ready.then(() => {
      isReady = true
    })
    await turn()
    assert.equal(isReady, false)
    proxy.delay(0)
    await deadline(ready, 20_000, 'the queue gets shorter')
    assert.equal(producer.write('after the wait'), true)
    accepted.push('after the wait')
    await producer.complete()
    checkHistory({ written: numbered(accepted), readers: [await readAll(open(), 'pressure')] })
    await engine.close()
    await until(() => proxy.connections === 0, { message: 'its connections are closed' })
    await proxy.close()
  })

  /** What costs how much beside its own bytes: every chunk 32, one of `append` 256 more. */
  const tiny = /** @type {const} */ ({
    'an empty chunk': ['write', '', 32],
    'no bytes': ['write', new Uint8Array(0), 32],
    'a letter': ['write', 'x', 33],
    'a byte': ['write', Uint8Array.of(1), 33],
    'an empty chunk whose cursor is waited for': ['append', '', 288],
    'a letter whose cursor is waited for': ['append', 'x', 289],
  })
  for (const [name, [method, chunk, cost]] of Object.entries(tiny)) {
    test(`G7 ${name} counts with what it costs, and all that were taken are there`, async () => {
      const proxy = await startProxy({ target: store.url })
      const engine = open({ url: proxy.url, maxQueueBytes: 8 * MIB, commandTimeout: '1m' })
      const reader = open()
      const producer = await engine.produce(`tiny ${name}`)
      const bound = Math.floor((8 * MIB) / cost)
      // Until then nothing that is written is accepted.
      proxy.delay(60_000)
      /** @type {Promise<string>[]} */
      const appends = []
      const before = process.memoryUsage.rss()
      let firstFalse = 0
      let refused
      let taken = 0
      while (refused === undefined && taken <= bound) {
        if (method === 'append') {
          const append = producer.append(chunk)
          appends.push(append)
          // A refusal is there at once, and nothing else is: nothing can be accepted.
          if (taken >= bound - 1) refused = await Promise.race([append.catch((error) => error), turn()])
          if (refused === undefined) taken++
        } else {
          try {
            if (!producer.write(chunk)) firstFalse ||= taken + 1
            taken++
          } catch (error) {
            refused = error
          }
        }
      }
      assert.equal(refused?.code, 'ERR_BACKPRESSURE')
      assert.equal(taken, bound)
      if (method === 'write') assert.equal(firstFalse, Math.ceil((2 * MIB) / cost))
      const { queuedBytes, longestQueueBytes } = engine.metrics()
      assert.deepEqual([queuedBytes, longestQueueBytes], [taken * chunk.length, taken * cost])
      const grown = process.memoryUsage.rss() - before
      assert.ok(grown < 24 * MIB, `a queue of 8 MiB took ${grown} bytes`)
      proxy.delay(0)
      proxy.cut()
      assert.equal(await deadline(producer.complete(), 20_000, 'everything is accepted'), 'complete')
      if (method === 'append') {
        const cursors = await Promise.all(appends.slice(0, taken))
        assert.equal(cursors.at(-1), `${producer.generation}.${taken}`)
      }
      let seq = 0
      for await (const read of reader.subscribe(`tiny ${name}`)) {
        assert.equal(read.seq, ++seq)
        if (read.data.length !== chunk.length) assert.deepEqual(read.data, chunk)
      }
      assert.equal(seq, taken)
      await Promise.all([engine.close(), reader.close()])
      await proxy.close()
    })
  }

  test('what waits for its interval is sent when it fills a frame or is asked for', async () => {
    const engine = open({ maxQueueBytes: MIB, flushIntervalMs: 10_000 })
    const producer = await engine.produce('interval')
    const chunks = texts(60).map((text) => text.padEnd(10_000, 'x'))
    for (const chunk of chunks) producer.write(chunk)
    await deadline(producer.ready, 2_000, 'the queue gets shorter')
    await deadline(producer.flush(), 2_000, 'everything is accepted')
    await producer.complete()
    checkHistory({ written: numbered(chunks), readers: [await readAll(engine, 'interval')] })
  })
})
