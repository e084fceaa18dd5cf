// G5: every stream ends. A producer that dies is noticed, one that is silent or busy is not taken for dead.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { checkHistory } from '../support/history.mjs'
import { now, startRemote } from '../support/remote.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const LEASE_MS = 1_000
/** What G5 allows beside the lease. */
const SLACK_MS = 2_000
const lease = '1s'

eachStore('lease', (store) => {
  const open = useEngines(store)

  test('G5 a producer that is silent for long stays alive', async () => {
    const [engine, other] = [open({ lease }), open({ lease })]
    const producer = await engine.produce('silent')
    const readers = [follow(engine, 'silent'), follow(other, 'silent')]
    await producer.append('before')
    const started = performance.now()
    // Looking is what would end it, had its lease lapsed.
    await until(
      async () => {
        assert.equal((await other.status('silent'))?.state, 'active')
        return performance.now() - started > 4 * LEASE_MS
      },
      { interval: 100 },
    )
    await producer.append('after')
    await producer.complete()
    for (const reader of readers) await reader.end()
    checkHistory({ written: numbered(['before', 'after']), readers })
  })

  test('G5 bad leases are refused', () => {
    for (const bad of ['999ms', 999, '11m', 'soon', -1, Number.NaN]) {
      assert.throws(() => open({ lease: bad }), { code: 'ERR_INVALID_ARGUMENT', field: 'options.lease' })
    }
  })
})

describe('lease of another process [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  const keyPrefix = store.prefix()
  before(() => store.start())
  const remote = (/** @type {import('node:test').TestContext} */ t) =>
    startRemote(t, { url: store.url, keyPrefix, lease })

  test('G5 its producer is killed: every reader ends within lease + 2 s, and a new one goes on', async (t) => {
    const engine = open({ keyPrefix, lease })
    const [victim, witness] = [await remote(t), await remote(t)]
    await victim.ask('produce', { streamId: 'killed' })
    const readers = Array.from({ length: 5 }, (_, index) => follow(engine, 'killed', { name: `${index}` }))
    const far = witness.ask('read', { streamId: 'killed' })
    const again = follow(engine, 'killed', { follow: 'all', name: 'all' })
    await victim.ask('write', { streamId: 'killed', chunks: texts(50) })
    await witness.child.next('attached')
    for (const reader of readers) await reader.has(50)

    const died = now()
    await victim.kill()
    const delays = await Promise.all(readers.map((reader) => reader.end().then(() => now() - died)))
    const { chunks, error, outcome, at } = await far
    delays.push(at - died)
    t.diagnostic(`death to the end of the loops: ${delays.map((ms) => ms.toFixed(0)).join(', ')} ms`)
    for (const ms of delays) assert.ok(ms < LEASE_MS + SLACK_MS, `${ms} ms`)
    for (const ended of [...readers.map((reader) => reader.error), error]) {
      assert.deepEqual([ended?.code, ended?.reason], ['ERR_INTERRUPTED', 'lease'])
    }
    const heard = [...readers, { name: 'far', chunks, outcome }].map((reader) => ({ ...reader, to: 50 }))
    checkHistory({ written: numbered(texts(50)), readers: heard })
    const status = await engine.status('killed')
    assert.deepEqual([status?.state, status?.reason, status?.producers], ['interrupted', 'lease', 0])

    // Nobody has to say `takeover`: there is nobody left to take over from.
    const next = await engine.produce('killed')
    const live = follow(open({ keyPrefix }), 'killed', { from: `${next.generation}.0`, after: 50 })
    await writeAll(next, texts(50, 'next'))
    await next.complete()
    await live.end()
    await again.has(100)
    await again.subscription.return()
    const written = numbered([...texts(50), ...texts(50, 'next')])
    checkHistory({ written, readers: [live, { ...(await again.end()), to: 100 }] })
  })

  test('G5 whoever comes after the lease finds the end within 2 s, and may start anew', async (t) => {
    for (const arrival of /** @type {const} */ (['read', 'produce', 'stop', 'status'])) {
      const streamId = `dead ${arrival}`
      const victim = await remote(t)
      await victim.ask('produce', { streamId })
      await victim.ask('write', { streamId, chunks: texts(10) })
      const died = now()
      await victim.kill()
      await until(() => now() - died > LEASE_MS + 100, { message: 'the lease lapses' })

      const engine = open({ keyPrefix })
      const started = now()
      if (arrival === 'read') {
        const reader = await readAll(engine, streamId)
        assert.deepEqual([reader.error?.code, reader.error?.reason], ['ERR_INTERRUPTED', 'lease'])
        checkHistory({ written: numbered(texts(10)), readers: [{ ...reader, to: 10 }] })
      } else if (arrival === 'stop') {
        // It does not wait: nobody knows yet that there is nobody left to be stopped.
        assert.equal(await engine.stop(streamId), 'stopping')
      } else if (arrival === 'status') {
        assert.equal((await engine.status(streamId))?.state, 'interrupted')
      }
      assert.ok(now() - started < 2_300, `it took ${now() - started} ms`)
      await produceAll(engine, streamId, texts(10, 'anew'))
      const replay = await readAll(engine, streamId)
      checkHistory({ written: numbered(texts(10, 'anew'), 11), first: 11, readers: [replay] })
    }
  })

  test('G5 before the lease is over a dead producer is in the way, unless it is taken over', async (t) => {
    const victim = await remote(t)
    await victim.ask('produce', { streamId: 'in the way' })
    await victim.ask('write', { streamId: 'in the way', chunks: ['half'] })
    await victim.kill()
    const engine = open({ keyPrefix })
    await assert.rejects(engine.produce('in the way'), { code: 'ERR_ACTIVE' })
    const reader = follow(engine, 'in the way')
    await reader.has(1)
    await produceAll(engine, 'in the way', ['whole'], { ifActive: 'takeover' })
    await reader.end()
    assert.equal(reader.error?.reason, 'superseded')
    const replay = await readAll(engine, 'in the way')
    checkHistory({ written: numbered(['half', 'whole']), readers: [{ ...reader, to: 1 }] })
    checkHistory({ written: numbered(['whole'], 2), first: 2, readers: [replay] })
  })

  test('G5 G6 a producer that dies after a stop has been stopped', async (t) => {
    const victim = await remote(t)
    await victim.ask('produce', { streamId: 'stopped' })
    await victim.ask('write', { streamId: 'stopped', chunks: texts(5) })
    const engine = open({ keyPrefix })
    const reader = follow(engine, 'stopped')
    await reader.has(5)
    victim.child.send({ type: 'block', ms: 60_000 })
    await victim.kill('SIGSTOP')
    await engine.stop('stopped', 'enough')
    await reader.end(LEASE_MS + SLACK_MS)
    assert.deepEqual([reader.outcome, reader.subscription.reason], ['stopped', 'enough'])
    checkHistory({ written: numbered(texts(5)), readers: [reader] })
  })

  test('G5 silent producers renew their leases before anybody has to look at them', async () => {
    const engine = open({ keyPrefix, lease })
    const leases = async () => {
      const fields = await Promise.all(
        ['one', 'two'].map((id) => store.redis.admin.cmd('HGETALL', `{${keyPrefix}:renewed ${id}}:meta`)),
      )
      return fields.map((/** @type {string[]} */ flat) => {
        const producer = flat.findIndex((field) => field.startsWith('p:'))
        return Number(flat[producer + 1]?.split(' ')[2])
      })
    }
    await engine.produce('renewed one')
    await engine.produce('renewed two')
    const first = await leases()
    await until(async () => {
      const all = await leases()
      return all.every((lease, index) => lease > Number(first[index]) + 2 * LEASE_MS)
    })
  })

  test('G5 a busy JavaScript thread does not lose its lease', async (t) => {
    const engine = open({ keyPrefix })
    const busy = await remote(t)
    await busy.ask('produce', { streamId: 'busy' })
    await busy.ask('write', { streamId: 'busy', chunks: texts(5, 'before') })
    const reader = follow(engine, 'busy')
    await busy.ask('block', { ms: 3 * LEASE_MS })
    assert.equal(reader.outcome, undefined)
    await busy.ask('write', { streamId: 'busy', chunks: texts(5, 'after') })
    assert.equal((await busy.ask('complete', { streamId: 'busy' })).outcome, 'complete')
    await reader.end()
    const written = numbered([...texts(5, 'before'), ...texts(5, 'after')])
    checkHistory({ written, readers: [reader] })
  })
})
