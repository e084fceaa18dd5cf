// The queue of finished generations: every answer is told to every group at least once, even if its server died.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createEngine } from 'tidemark'
import { checkHistory } from '../support/history.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { startRemote } from '../support/remote.mjs'
import { eachStore, sharedRedis } from '../support/stores.mjs'
import { numbered, produceAll, readAll, texts, writeAll } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const group = 'database'

/**
 * Works at the queue until it has what it waits for.
 * @param {import('tidemark').Engine} engine
 * @param {number} count
 * @param {Partial<import('tidemark').FinishedOptions>} [options]
 */
async function finished(engine, count, options) {
  /** @type {import('tidemark').FinishedGeneration[]} */
  const found = []
  const work = async () => {
    for await (const generation of engine.finished({ group, consumer: 'worker', ...options })) {
      await generation.ack()
      if (found.push(generation) === count) break
    }
  }
  if (count > 0) await deadline(work, 20_000, `${count} finished generations`)
  return found
}

/** Makes the group, so that everything from now on is queued. @param {import('tidemark').Engine} engine */
async function begin(engine, name = group) {
  const signal = AbortSignal.timeout(300)
  const queue = engine.finished({ group: name, consumer: 'first', signal })
  await assert.rejects(queue.next(), { name: 'TimeoutError' })
}

eachStore('finished', (store) => {
  test('checklist 20: every ended generation is queued with its outcome, once for each group', async (t) => {
    const open = () => {
      const engine = createEngine({ url: store.url, keyPrefix })
      t.after(() => engine.close())
      return engine
    }
    const keyPrefix = store.prefix()
    const [web, worker] = [open(), open()]
    await produceAll(web, 'before anybody asked', texts(1))
    await begin(worker)
    const complete = await produceAll(web, 'complete', texts(3))
    const failed = await web.produce('failed')
    await writeAll(failed, texts(2))
    await failed.fail(new Error('no more words'))
    const stopped = await web.produce('{stopped}\n')
    await web.stop('{stopped}\n', 'enough')
    await stopped.complete()
    const superseded = await web.produce('superseded')
    await writeAll(superseded, texts(4))
    await superseded.flush()
    const next = await web.produce('superseded', { ifActive: 'takeover' })
    await writeAll(next, texts(1))
    await next.complete()
    const closing = createEngine({ url: store.url, keyPrefix })
    const closed = await closing.produce('closed')
    await writeAll(closed, texts(2))
    await closing.close()

    /** @type {Record<string, unknown[]>} */
    const expected = {
      [complete.generation]: ['complete', 'complete', null, 3],
      [failed.generation]: ['failed', 'failed', 'no more words', 2],
      [stopped.generation]: ['{stopped}\n', 'stopped', 'enough', 0],
      [superseded.generation]: ['superseded', 'interrupted', 'superseded', 4],
      [next.generation]: ['superseded', 'complete', null, 5],
      [closed.generation]: ['closed', 'interrupted', 'closed', 2],
    }
    for (const options of [{}, { group: 'others', consumer: 'x', batch: 2 }]) {
      const found = await finished(worker, 6, options)
      const told = found.map((each) => {
        const seq = Number(each.cursor.split('.')[1])
        return [each.generation, [each.streamId, each.outcome, each.reason, seq]]
      })
      assert.deepEqual(Object.fromEntries(told), expected)
    }
    // Nothing comes twice, and what is queued can be read.
    const signal = AbortSignal.timeout(1_500)
    const rest = worker.finished({ group, consumer: 'again', claimIdleMs: 100, signal })
    await assert.rejects(rest.next(), { name: 'TimeoutError' })
    const replay = await readAll(worker, 'complete', { from: `${complete.generation}.0` })
    checkHistory({ written: numbered(texts(3)), readers: [replay] })
  })

  test('checklist 20: workers share the queue, what they do not acknowledge comes again, poison is put aside', async (t) => {
    const keyPrefix = store.prefix()
    const engine = createEngine({ url: store.url, keyPrefix })
    t.after(() => engine.close())
    await begin(engine)
    const names = texts(40, 'stream')
    await Promise.all(names.map((name) => produceAll(engine, name, texts(1, name))))
    /** Which deliveries of each were handled. @type {Map<string, number[]>} */
    const handled = new Map()
    const controller = new AbortController()
    const work = async (/** @type {string} */ consumer) => {
      const options = {
        group,
        consumer,
        batch: 4,
        claimIdleMs: 100,
        maxDeliveries: 3,
        signal: controller.signal,
      }
      for await (const each of engine.finished(options)) {
        handled.set(each.streamId, [...(handled.get(each.streamId) ?? []), each.deliveries])
        if (each.streamId !== 'stream 7 ') await each.ack()
      }
    }
    const workers = ['a', 'b', 'c'].map((consumer) => work(consumer).catch((error) => error))
    const dead = async () => {
      const found = []
      for await (const letter of engine.deadLetters({ group })) found.push(letter)
      return found
    }
    await until(async () => (await dead()).length > 0, { message: 'the dead letter' })
    await until(() => handled.size === names.length, { message: 'every stream is handled' })
    const [letter] = await dead()
    assert.deepEqual([letter?.streamId, letter?.outcome, letter?.deliveries], ['stream 7 ', 'complete', 3])
    assert.deepEqual(handled.get('stream 7 '), [1, 2, 3])
    await letter?.retry()
    await until(() => (handled.get('stream 7 ')?.length ?? 0) > 3, { message: 'it is tried again' })
    await until(async () => (await dead()).length > 0, { message: 'in vain' })
    for (const each of await dead()) await each.drop()
    assert.deepEqual(await dead(), [])
    controller.abort()
    await Promise.all(workers)
    handled.delete('stream 7 ')
    // One that was held for too long comes again, but no delivery goes to two.
    for (const [name, deliveries] of handled) {
      assert.equal(new Set(deliveries).size, deliveries.length, `${name}: ${deliveries}`)
    }
  })
})

describe('finished on Redis', () => {
  test('checklist 20: the queue survives the death of the web server', async (t) => {
    const redis = await sharedRedis()
    const options = { url: redis.url, keyPrefix: 'test-web-server', lease: '1s' }
    const engine = createEngine(options)
    t.after(() => engine.close())
    await begin(engine)
    const web = await startRemote(t, options)
    await web.ask('produce', { streamId: 'finished' })
    await web.ask('write', { streamId: 'finished', chunks: texts(3, 'finished') })
    await web.ask('complete', { streamId: 'finished' })
    for (const streamId of ['dies one', 'dies two']) {
      await web.ask('produce', { streamId })
      await web.ask('write', { streamId, chunks: texts(5, streamId) })
    }
    await web.kill()
    // Nobody reads the streams: the worker is the one who finds them.
    const found = await finished(engine, 3)
    assert.deepEqual(found.map(({ streamId, outcome, reason }) => [streamId, outcome, reason]).sort(), [
      ['dies one', 'interrupted', 'lease'],
      ['dies two', 'interrupted', 'lease'],
      ['finished', 'complete', null],
    ])
    for (const { streamId, generation } of found) {
      const answer = await readAll(engine, streamId, { from: `${generation}.0` })
      const written = numbered(texts(streamId === 'finished' ? 3 : 5, streamId))
      checkHistory({ written, readers: [{ ...answer, to: written.length }] })
    }
  })

  test('checklist 20: what ends while no worker is there waits, through a restart of Redis', async () => {
    const redis = await startRedis({ aof: true })
    const first = createEngine({ url: redis.url })
    await begin(first)
    await first.close()
    const web = createEngine({ url: redis.url })
    await produceAll(web, 'one', texts(2))
    await redis.restart('SIGTERM')
    await produceAll(web, 'two', texts(2))
    await web.close()
    const worker = createEngine({ url: redis.url })
    const found = await finished(worker, 2)
    assert.deepEqual(
      found.map(({ streamId }) => streamId),
      ['one', 'two'],
    )
    const { admin } = redis
    const [, keys] = await admin.cmd('SCAN', '0', 'COUNT', 1000)
    assert.ok(keys.includes('tidemark:{finished}:queue'), `${keys}`)
    for (const key of keys) assert.ok((await admin.cmd('PTTL', key)) > 0, `${key} has a TTL`)
    assert.equal(await admin.cmd('EXISTS', 'tidemark:{finished}:open'), 0, 'nothing is open')
    await worker.close()
    await redis.close()
  })
})
