// Back-pressure: a queue is bounded, says when it is long, and loses nothing of what it took.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from './support/history.mjs'
import { startProxy } from './support/proxy.mjs'
import { eachStore, TestStore } from './support/stores.mjs'
import { numbered, readAll, texts, useEngines } from './support/streams.mjs'
import { deadline, until } from './support/wait.mjs'

const MIB = 1 << 20

eachStore('back-pressure', (store) => {
  const open = useEngines(store)

  test('checklist 21: a producer that heeds it loses nothing, however much it writes', async () => {
    const engine = open({ maxQueueBytes: MIB })
    const producer = await engine.produce('heeded')
    const chunks = texts(3_000).map((text) => text.padEnd(10_000, 'x'))
    for (const chunk of chunks) {
      for (;;) {
        try {
          producer.write(chunk)
          break
        } catch (error) {
          assert.equal(/** @type {any} */ (error).code, 'ERR_BACKPRESSURE')
          await producer.ready
        }
      }
    }
    await producer.complete()
    checkHistory({ written: numbered(chunks), readers: [await readAll(engine, 'heeded')] })
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
    await deadline(ready, 5_000, 'the queue gets shorter')
    assert.equal(producer.write('after the wait'), true)
    accepted.push('after the wait')
    await producer.complete()
    checkHistory({ written: numbered(accepted), readers: [await readAll(open(), 'pressure')] })
    await engine.close()
    await until(() => proxy.connections === 0, { message: 'its connections are closed' })
    await proxy.close()
  })

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
