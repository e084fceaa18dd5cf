// A producer goes on with the generation of one that has died or stands still: readers see one answer.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { startCluster } from '../support/cluster.mjs'
import { checkHistory } from '../support/history.mjs'
import { startProxy } from '../support/proxy.mjs'
import { startRemote } from '../support/remote.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { follow, numbered, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

eachStore('continue', (store) => {
  const open = useEngines(store)

  test('G1 G4 three producers write one answer; those before are fenced, and nobody is told of an end', async () => {
    const engines = [open(), open(), open()]
    const [first, second, third] = /** @type {import('tidemark').Engine[]} */ (engines)
    if (!first || !second || !third) return
    await (await first.produce('whole')).complete()
    const readers = engines.map((engine) => follow(engine, 'whole', { from: 'start', follow: 'all' }))
    const old = await first.produce('whole', { metadata: { question: 1 } })
    assert.equal(old.continued, undefined)
    await writeAll(old, texts(20, 'old'))
    const cursor = await old.append('the last')

    const next = await second.produce('whole', { ifActive: 'continue', ifEnded: 'error' })
    assert.deepEqual([next.generation, next.continued], [old.generation, cursor])
    await until(() => old.signal.aborted, { message: 'its signal fires' })
    assert.equal(old.signal.reason.code, 'ERR_FENCED')
    assert.throws(() => old.write('late'), { code: 'ERR_FENCED' })
    await assert.rejects(old.complete(), { code: 'ERR_FENCED' })
    const log = second.log('whole')
    const { chunks } = await log.page({ from: -1 })
    assert.deepEqual([chunks.length, chunks[0]?.data, chunks[0]?.cursor], [1, 'the last', cursor])
    await writeAll(next, texts(20, 'next'))
    await next.flush()

    const last = await third.produce('whole', { ifActive: 'continue' })
    assert.equal(last.continued, `${old.generation}.41`)
    await assert.rejects(next.append('late'), { code: 'ERR_FENCED' })
    await writeAll(last, texts(20, 'last'))
    assert.equal(await last.complete(), 'complete')

    const written = numbered([...texts(20, 'old'), 'the last', ...texts(20, 'next'), ...texts(20, 'last')])
    for (const reader of readers) await reader.has(61)
    for (const reader of readers) await reader.subscription.return()
    checkHistory({ written, readers: [...readers, await readAll(first, 'whole')] })
    const status = await first.status('whole')
    assert.deepEqual([status?.state, status?.lastSeq, status?.metadata], ['complete', 61, { question: 1 }])
  })

  test('an end is final: continuing is then up to ifEnded', async () => {
    const engine = open()
    const producer = await engine.produce('ended', { ifActive: 'continue' })
    assert.equal(producer.continued, undefined, 'there was nothing')
    producer.write('one')
    await producer.fail('no')
    await assert.rejects(engine.produce('ended', { ifActive: 'continue', ifEnded: 'error' }), {
      code: 'ERR_ENDED',
    })
    const anew = await engine.produce('ended', { ifActive: 'continue' })
    assert.notEqual(anew.generation, producer.generation)
    assert.equal(anew.continued, undefined, 'it begins at the beginning')
    await anew.complete()
  })

  test('only with the owner, and not with what is shared or a log', async () => {
    const engine = open()
    await engine.produce('owned', { owner: 'alice' })
    for (const owner of ['mallory', undefined]) {
      await assert.rejects(engine.produce('owned', { owner, ifActive: 'continue' }), {
        code: 'ERR_FORBIDDEN',
      })
    }
    await engine.produce('shared', { ifActive: 'share' })
    await engine.log('log').create()
    for (const id of ['shared', 'log']) {
      await assert.rejects(engine.produce(id, { ifActive: 'continue' }), { code: 'ERR_ACTIVE' })
    }
    await assert.rejects(engine.produce('bad', { ifActive: /** @type {any} */ ('resume') }), {
      code: 'ERR_INVALID_ARGUMENT',
    })
  })

  test('G6 a stop that the one before has received stops this one', async () => {
    const engine = open({ stopGrace: '1m' })
    await engine.produce('stopped')
    await engine.stop('stopped', { reason: 'enough' })
    const next = await engine.produce('stopped', { ifActive: 'continue' })
    assert.ok(next.signal.aborted)
    assert.equal(next.signal.reason.reason, 'enough')
    assert.equal(await next.complete(), 'stopped')
  })

  test('a pipe goes on too, and its client is sent the whole', async () => {
    const engine = open()
    const old = await engine.produce('piped')
    await writeAll(old, texts(3, 'old'))
    await old.flush()
    const rest = engine.pipe('piped', ReadableStream.from(texts(3, 'new')), { ifActive: 'continue' })
    const got = []
    for await (const chunk of rest) got.push(chunk)
    assert.deepEqual(got, [...texts(3, 'old'), ...texts(3, 'new')])
  })

  test('G1 a client that comes back having seen more than was written is told of a gap', async () => {
    const [first, second, third] = [open(), open(), open()]
    const old = await first.produce('unwritten')
    await writeAll(old, texts(3, 'old'))
    await old.flush()
    // Its server showed it five, and died before it had written the last two.
    const ahead = second.subscribe('unwritten', { from: `${old.generation}.5` })
    const told = assert.rejects(ahead.next(), { code: 'ERR_GAP', resume: `${old.generation}.3` })
    const other = follow(second, 'unwritten', { from: 'start' })
    await other.has(3)
    const producer = await third.produce('unwritten', { ifActive: 'continue' })
    await writeAll(producer, texts(4, 'new'))
    await producer.complete()
    await told
    await other.has(7)
    await other.subscription.return()
  })

  test('what the one before has left open is sealed', async () => {
    const engine = open()
    const old = await engine.produce('sealed')
    const head = texts(600, 'old')
    await writeAll(old, head)
    await old.flush()
    const next = await open().produce('sealed', { ifActive: 'continue' })
    const tail = texts(600, 'new')
    await writeAll(next, tail)
    await next.complete()
    const reader = await readAll(engine, 'sealed')
    checkHistory({ written: numbered([...head, ...tail]), readers: [reader] })
    const status = await engine.status('sealed')
    assert.ok(status && status.storedBytes < status.bytes / 2, 'it is sealed')
  })

  test('a large chunk of the one before stays', async () => {
    const engine = open()
    const old = await engine.produce('large')
    const large = 'x'.repeat(3 << 20)
    await old.append(large)
    const next = await open().produce('large', { ifActive: 'continue' })
    await next.append(`${large}y`)
    await next.complete()
    checkHistory({ written: numbered([large, `${large}y`]), readers: [await readAll(engine, 'large')] })
  })

  test('G1 G3 G4 at any moment of its writes, and in any order of its processes', async (t) => {
    const random = createRandom()
    for (let round = 0; round < 8; round++) {
      const id = `random ${round}`
      const engines = [open(), open()]
      const reader = follow(engines[0] ?? open(), id)
      /** @type {import('tidemark').Producer | undefined} */
      let last
      for (let turn = 0; turn < 6; turn++) {
        const engine = engines[random.int(0, 1)] ?? open()
        const producer = await engine.produce(id, { ifActive: 'continue' })
        // Whatever was accepted of the one before stays, and nothing of it follows.
        const from = Number(producer.continued?.split('.')[1] ?? 0)
        const count = random.int(0, 40)
        for (let n = 1; n <= count; n++) producer.write(`${from + n}`)
        if (random.chance(0.5)) await producer.flush()
        last = producer
      }
      await last?.complete()
      await reader.end()
      const count = reader.chunks.length
      const expected = Array.from({ length: count }, (_, index) => `${index + 1}`)
      checkHistory({ written: numbered(expected), readers: [reader, await readAll(open(), id)] })
      t.diagnostic(`${count} chunks`)
    }
  })
})

describe('continue, processes', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())

  test('G1 G4 a writer that is killed: the next one continues at once, before anybody has found it dead', async (t) => {
    const random = createRandom(1)
    const keyPrefix = store.prefix()
    const options = { url: store.url, keyPrefix, lease: /** @type {const} */ ('1s') }
    const here = open(options)
    const reader = follow(here, 'killed')
    let place = 0
    // All are there before the first begins: a process may take longer to start than a lease lasts.
    for (const writer of await Promise.all(Array.from({ length: 5 }, () => startRemote(t, options)))) {
      await writer.ask('produce', { streamId: 'killed', options: { ifActive: 'continue' } })
      const at = await here.status('killed')
      place = at?.lastSeq ?? 0
      const chunks = Array.from({ length: random.int(1, 200) }, (_, index) => `${place + index + 1}`)
      const writing = writer.ask('write', { streamId: 'killed', chunks }).catch(() => {})
      if (random.chance(0.5)) await writing
      else await reader.has(place)
      await writer.kill()
    }
    const last = await here.produce('killed', { ifActive: 'continue', ifEnded: 'error' })
    place = Number(last.continued?.split('.')[1] ?? 0)
    last.write(`${place + 1}`)
    await last.complete()
    await reader.end()
    assert.equal(reader.outcome, 'complete')
    const expected = Array.from({ length: place + 1 }, (_, index) => `${index + 1}`)
    checkHistory({ written: numbered(expected), readers: [reader, await readAll(here, 'killed')] })
  })

  test('G4 a writer that stands still is fenced when it comes back', async (t) => {
    const keyPrefix = store.prefix()
    const options = { url: store.url, keyPrefix }
    const here = open(options)
    const stalled = await startRemote(t, options)
    await stalled.ask('produce', { streamId: 'stalled' })
    await stalled.ask('write', { streamId: 'stalled', chunks: ['1', '2'] })
    const reader = follow(here, 'stalled')
    await reader.has(2)
    await stalled.kill('SIGSTOP')
    stalled.child.send({ type: 'write', streamId: 'stalled', chunks: ['late', 'later'] })
    const next = await here.produce('stalled', { ifActive: 'continue' })
    await next.append('3')
    await stalled.kill('SIGCONT')
    const aborted = await stalled.child.next('aborted', 10_000)
    assert.equal(aborted.code, 'ERR_FENCED')
    await next.append('4')
    await next.complete()
    await reader.end()
    const written = numbered(['1', '2', '3', '4'])
    checkHistory({ written, readers: [reader, await readAll(here, 'stalled')] })
  })

  test('G1 readers who were shown what was never written are told of a gap', async (t) => {
    const proxy = await startProxy({ target: store.url })
    t.after(() => proxy.close())
    const [away, here] = [open({ url: proxy.url }), open()]
    const old = await away.produce('shown')
    await old.append('1')
    const [ahead, behind] = [follow(away, 'shown'), follow(here, 'shown')]
    await Promise.all([ahead.has(1), behind.has(1)])
    await proxy.refuse(true)
    proxy.cut()
    await until(() => away.state !== 'ready', { message: 'Redis is away' })
    old.write('never written')
    old.write('nor this')
    await ahead.has(3)
    const next = await here.produce('shown', { ifActive: 'continue' })
    for (const chunk of ['2', '3', '4', '5']) await next.append(chunk)
    await proxy.refuse(false)
    await ahead.end()
    assert.equal(ahead.error?.code, 'ERR_GAP', `${ahead.error}`)
    assert.equal(ahead.error.resume, `${old.generation}.1`)
    const again = follow(away, 'shown', { from: ahead.error.resume, after: 1 })
    await next.complete()
    const written = numbered(['1', '2', '3', '4', '5'])
    checkHistory({ written, readers: [await behind.end(), await again.end()] })
  })

  test('in a cluster', async (t) => {
    const cluster = await startCluster()
    t.after(() => cluster.close())
    const [one, other] = [open({ url: cluster.url }), open({ url: cluster.url })]
    const ids = Array.from({ length: 12 }, (_, index) => `cluster ${index}`)
    for (const id of ids) {
      const reader = follow(other, id)
      const old = await one.produce(id)
      await old.append('1')
      const next = await other.produce(id, { ifActive: 'continue' })
      await next.append('2')
      await assert.rejects(old.append('late'), { code: 'ERR_FENCED' })
      await next.complete()
      checkHistory({ written: numbered(['1', '2']), readers: [await reader.end()] })
    }
  })
})
