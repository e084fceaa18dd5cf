// G6: the stop button. Wherever it is pressed, the producer hears of it, and readers get what there was.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { openProxy } from '../support/fault-scene.mjs'
import { checkHistory } from '../support/history.mjs'
import { startRemote } from '../support/remote.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

eachStore('stop', (store) => {
  const open = useEngines(store)

  test('G6 the signal fires with the reason, closing chunks are written, readers end quietly', async () => {
    const [here, there] = [open(), open()]
    const producer = await here.produce('stop')
    const readers = [follow(here, 'stop'), follow(there, 'stop')]
    await writeAll(producer, texts(20))
    assert.equal(await there.stop('stop', 'the user has read enough'), 'stopping')
    await until(() => producer.signal.aborted, { message: 'the signal fires' })
    const { reason } = producer.signal
    assert.deepEqual(
      [reason.name, reason.code, reason.reason, reason.streamId],
      ['AbortError', 'ERR_STOPPED', 'the user has read enough', 'stop'],
    )
    const status = await there.status('stop')
    assert.deepEqual([status?.state, status?.stop], ['active', 'the user has read enough'])
    await writeAll(producer, texts(3, 'closing'))
    assert.equal(await producer.complete(), 'stopped')
    assert.equal(producer.outcome, 'stopped')
    readers.push(follow(there, 'stop', { name: 'replay' }))
    for (const reader of readers) {
      await reader.end()
      assert.equal(reader.error, undefined)
      assert.deepEqual(
        [reader.subscription.outcome, reader.subscription.reason],
        ['stopped', 'the user has read enough'],
      )
    }
    checkHistory({ written: numbered([...texts(20), ...texts(3, 'closing')]), readers })
  })

  test('item 2 a loop that looks at the signal leaves early', async () => {
    const engine = open()
    const producer = await engine.produce('loop')
    const reader = follow(engine, 'loop')
    let written = 0
    const loop = (async () => {
      while (!producer.signal.aborted) {
        producer.write(`token ${written}`)
        written += 1
        await turn()
      }
      return producer.complete()
    })()
    await reader.has(20)
    await open().stop('loop')
    assert.equal(await loop, 'stopped')
    await reader.end()
    const chunks = Array.from({ length: written }, (_, index) => `token ${index}`)
    checkHistory({ written: numbered(chunks), readers: [reader] })
    assert.equal(reader.subscription.reason, undefined)
  })

  test('G6 a stop before the start is kept for it, and for it alone', async () => {
    const engine = open()
    assert.equal(await engine.stop('early', 'changed my mind'), 'kept')
    assert.equal(await open().stop('early'), 'kept')
    assert.equal(await engine.status('early'), null)
    assert.equal((await readAll(engine, 'early', { wait: 0 })).error?.code, 'ERR_NOT_FOUND')
    const producer = await open().produce('early')
    assert.equal(producer.signal.aborted, true)
    assert.equal(producer.signal.reason.code, 'ERR_STOPPED')
    producer.write('nothing to say')
    assert.equal(await producer.complete(), 'stopped')
    const replay = await readAll(engine, 'early')
    assert.equal(replay.outcome, 'stopped')
    checkHistory({ written: numbered(['nothing to say']), readers: [replay] })
    const next = await produceAll(engine, 'early', ['again'])
    assert.equal(next.outcome, 'complete')
  })

  test('G6 its options come second, and the reason by itself is still taken', async () => {
    const engine = open()
    const producer = await engine.produce('options', { owner: 'ann' })
    await assert.rejects(engine.stop('options', { reason: 'no' }), { code: 'ERR_FORBIDDEN' })
    assert.equal(await engine.stop('options', { reason: 'read enough', owner: 'ann' }), 'stopping')
    await until(() => producer.signal.aborted)
    assert.equal(producer.signal.reason.reason, 'read enough')
    await producer.complete()
    assert.equal(await engine.stop('before', 'as ever', { owner: 'ann', keep: '1h' }), 'kept')
    const stopped = await engine.produce('before', { owner: 'ann' })
    assert.equal(stopped.signal.reason.reason, 'as ever')
    await stopped.complete()
  })

  test('G6 a stop that crosses with the start is never lost', async () => {
    const [engine, other] = [open(), open()]
    for (let round = 0; round < 50; round++) {
      const starting = engine.produce(`crossing ${round}`)
      const stopping = (round % 2 ? engine : other).stop(`crossing ${round}`, 'at once')
      const [producer, result] = await Promise.all([starting, stopping])
      assert.match(result, /^(stopping|kept)$/)
      await until(() => producer.signal.aborted, { timeout: 2_500, message: `the signal fires (${result})` })
      assert.equal(producer.signal.reason.reason, 'at once')
      await producer.complete()
    }
  })

  test('G6 a stop that comes too late stops nothing', async () => {
    const engine = open()
    const ends = [
      (/** @type {any} */ producer) => producer.complete(),
      (/** @type {any} */ producer) => producer.fail('no'),
    ]
    for (const end of ends) {
      await end(await engine.produce('late'))
      assert.equal(await open().stop('late'), 'ended')
    }
    const producer = await engine.produce('late')
    assert.equal(producer.signal.aborted, false)
    assert.equal((await engine.status('late'))?.stop, null)
    assert.equal(await producer.complete(), 'complete')
  })

  test('G6 a producer that ignores the stop is ended after the grace', async () => {
    for (const stopGrace of [0, '300ms']) {
      const engine = open({ stopGrace })
      const streamId = `deaf ${stopGrace}`
      const producer = await engine.produce(streamId)
      const reader = follow(open(), streamId)
      await producer.append('before')
      const started = performance.now()
      await engine.stop(streamId, 'enough')
      /** @type {string[]} */
      const accepted = ['before']
      const loop = async () => {
        for (;;) {
          const chunk = `on and on ${accepted.length}`
          await producer.append(chunk)
          accepted.push(chunk)
        }
      }
      await assert.rejects(loop(), { code: 'ERR_ENDED' })
      const lasted = performance.now() - started
      assert.ok(lasted >= (stopGrace ? 290 : 0) && lasted < 2_000, `it went on for ${lasted} ms`)
      assert.throws(() => producer.write('more'), { code: 'ERR_ENDED' })
      assert.equal(await producer.complete(), 'stopped')
      await reader.end()
      assert.deepEqual([reader.outcome, reader.subscription.reason], ['stopped', 'enough'])
      checkHistory({ written: numbered(accepted), readers: [reader] })
    }
  })

  test('a stop twice: the first reason stays', async () => {
    const engine = open()
    const producer = await engine.produce('twice')
    assert.equal(await engine.stop('twice', 'first'), 'stopping')
    assert.equal(await open().stop('twice', 'second'), 'stopping')
    await until(() => producer.signal.aborted)
    assert.equal(producer.signal.reason.reason, 'first')
    assert.equal(await producer.fail(new Error('aborted')), 'stopped')
    const status = await engine.status('twice')
    assert.deepEqual([status?.state, status?.reason], ['stopped', 'first'])
    assert.equal(await engine.stop('twice'), 'ended')
  })

  test('G6 stop and resume: a reader that comes back gets the rest of the partial answer', async () => {
    const [here, there] = [open(), open()]
    const producer = await here.produce('resume')
    await writeAll(producer, texts(50))
    const left = await readAll(here, 'resume', { each: ({ seq }) => seq < 20, name: 'before' })
    await there.stop('resume', 'enough')
    await until(() => producer.signal.aborted)
    const during = follow(there, 'resume', { from: left.subscription.cursor, after: 20, name: 'during' })
    await producer.complete()
    const after = follow(there, 'resume', { from: left.subscription.cursor, after: 20, name: 'after' })
    for (const reader of [during, after]) assert.equal((await reader.end()).outcome, 'stopped')
    checkHistory({ written: numbered(texts(50)), readers: [left, during, after] })
  })

  test('a stop with another owner is ERR_FORBIDDEN, and one that was kept does not count', async () => {
    const engine = open()
    const producer = await engine.produce('owned', { owner: 'user-1' })
    for (const options of [undefined, {}, { owner: 'user-2' }]) {
      await assert.rejects(open().stop('owned', '', options), {
        code: 'ERR_FORBIDDEN',
        name: 'ForbiddenError',
      })
    }
    assert.equal(producer.signal.aborted, false)
    assert.equal((await engine.status('owned'))?.stop, null)
    assert.equal(await open().stop('owned', '', { owner: 'user-1' }), 'stopping')
    await until(() => producer.signal.aborted)
    await producer.complete()

    assert.equal(await engine.stop('to be owned', '', { owner: 'user-2' }), 'kept')
    const other = await engine.produce('to be owned', { owner: 'user-1' })
    assert.equal(other.signal.aborted, false)
    await other.complete()
  })

  test('G6 G10 a stop that is kept is nobody else’s to replace, to prolong or to keep out', async () => {
    const engine = open()
    await engine.stop('kept', 'mine', { owner: 'alice', keep: '1h' })
    for (let index = 0; index < 300; index++) {
      const by = index % 3 === 0 ? {} : { owner: `mallory ${index}` }
      assert.equal(await open().stop('kept', `not yours ${index}`, { ...by, keep: '1s' }), 'kept')
    }
    const others = await engine.produce('others', { owner: 'alice' })
    assert.equal(others.signal.aborted, false)
    const producer = await open().produce('kept', { owner: 'alice' })
    assert.equal(producer.signal.aborted, true)
    assert.equal(producer.signal.reason.reason, 'mine')
    assert.equal(await producer.complete(), 'stopped')
    const next = await engine.produce('kept', { owner: 'alice' })
    assert.equal(next.signal.aborted, false)
    await Promise.all([others, next].map((each) => each.complete()))
  })

  test('what cannot be a stop is refused', async () => {
    const engine = open()
    const calls = [
      () => engine.stop(''),
      () => engine.stop('x', 'r'.repeat(1025)),
      () => engine.stop('x', 'a\uD800'),
      () => engine.stop('x', '', { owner: '' }),
    ]
    for (const call of calls) await assert.rejects(async () => call(), { code: 'ERR_INVALID_ARGUMENT' })
    const longest = 'ü'.repeat(512)
    const producer = await engine.produce('longest')
    await engine.stop('longest', longest)
    await until(() => producer.signal.aborted)
    assert.equal(producer.signal.reason.reason, longest)
  })
})

describe('stop across processes [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())

  test('G6 a stop from another process reaches the signal, and one to another process too', async (t) => {
    // Nothing is written, and leases are renewed minutes later: what comes in time comes by the stop's own message.
    const options = { keyPrefix: store.prefix(), lease: '10m' }
    const engine = open(options)
    const remote = await startRemote(t, { url: store.url, ...options })
    for (let round = 0; round < 20; round++) {
      const producer = await engine.produce(`here ${round}`)
      assert.equal((await remote.ask('stop', { streamId: `here ${round}`, reason: 'r' })).result, 'stopping')
      await until(() => producer.signal.aborted)

      await remote.ask('produce', { streamId: `there ${round}` })
      await engine.stop(`there ${round}`, `reason ${round}`)
      const { code, reason } = await remote.child.next('aborted')
      assert.deepEqual([code, reason], ['ERR_STOPPED', `reason ${round}`])
      assert.equal((await remote.ask('complete', { streamId: `there ${round}` })).outcome, 'stopped')
    }
  })

  test('G6 kept stops are bounded, and go by themselves', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix })
    const reason = 'r'.repeat(1024)
    const strangers = texts(1_200, 'stranger')
    const stops = strangers.map((owner) => engine.stop('flooded', reason, { owner, keep: '1m' }))
    const refused = (await Promise.allSettled(stops)).filter(({ status }) => status === 'rejected')
    assert.equal(refused.length, 200)
    for (const { reason: error } of /** @type {PromiseRejectedResult[]} */ (refused)) {
      assert.deepEqual([error.code, error.retryable], ['ERR_STORE', false])
    }
    for (const part of ['meta', 'stops']) {
      const left = await admin.cmd('PTTL', `{${keyPrefix}:flooded}:${part}`)
      assert.ok(left > 0 && left <= 60_000, `${part}: ${left}`)
    }
    assert.equal(await engine.delete('flooded'), false)
    const [, keys] = await admin.cmd('SCAN', '0', 'MATCH', `{${keyPrefix}:flooded}*`, 'COUNT', 100_000)
    assert.deepEqual(keys, [])
  })

  test('G6 a producer that is not told of the stop learns of it with its next write', async () => {
    const engine = open()
    const producer = await engine.produce('not told')
    // What asks for the stop below sees to it that the subscription is gone before.
    await store.redis.admin.cmd('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await engine.stop('not told', 'enough')
    await producer.append('next')
    await until(() => producer.signal.aborted, { timeout: 2_500 })
    assert.equal(producer.signal.reason.reason, 'enough')
    assert.equal(await producer.complete(), 'stopped')
  })

  test('G6 a write tells of a stop whose message is still on its way', async (t) => {
    const proxy = await openProxy(t, store.url)
    const keyPrefix = store.prefix()
    const producer = await open({ keyPrefix, url: proxy.url }).produce('ahead')
    // The connection for messages.
    proxy.delayOne(1, 3_000)
    assert.equal(await open({ keyPrefix }).stop('ahead', 'enough'), 'stopping')
    await producer.append('next')
    await until(() => producer.signal.aborted, { timeout: 2_500 })
    assert.equal(producer.signal.reason.reason, 'enough')
    assert.equal(await producer.complete(), 'stopped')
  })
})
