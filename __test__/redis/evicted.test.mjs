// Redis may evict any key of a stream by itself. Whoever works with the stream goes on, or ends with an error that says what is
// missing; and every key that is made anew has a TTL.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createRandom } from '../support/seed.mjs'
import { TestStore } from '../support/stores.mjs'
import { Follower, readAll, texts, useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const group = 'workers'
const PARTS = ['meta', 'log', 'sealed', 'cursors', 'groups', `work:${group}`]

describe('evicted keys [redis]', () => {
  const store = new TestStore('redis')
  before(() => store.start())
  const keyPrefix = store.prefix()
  const engines = useEngines(store)
  const open = () => engines({ keyPrefix, lease: '2s' })
  const keyOf = (/** @type {string} */ id, /** @type {string} */ part) => `{${keyPrefix}:${id}}:${part}`

  /** Every key of the prefix. */
  const ttls = async () => {
    const { admin } = store.redis
    for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
      const [next, keys] = await admin.cmd('SCAN', cursor, 'MATCH', `*${keyPrefix}*`, 'COUNT', 1_000)
      cursor = next
      for (const key of keys) assert.notEqual(await admin.cmd('PTTL', key), -1, `${key} has a TTL`)
    }
  }

  /**
   * Works through a stream until it is done; what cannot be read any more is told, and the next loop goes on.
   * @param {import('tidemark').Engine} engine @param {string} id @param {string} consumer
   */
  const workThrough = async (engine, id, consumer) => {
    const seqs = new Set()
    let gaps = 0
    for (;;) {
      try {
        for await (const item of engine.consume(id, { group, consumer, batch: 20, claimIdleMs: 300 })) {
          seqs.add(item.seq)
          await item.ack()
        }
        return { seqs, gaps }
      } catch (error) {
        if (/** @type {any} */ (error).code !== 'ERR_GAP') throw error
        gaps += 1
        assert.ok(gaps < 50, `${gaps} gaps`)
      }
    }
  }

  const random = createRandom(8)
  const several = Array.from({ length: 8 }, () => PARTS.filter(() => random.chance(0.4)))
  for (const [index, evicted] of [...PARTS.map((part) => [part]), ...several, PARTS].entries()) {
    test(`readers, consumers and workers go on without ${evicted.join(', ') || 'nothing'}`, async () => {
      const id = `evicted-${index}`
      const [engine, other] = [open(), open()]
      const producer = await engine.produce(id)
      const chunks = texts(400)
      // Sealed and open ones.
      for (const chunk of chunks.slice(0, 300)) await producer.append(chunk)
      const near = new Follower(engine.subscribe(id))
      const consumer = new Follower(other.subscribe(id, { consumer: 'ann' }), {
        each: () => until(() => near.chunks.length > 0),
      })
      await near.has(300)
      await consumer.has(100)
      const held = other.consume(id, { group, consumer: 'gone', batch: 20, claimIdleMs: 300 })
      for (let count = 0; count < 10; count++) await (await held.next()).value?.ack()
      const { admin } = store.redis
      if (evicted.length > 0) await admin.cmd('DEL', ...evicted.map((part) => keyOf(id, part)))
      for (const chunk of chunks.slice(300)) await producer.append(chunk)
      const working = Promise.all([workThrough(other, id, 'a'), workThrough(engine, id, 'b')])
      await producer.complete()
      assert.equal((await near.end()).outcome, 'complete')
      assert.equal(near.chunks.length, 400)
      const { outcome } = await consumer.end()
      assert.ok(['complete', 'ERR_GAP'].includes(`${outcome}`), outcome)
      await held.return?.()
      const workers = await deadline(working, 20_000, 'the group is done')
      const late = await readAll(other, id, { from: 'start' })
      assert.ok(['complete', 'ERR_GAP'].includes(`${late.outcome}`), late.outcome)
      // All of what was written since can be read, and was worked on.
      const worked = new Set(workers.flatMap(({ seqs }) => [...seqs]))
      for (let seq = 301; seq <= 400; seq++) assert.ok(worked.has(seq), `${seq} was worked on`)
      await ttls()
    })
  }

  test("G1: a failure's words are not taken for a deletion: what is lost is called lost", async () => {
    const id = 'failed'
    const [engine, other] = [open(), open()]
    const producer = await engine.produce(id)
    for (let count = 0; count < 60; count++) await producer.append(`${count}`.padEnd(60_000, '.'))
    await producer.fail(new Error('deleted'))
    const reader = other.subscribe(id)
    assert.equal((await reader.next()).value?.seq, 1)
    await store.redis.admin.cmd('DEL', ...PARTS.map((part) => keyOf(id, part)))
    const rest = (async () => {
      for await (const _ of reader);
    })()
    await assert.rejects(deadline(rest, 20_000, 'the end'), { code: 'ERR_INTERRUPTED', reason: 'lost' })
  })

  test('a stream that begins anew is not mixed up with what is left of its group', async () => {
    const engine = open()
    for (const evicted of [['meta'], ['meta', 'groups'], ['meta', 'groups', 'log', 'sealed', 'cursors']]) {
      const id = `anew-${evicted.length}`
      const first = await engine.produce(id)
      for (const chunk of texts(50)) first.write(chunk)
      await first.complete()
      const held = engine.consume(id, { group, consumer: 'gone' })
      for (let count = 0; count < 20; count++) await held.next()
      await store.redis.admin.cmd('DEL', ...evicted.map((part) => keyOf(id, part)))
      const second = await engine.produce(id)
      for (const chunk of texts(30)) second.write(chunk)
      await second.complete()
      const { seqs, gaps } = await workThrough(engine, id, 'a')
      assert.deepEqual([[...seqs], gaps], [Array.from({ length: 30 }, (_, at) => at + 1), 0])
      await held.return?.()
      await ttls()
    }
  })

  test('the queue of finished generations is made anew', async () => {
    const engine = open()
    const { admin } = store.redis
    const next = async () => {
      const consumption = engine.finished({ group, consumer: 'a' })
      const { value } = await deadline(consumption.next(), 10_000, 'a finished generation')
      await value?.ack()
      await consumption.return?.()
      return value?.streamId
    }
    await (await engine.produce('before')).complete()
    const waiting = next()
    await until(() => admin.cmd('EXISTS', `${keyPrefix}:{finished}:queue`))
    await (await engine.produce('first')).complete()
    await waiting
    // Who waits at the queue when it goes gets what is finished afterwards.
    const waiter = engine.finished({ group: 'waiters', consumer: 'a' })
    const told = waiter.next()
    await until(async () => (await admin.cmd('PUBSUB', 'NUMSUB', `${keyPrefix}:{finished}:news`))[1] > 0)
    await (await engine.produce('told')).complete()
    for (let { value } = await told; ; value = (await waiter.next()).value) {
      await value?.ack()
      if (value?.streamId === 'told') break
    }
    await admin.cmd('DEL', `${keyPrefix}:{finished}:queue`)
    const again = waiter.next()
    await (await engine.produce('untold')).complete()
    assert.equal((await deadline(again, 20_000, 'the waiter is told')).value?.streamId, 'untold')
    await waiter.return?.()
    for (const part of ['queue', 'open']) {
      await admin.cmd('DEL', `${keyPrefix}:{finished}:${part}`)
      const waiting = next()
      await until(() => admin.cmd('EXISTS', `${keyPrefix}:{finished}:queue`))
      await (await engine.produce(`after ${part}`)).complete()
      assert.ok(await waiting)
      await ttls()
    }
  })

  test('the key of cursors has a TTL when all of them have made room', async () => {
    const engine = open()
    const id = 'crowded'
    const first = await engine.produce(id)
    const at = await first.append('chunk')
    await first.complete()
    await Promise.all(Array.from({ length: 1_000 }, (_, number) => engine.ack(id, `consumer ${number}`, at)))
    await assert.rejects(engine.ack(id, 'one more', at), { code: 'ERR_STORE' })
    for (let count = 0; count < 2; count++) await (await engine.produce(id)).complete()
    const last = await engine.produce(id)
    await engine.ack(id, 'late', await last.append('chunk'))
    assert.equal(await store.redis.admin.cmd('HLEN', keyOf(id, 'cursors')), 1)
    await ttls()
    await last.complete()
    await ttls()
  })
})
