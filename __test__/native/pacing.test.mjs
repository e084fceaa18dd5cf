// Chunks gather between wakes of the engine's thread, and live ones between wakes of the event loop; nothing else waits for it. The
// interval is long here, to be seen.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { eachStore } from '../support/stores.mjs'
import { deadline } from '../support/wait.mjs'

const INTERVAL_MS = 1000
const CHUNKS = 40

eachStore('pacing', (store) => {
  const keyPrefix = store.prefix()
  /** @type {import('tidemark').Engine[]} */
  const engines = []
  const open = (/** @type {import('tidemark').EngineOptions} */ options = {}) => {
    const engine = createEngine({ url: store.url, keyPrefix, ...options })
    engines.push(engine)
    return engine
  }
  after(() => Promise.all(engines.map((engine) => engine.close())))

  /**
   * A reader that has just been woken for the first of its chunks.
   * @param {string} id @param {number} deliveryIntervalMs @param {number} [writeIntervalMs]
   */
  async function following(id, deliveryIntervalMs, writeIntervalMs = 0) {
    const [writing, reading] = [open({ writeIntervalMs }), open({ deliveryIntervalMs })]
    const producer = await writing.produce(id)
    const subscription = reading.subscribe(id)
    await producer.append('first')
    await subscription.next()
    // What came of itself a moment later, such as the producer's acknowledgement, is no part of what is looked at.
    await producer.append('second')
    await subscription.next()
    return { writing, reading, producer, subscription }
  }

  /** In how many turns of the event loop the chunks came that were written one by one. */
  async function turnsOf(
    /** @type {string} */ id,
    /** @type {number} */ deliveryIntervalMs,
    /** @type {number | undefined} */ writeIntervalMs = undefined,
  ) {
    const { producer, subscription } = await following(id, deliveryIntervalMs, writeIntervalMs)
    /** @type {string[]} */
    const got = []
    let turns = 0
    let isSame = false
    const reading = (async () => {
      for await (const chunk of subscription) {
        got.push(chunk.text())
        if (isSame) continue
        turns++
        isSame = true
        setImmediate(() => {
          isSame = false
        })
      }
    })()
    const wanted = Array.from({ length: CHUNKS }, (_, n) => `${n}`)
    for (const text of wanted) {
      if (writeIntervalMs === undefined) await producer.append(text)
      else producer.write(text)
      await sleep(2)
    }
    await producer.complete()
    await deadline(reading, 10_000, 'the end')
    assert.deepEqual(got, wanted)
    return turns
  }

  test('G1 chunks that follow closely are delivered together, each once and in order', async () => {
    const [together, each] = [await turnsOf('together', INTERVAL_MS), await turnsOf('each', 0)]
    assert.ok(together <= 4, `${CHUNKS} chunks came in ${together} turns`)
    assert.ok(each > CHUNKS / 2, `without an interval ${CHUNKS} chunks came in ${each} turns`)
  })

  test('G1 chunks that are written closely one after the other are sent together, each once and in order', async () => {
    const [together, each] = [await turnsOf('sent together', 0, INTERVAL_MS), await turnsOf('sent', 0, 0)]
    assert.ok(together <= 4, `${CHUNKS} chunks came in ${together} turns`)
    assert.ok(each > CHUNKS / 2, `without an interval ${CHUNKS} chunks came in ${each} turns`)
  })

  test('G1 what nobody reads is sent together for longer, and is there for who comes', {
    skip: store.kind !== 'redis',
  }, async () => {
    const [writing, reading] = [open(), open()]
    const producer = await writing.produce('unheard')
    const write = async (/** @type {string} */ text) => {
      producer.write(text)
      await sleep(2)
    }
    const wanted = Array.from({ length: 5 * CHUNKS }, (_, n) => `${n}`)
    // Redis tells with its answers that nobody listens.
    for (const text of wanted.slice(0, CHUNKS)) await write(text)
    await producer.flush()
    const { batches: before } = writing.metrics()
    const begin = performance.now()
    for (const text of wanted.slice(CHUNKS, 4 * CHUNKS)) await write(text)
    await producer.flush()
    // Where somebody reads, every second chunk or so is a batch.
    const most = 1.25 * ((performance.now() - begin) / 64) + 2
    const batches = writing.metrics().batches - before
    assert.ok(
      batches <= most,
      `${3 * CHUNKS} chunks were sent in ${batches} batches, at most ${most} are due`,
    )
    producer.write('and one more')
    await producer.flush()
    assert.equal(
      (await reading.status('unheard'))?.lastSeq,
      4 * CHUNKS + 1,
      'a flush takes along all that gathers',
    )
    wanted.splice(4 * CHUNKS, 0, 'and one more')
    const subscription = reading.subscribe('unheard')
    const got = [(await subscription.next()).value?.text()]
    for (const text of wanted.slice(4 * CHUNKS + 1)) await write(text)
    await producer.complete()
    for await (const chunk of subscription) got.push(chunk.text())
    assert.deepEqual(got, wanted)
  })

  test('G6 what nobody reads is kept by a stop that leaves no time', {
    skip: store.kind !== 'redis',
  }, async () => {
    for (const stopGrace of /** @type {const} */ (['0ms', '1s'])) {
      const [writing, reading] = [open({ stopGrace }), open()]
      const id = `stopped after ${stopGrace}`
      const producer = await writing.produce(id)
      const wanted = Array.from({ length: CHUNKS }, (_, n) => `${n}`)
      for (const text of wanted) {
        producer.write(text)
        await sleep(2)
      }
      producer.write('last')
      assert.equal(await reading.stop(id), 'stopping')
      await producer.complete()
      const result = await reading.result(id)
      assert.deepEqual([result.outcome, result.text], ['stopped', `${wanted.join('')}last`])
    }
  })

  test('neither much that is written nor what is awaited waits to be sent', async () => {
    const { reading, producer, subscription } = await following('sent at once', 0, INTERVAL_MS)
    const interval = sleep(INTERVAL_MS, 'the interval')
    /** @param {Promise<unknown>} operation @param {string} what */
    const before = async (operation, what) =>
      assert.notEqual(await Promise.race([operation, interval]), 'the interval', what)
    producer.write('third')
    await before(producer.append('fourth'), 'an acknowledgement')
    producer.write('fifth')
    await before(producer.flush(), 'a flush')
    producer.write('x'.repeat(20_000))
    const seen = (async () => {
      for (let count = 3; count <= 6; count++) await subscription.next()
    })()
    await before(seen, 'a long chunk, and those before it')
    producer.write('seventh')
    await before(reading.stop('sent at once'), 'a stop')
    await before(producer.complete(), 'the end')
    const rest = []
    for await (const chunk of subscription) rest.push(chunk.text())
    assert.deepEqual(rest, ['seventh'])
  })

  test('ends, stops and acknowledgements do not wait for the interval', async () => {
    const { writing, reading, producer, subscription } = await following('ended', INTERVAL_MS, INTERVAL_MS)
    const other = await following('stopped', INTERVAL_MS, INTERVAL_MS)
    const interval = sleep(INTERVAL_MS, 'the interval')
    /** @param {Promise<unknown>} operation @param {string} what */
    const before = async (operation, what) =>
      assert.notEqual(await Promise.race([operation, interval]), 'the interval', what)
    await before(producer.append('third'), 'an acknowledgement')
    await before(producer.complete(), 'the answer of a call')
    await before(
      (async () => {
        for await (const _ of subscription);
      })(),
      'the end, and the chunk before it',
    )
    await before(reading.stop('stopped'), 'a stop')
    const stopped = new Promise((resolve) => other.producer.signal.addEventListener('abort', resolve))
    await before(other.producer.signal.aborted ? Promise.resolve() : stopped, 'its signal')
    await before(writing.status('ended'), 'another call')
    await deadline(other.producer.complete(), 20_000, 'the producer ends')
  })
})
