// Windows: a reader gets no more than it acknowledges, whatever is written meanwhile, and one that never does is let go.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import {
  Follower,
  follow,
  numbered,
  produceAll,
  readAll,
  texts,
  useEngines,
  writeAll,
} from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/**
 * After this, chunks that were under way have come: a reader without a window, which began later, has been given all of them.
 * @param {import('tidemark').Engine} engine
 * @param {string} id
 * @param {number} last
 * @param {import('tidemark').SubscribeOptions} [options]
 */
async function witness(engine, id, last, options) {
  const { chunks } = await readAll(engine, id, {
    ...options,
    name: 'the witness',
    each: ({ seq }) => seq < last,
  })
  assert.equal(chunks.at(-1)?.seq, last)
}

/**
 * After this, a reader that has been late for so long has been let go: one that began to be late only now was.
 * @param {import('tidemark').Engine} engine
 * @param {number} ackTimeoutMs
 */
async function lateWitness(engine, ackTimeoutMs) {
  const id = `late ${randomUUID()}`
  await produceAll(engine, id, texts(2))
  const { error } = await readAll(engine, id, { window: 1, ack: 'manual', ackTimeoutMs })
  assert.equal(error.code, 'ERR_ACK_TIMEOUT')
}

eachStore('windows', (store) => {
  const open = useEngines(store)

  test('checklist 21: no more chunks than the window are delivered and not acknowledged', async () => {
    const engine = open()
    const producer = await engine.produce('waits')
    await writeAll(producer, texts(50))
    const subscription = engine.subscribe('waits', { window: 8, ack: 'manual' })
    const reader = new Follower(subscription)
    await reader.has(8)
    await witness(engine, 'waits', 50)
    assert.equal(reader.chunks.length, 8)
    const cursor = (/** @type {number} */ seq) => `${producer.generation}.${seq}`
    await subscription.ack(cursor(3))
    await reader.has(11)
    // Neither what was acknowledged before nor what has not been delivered yet counts.
    for (const seq of [1, 3, 0]) await subscription.ack(cursor(seq))
    await witness(engine, 'waits', 50)
    assert.equal(reader.chunks.length, 11)
    await subscription.ack(cursor(1_000))
    await reader.has(19)
    await witness(engine, 'waits', 50)
    assert.equal(reader.chunks.length, 19)
    await producer.complete()
    for (let seq = 19; reader.outcome === undefined; seq = Math.min(50, seq + 8)) {
      await reader.has(seq)
      await subscription.ack(reader.chunks.at(-1)?.cursor ?? '')
    }
    assert.equal((await reader.end()).outcome, 'complete')
    checkHistory({ written: numbered(texts(50)), readers: [reader] })
  })

  test('checklist 21: the window is never exceeded, at any pace and with any acknowledgements', async () => {
    const random = createRandom(7)
    const engines = [open({ ackIntervalMs: 5 }), open({ ackIntervalMs: 5 })]
    const producer = await random.pick(engines).produce('random')
    const chunks = Array.from({ length: 600 }, (_, index) => `${index} ${'x'.repeat(2 ** random.int(0, 12))}`)
    const readers = Array.from({ length: 8 }, (_, index) => {
      const window = random.int(1, 40)
      const byHand = random.chance(0.7)
      const consumer = random.chance(0.5) ? `consumer ${index}` : undefined
      const name = `reader ${index} (window ${window}, ${byHand ? 'manual' : 'auto'}, ${consumer})`
      const options = { window, ack: byHand ? 'manual' : 'auto', consumer }
      const subscription = random.pick(engines).subscribe('random', /** @type {any} */ (options))
      let acked = 0
      /** @type {string[]} */
      const unacked = []
      const acknowledge = () => {
        if (unacked.length === 0) return
        const count = random.int(1, unacked.length)
        acked += count
        void subscription.ack(unacked.splice(0, count).at(-1) ?? '')
      }
      const each = async (/** @type {import('tidemark').Chunk} */ { seq, cursor }) => {
        if (random.chance(0.05)) await turn()
        if (!byHand) return
        unacked.push(cursor)
        assert.ok(seq - acked <= window, `${name} got seq ${seq} with ${acked} acknowledged`)
        // The loop goes on without an acknowledgement; one that comes from elsewhere lets it.
        if (unacked.length < window && random.chance(0.5)) return
        if (random.chance(0.5)) acknowledge()
        else setImmediate(acknowledge)
      }
      return new Follower(subscription, { name, each })
    })
    for (const chunk of chunks) {
      if (!producer.write(chunk)) await producer.ready
      if (random.chance(0.1)) await turn()
    }
    await producer.complete()
    for (const reader of readers) assert.equal((await reader.end()).error, undefined, reader.name)
    checkHistory({ written: numbered(chunks), readers })
  })

  test('checklist 21: a window holds across generations, and without a consumer auto needs no help', async () => {
    const engine = open()
    const first = await produceAll(engine, 'across', texts(10, 'first'))
    const second = await produceAll(engine, 'across', texts(10, 'second'))
    const auto = follow(engine, 'across', {
      from: `${first.generation}.0`,
      follow: 'all',
      window: 3,
      each: ({ seq }) => seq < 20,
    })
    const subscription = engine.subscribe('across', {
      from: `${first.generation}.5`,
      follow: 'all',
      window: 7,
      ack: 'manual',
    })
    const manual = new Follower(subscription, { from: 5, each: ({ seq }) => seq < 20 })
    await manual.has(7)
    await witness(engine, 'across', 20, { from: `${first.generation}.0`, follow: 'all' })
    assert.equal(manual.chunks.at(-1)?.seq, 12)
    await subscription.ack(`${first.generation}.10`)
    await manual.has(12)
    await subscription.ack(`${second.generation}.17`)
    const written = numbered([...texts(10, 'first'), ...texts(10, 'second')])
    const readers = [await auto.end(), await manual.end()].map((reader) => ({ ...reader, to: 20 }))
    checkHistory({ written, readers })
  })

  test('checklist 21: what is held back is bounded, and costs the producer nothing', async () => {
    const engine = open()
    const producer = await engine.produce('held')
    const subscription = engine.subscribe('held', { window: 1, ack: 'manual' })
    let isAwake = false
    const slow = new Follower(subscription, {
      name: 'slow',
      each: async ({ cursor }) => {
        if (isAwake) await subscription.ack(cursor)
      },
    })
    const quick = follow(engine, 'held', { name: 'quick' })
    const chunks = texts(2_000).map((text) => text.padEnd(2_000, '·'))
    await writeAll(producer, chunks)
    await producer.complete()
    await quick.end()
    assert.equal(slow.chunks.length, 1)
    isAwake = true
    await subscription.ack(slow.chunks.at(-1)?.cursor ?? '')
    await slow.end()
    checkHistory({ written: numbered(chunks), readers: [quick, slow] })
  })

  test('checklist 21: acknowledgements that arrive elsewhere count, with the owner alone', async () => {
    const [engine, other] = [open({ ackIntervalMs: 0 }), open({ ackIntervalMs: 0 })]
    const owner = 'alice'
    const producer = await produceAll(engine, 'elsewhere', texts(30), { owner })
    const cursor = (/** @type {number} */ seq) => `${producer.generation}.${seq}`
    const options = /** @type {const} */ ({ consumer: 'user-1', owner, window: 10, ack: 'manual' })
    const reader = new Follower(engine.subscribe('elsewhere', options))
    await reader.has(10)
    await assert.rejects(engine.ack('elsewhere', 'user-1', cursor(5), { owner: 'bob' }), {
      code: 'ERR_FORBIDDEN',
    })
    await engine.ack('elsewhere', 'user-2', cursor(5), { owner })
    await witness(engine, 'elsewhere', 30, { owner })
    assert.equal(reader.chunks.length, 10)
    await engine.ack('elsewhere', 'user-1', cursor(5), { owner })
    await reader.has(15)
    await other.ack('elsewhere', 'user-1', cursor(15), { owner })
    await reader.has(25)
    await other.ack('elsewhere', 'user-1', cursor(25), { owner })
    assert.equal((await reader.end()).outcome, 'complete')
    const rest = await readAll(other, 'elsewhere', { ...options, after: 25 })
    checkHistory({ written: numbered(texts(30)), readers: [reader, rest] })
  })

  test('checklist 21: a response waits for what its browser acknowledges over HTTP', async () => {
    const [engine, other] = [open({ ackIntervalMs: 0 }), open({ ackIntervalMs: 0 })]
    const producer = await produceAll(engine, 'browser', texts(20))
    const cursor = (/** @type {number} */ seq) => `${producer.generation}.${seq}`
    const options = { consumer: 'user-1', window: 6, ackTimeoutMs: 30_000, heartbeatMs: 0 }
    const response = await engine.respond({ url: '/', headers: {} }, 'browser', options)
    let text = ''
    const reading = (async () => {
      const decoder = new TextDecoder()
      for await (const piece of response.body ?? []) text += decoder.decode(piece, { stream: true })
    })()
    const seen = () => [...text.matchAll(/^id: \w+\.(\d+)$/gm)].map(([, seq]) => Number(seq))
    await until(() => seen().at(-1) === 6, { message: 'the first window' })
    await witness(engine, 'browser', 20)
    assert.equal(seen().at(-1), 6)
    await engine.ack('browser', 'user-1', cursor(6))
    await until(() => seen().at(-1) === 12, { message: 'the second window' })
    await other.ack('browser', 'user-1', cursor(12))
    await until(() => seen().at(-1) === 18, { message: 'the third window' })
    await engine.ack('browser', 'user-1', cursor(18))
    await reading
    assert.equal(seen().at(-1), 20)
    // A loop's own acknowledgements do not reach what becomes of a body.
    const body = engine.subscribe('browser', { window: 2 }).toSSE()
    let whole = ''
    for await (const piece of body) whole += Buffer.from(piece).toString()
    assert.match(whole, /chunk 20 /)
    for (const name of ['window', 'ackTimeoutMs']) {
      const refused = engine.respond({ headers: {} }, 'browser', { [name]: 5 })
      await assert.rejects(refused, { code: 'ERR_INVALID_ARGUMENT', field: `options.${name}` })
    }
  })

  test('checklist 21: a reader that never acknowledges is let go with ERR_ACK_TIMEOUT', async () => {
    const engine = open()
    const producer = await engine.produce('timeout')
    const idle = engine.subscribe('timeout', { window: 4, ack: 'manual', ackTimeoutMs: 150 })
    const nothing = new Follower(idle)
    // Nothing was delivered, so nothing is late.
    await lateWitness(engine, 150)
    assert.equal(nothing.outcome, undefined)
    await writeAll(producer, texts(20))
    await nothing.end()
    const { error } = nothing
    assert.deepEqual(
      [error.code, error.name, error.streamId],
      ['ERR_ACK_TIMEOUT', 'AckTimeoutError', 'timeout'],
    )
    assert.match(error.message, /4 chunks/)
    assert.equal(nothing.chunks.length, 4)

    // One that goes on acknowledging is not, however slowly; nor is one that has acknowledged everything.
    const subscription = engine.subscribe('timeout', {
      consumer: 'user-1',
      ack: 'manual',
      window: 4,
      ackTimeoutMs: 1_000,
    })
    const steady = new Follower(subscription)
    for (let seq = 1; seq <= 20; seq++) {
      await steady.has(seq)
      await sleep(10)
      void subscription.ack(`${producer.generation}.${seq}`)
    }
    await lateWitness(engine, 1_000)
    assert.equal(steady.outcome, undefined)
    await producer.complete()
    assert.equal((await steady.end()).outcome, 'complete')
    const readers = [
      { ...nothing, to: 4 },
      { name: 'steady', chunks: steady.chunks, outcome: steady.outcome },
    ]
    checkHistory({ written: numbered(texts(20)), readers })
  })

  test('checklist 21: without a window chunks may still not wait for ever', async () => {
    const engine = open()
    const producer = await produceAll(engine, 'unbounded', texts(1_000))
    const options = /** @type {const} */ ({ consumer: 'user-1', ack: 'manual', ackTimeoutMs: 200 })
    const held = engine.subscribe('unbounded', { ...options, follow: 'all' })
    const reader = new Follower(held)
    await reader.end()
    assert.equal(reader.error.code, 'ERR_ACK_TIMEOUT')
    assert.equal(reader.chunks.length, 1_000)
    // Another process' word is heard before the verdict.
    const other = open({ ackIntervalMs: 0 })
    const heard = new Follower(engine.subscribe('unbounded', { ...options, follow: 'all' }))
    await heard.has(1_000)
    await other.ack('unbounded', 'user-1', `${producer.generation}.1000`)
    await lateWitness(engine, 200)
    assert.equal(heard.outcome, undefined)
    await heard.subscription.return()
    await until(() => heard.outcome === 'left', { message: 'the loop is left' })
    checkHistory({ written: numbered(texts(1_000)), readers: [reader, heard] })
  })
})
