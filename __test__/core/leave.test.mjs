// Items 7 and 16: a reader may leave at any time, by every way there is, and takes nothing with it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

eachStore('leave', (store) => {
  const open = useEngines(store)

  test('item 16 an abort ends the loop with its reason, and the stream goes on', async () => {
    const engine = open()
    const producer = await engine.produce('abort')
    const controller = new AbortController()
    const leaving = follow(engine, 'abort', { signal: controller.signal, name: 'leaving' })
    const staying = follow(engine, 'abort', { name: 'staying' })
    await writeAll(producer, texts(10, 'before'))
    await leaving.has(10)
    const reason = new Error('the client has gone')
    controller.abort(reason)
    await leaving.end(1_000)
    assert.equal(leaving.error, reason)
    assert.equal(leaving.subscription.outcome, undefined)
    assert.equal(producer.signal.aborted, false)
    await writeAll(producer, texts(10, 'after'))
    await producer.complete()
    await staying.end()
    const written = numbered([...texts(10, 'before'), ...texts(10, 'after')])
    checkHistory({ written, readers: [{ ...leaving, outcome: 'aborted', to: 10 }, staying] })
    assert.equal(leaving.chunks.length, 10)
    assert.deepEqual(await leaving.subscription.next(), { done: true, value: undefined })
  })

  test('item 16 an abort ends a wait, be it for a chunk or for a stream', async () => {
    const engine = open()
    await engine.produce('silent')
    for (const streamId of ['silent', 'not there']) {
      const controller = new AbortController()
      const reader = follow(engine, streamId, { signal: controller.signal })
      await turn()
      assert.equal(reader.outcome, undefined)
      controller.abort()
      await reader.end(1_000)
      assert.equal(reader.error?.name, 'AbortError')
      assert.equal(reader.error, controller.signal.reason)
    }
  })

  test('item 16 a signal that is aborted already ends the loop before it begins', async () => {
    const engine = open()
    await produceAll(engine, 'aborted', texts(3))
    const reader = await readAll(engine, 'aborted', { signal: AbortSignal.abort('no') })
    assert.equal(reader.error, 'no')
    assert.equal(reader.chunks.length, 0)
  })

  test('item 16 an abort after the end, or a signal of many subscriptions, does no harm', async () => {
    const engine = open()
    await produceAll(engine, 'signals', texts(3))
    const controller = new AbortController()
    const readers = []
    for (let count = 0; count < 50; count++) {
      readers.push(await readAll(engine, 'signals', { signal: controller.signal }))
    }
    controller.abort()
    for (const { outcome } of readers) assert.equal(outcome, 'complete')
    checkHistory({ written: numbered(texts(3)), readers })
  })

  test('item 7 break, return, throw and dispose leave the stream alone', async () => {
    const engine = open()
    const producer = await engine.produce('leaving')
    await writeAll(producer, texts(20))
    await producer.flush()

    const broken = await follow(engine, 'leaving', { each: ({ seq }) => seq < 5, name: 'break' }).end()
    assert.deepEqual([broken.outcome, broken.chunks.length], ['left', 5])
    assert.equal(broken.subscription.cursor, `${producer.generation}.5`)

    const returned = engine.subscribe('leaving')
    assert.equal((await returned.next()).value?.seq, 1)
    assert.deepEqual(await returned.return(), { done: true, value: undefined })
    assert.deepEqual(await returned.next(), { done: true, value: undefined })

    const thrown = engine.subscribe('leaving')
    await assert.rejects(thrown.throw(new Error('own')), /own/)
    assert.deepEqual(await thrown.next(), { done: true, value: undefined })

    const disposed = engine.subscribe('leaving')
    await disposed[Symbol.asyncDispose]()
    assert.deepEqual(await disposed.next(), { done: true, value: undefined })

    // A `next` that waits is answered when its subscription is left.
    const waiting = engine.subscribe('leaving', { from: `${producer.generation}.20` })
    const next = waiting.next()
    await turn()
    await waiting.return()
    assert.deepEqual(await next, { done: true, value: undefined })

    producer.write('and on')
    await producer.complete()
    const written = numbered([...texts(20), 'and on'])
    checkHistory({ written, readers: [{ ...broken, to: 5 }, await readAll(engine, 'leaving')] })
  })

  test('several next() at once are answered in order', async () => {
    const engine = open()
    const subscription = engine.subscribe('eager')
    const nexts = Array.from({ length: 12 }, () => subscription.next())
    await produceAll(engine, 'eager', texts(10))
    const results = await Promise.all(nexts)
    assert.deepEqual(
      results.map(({ value }) => value?.seq),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, undefined, undefined],
    )
    assert.equal(subscription.outcome, 'complete')
  })

  test('G7 item 7 readers that come and go in great numbers leave no connection and no channel', async () => {
    const random = createRandom(7)
    const engine = open()
    const producer = await engine.produce('churn')
    const chunks = texts(300)
    const rounds = chunks.map(async (_, index) => {
      const controller = new AbortController()
      const reader = follow(engine, index % 3 ? 'churn' : `nothing ${index}`, {
        signal: controller.signal,
        name: `reader ${index}`,
        each: ({ seq }) => seq < random.int(1, 300),
      })
      for (let turns = random.int(0, 20); turns > 0; turns--) await turn()
      if (random.chance(0.3) || index % 3 === 0) controller.abort()
      return reader
    })
    for (const chunk of chunks) {
      producer.write(chunk)
      await turn()
    }
    await producer.complete()
    const readers = await Promise.all(rounds)
    for (const reader of readers) await reader.end()
    const heard = readers.filter(({ subscription }) => subscription.streamId === 'churn')
    checkHistory({ written: numbered(chunks), readers: heard })

    if (store.kind !== 'redis') return
    const { admin } = store.redis
    await until(async () => (await admin.channels('*}:live')).length === 0, { message: 'no channel is left' })
    const own = (await admin.clients()).filter(({ name }) => name === 'tidemark')
    assert.ok(own.length <= 1, `${own.length} command connections`)
  })
})
