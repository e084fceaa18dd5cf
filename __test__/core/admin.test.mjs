// Looking at streams and removing them: status, streams, delete.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import {
  follow,
  listed,
  numbered,
  produceAll,
  readAll,
  texts,
  useEngines,
  writeAll,
} from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const HOUR_MS = 3_600_000

eachStore('admin', (store) => {
  const open = useEngines(store)

  test('status tells everything there is to know, live and after the end', async () => {
    const [engine, other] = [open(), open()]
    assert.equal(await engine.status('told'), null)
    await produceAll(engine, 'told', texts(7))
    const began = Date.now()
    const producer = await engine.produce('told', { owner: 'user-1', metadata: { a: 1 } })
    await writeAll(producer, texts(3))
    await producer.flush()
    const live = await other.status('told')
    assert.ok(live)
    const { startedAt, updatedAt, ttlMs, bytes, storedBytes, ...rest } = live
    assert.deepEqual(rest, {
      streamId: 'told',
      state: 'active',
      reason: null,
      generation: producer.generation,
      firstSeq: 8,
      lastSeq: 10,
      producers: 1,
      stop: null,
      owner: 'user-1',
      metadata: { a: 1 },
      consumers: [],
    })
    const text = texts(3).join('').length
    assert.ok(bytes >= text && bytes <= text + 100, `${bytes} bytes`)
    assert.equal(storedBytes, bytes, 'nothing is sealed yet')
    for (const date of [startedAt, updatedAt]) {
      assert.ok(date instanceof Date)
      assert.ok(date.getTime() >= began - 5 && date.getTime() <= Date.now() + 5)
    }
    assert.ok(ttlMs > HOUR_MS - 10_000 && ttlMs <= HOUR_MS)

    await engine.stop('told', 'enough', { owner: 'user-1' })
    assert.equal((await other.status('told'))?.stop, 'enough')
    await producer.complete()
    const done = await other.status('told')
    assert.ok(done)
    assert.deepEqual(
      [done.state, done.reason, done.stop, done.producers, done.firstSeq, done.lastSeq],
      ['stopped', 'enough', 'enough', 0, 8, 10],
    )
    assert.equal(done.generation, producer.generation)
    assert.deepEqual(done.startedAt, startedAt)
    assert.ok(done.updatedAt >= updatedAt)
    assert.deepEqual(done.metadata, { a: 1 })
    await assert.rejects(async () => engine.status(''), { code: 'ERR_INVALID_ARGUMENT', field: 'streamId' })
  })

  test('any text of up to 512 bytes is a name, and each is a stream of its own', async () => {
    const random = createRandom(1)
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix })
    const names = [
      '{a}',
      '{a',
      'a}',
      '{}{b}',
      'a:b',
      ':meta',
      'a:meta',
      'a:log',
      'a\nb',
      'a\r\nb',
      'nul\0nul',
      '\x01\x7f',
      '😀',
      '%',
      '%25',
      '%7B',
      '%00',
      '*',
      '?[a]',
      'a b',
      ' ',
      '\'"\\',
      '../..',
      '__proto__',
      'a',
      'A',
      'ä',
      'a\u0308',
      'x'.repeat(512),
      '😀'.repeat(128),
      '\0'.repeat(512),
      ...Array.from({ length: 20 }, () =>
        String.fromCodePoint(...Array.from({ length: random.int(1, 20) }, () => random.int(0, 0xd7ff))),
      ),
    ]
    assert.equal(new Set(names).size, names.length)
    await Promise.all(names.map((name) => produceAll(engine, name, [name, 'end'])))
    const other = open({ keyPrefix })
    for (const name of names) {
      checkHistory({ written: numbered([name, 'end']), readers: [await readAll(other, name, { name })] })
      assert.equal((await other.status(name))?.streamId, name)
    }
    assert.deepEqual(await listed(other), names.sort())
    // The way from one process to another is as wide.
    for (const name of names) {
      const producer = await engine.produce(name)
      const reader = follow(other, name, { name, from: `${producer.generation}.0`, after: 2 })
      await producer.append('live')
      assert.equal(await other.stop(name, 'enough'), 'stopping')
      await until(() => producer.signal.aborted, { message: `the stop of ${JSON.stringify(name)} arrives` })
      await producer.complete()
      checkHistory({ written: numbered(['live'], 3), first: 3, readers: [await reader.end()] })
      assert.equal(await other.delete(name), true)
    }
    assert.deepEqual(await listed(other), [])
  })

  test('streams lists every stream once, and nothing that is gone', async () => {
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix })
    assert.deepEqual(await listed(engine), [])
    const names = Array.from({ length: 1_500 }, (_, index) => `stream ${index}`)
    await Promise.all(names.map((name, index) => produceAll(engine, name, [`${index}`], { metadata: index })))
    await engine.stop('a kept stop is no stream')
    assert.deepEqual(await listed(open({ keyPrefix })), [...names].sort())
    for await (const status of engine.streams()) {
      assert.equal(status.state, 'complete')
      assert.equal(status.streamId, `stream ${status.metadata}`)
    }
    for (const name of names.slice(0, 1_000)) assert.equal(await engine.delete(name), true)
    assert.deepEqual(await listed(engine), names.slice(1_000).sort())
  })

  test('a list may be left in the middle', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    await Promise.all(texts(100).map((name) => produceAll(engine, name, [])))
    for await (const { state } of engine.streams()) {
      assert.equal(state, 'complete')
      break
    }
    const list = engine.streams()
    assert.equal((await list.next()).done, false)
    assert.equal((await list.return?.())?.done, true)
  })

  test('G10: delete with an owner is for that owner alone, without one for the server', async () => {
    const engine = open()
    const producer = await engine.produce('owned', { owner: 'user-1' })
    await assert.rejects(engine.delete('owned', { owner: 'user-2' }), {
      code: 'ERR_FORBIDDEN',
      streamId: 'owned',
    })
    await assert.rejects(engine.delete('owned', /** @type {any} */ ({ ownr: 'user-1' })), {
      code: 'ERR_INVALID_ARGUMENT',
    })
    await producer.append('still there')
    assert.equal(await engine.delete('owned', { owner: 'user-1' }), true)
    assert.equal(await engine.delete('owned', { owner: 'user-1' }), false)
    await assert.rejects(producer.append('x'), { code: 'ERR_INTERRUPTED', reason: 'deleted' })
    await engine.produce('owned', { owner: 'user-1' })
    assert.equal(await engine.delete('owned'), true)
    // A stop that is kept for a stream to come is its sender's.
    await engine.stop('later', { owner: 'user-1' })
    assert.equal(await engine.delete('later', { owner: 'user-2' }), false)
    const stopped = await engine.produce('later', { owner: 'user-1' })
    assert.equal(stopped.signal.aborted, true)
    assert.equal(await stopped.complete(), 'stopped')

    await engine.log('log', { owner: 'user-1' }).create()
    await assert.rejects(engine.log('log', { owner: 'user-2' }).delete(), { code: 'ERR_FORBIDDEN' })
    assert.equal(await engine.log('log', { owner: 'user-1' }).delete(), true)
  })

  test('delete ends readers as interrupted, and producers', async () => {
    const [engine, other] = [open(), open()]
    assert.equal(await engine.delete('deleted'), false)
    const producer = await engine.produce('deleted', { owner: 'user-1' })
    const { signal } = producer
    await writeAll(producer, texts(30))
    const readers = [
      follow(engine, 'deleted', { owner: 'user-1' }),
      follow(other, 'deleted', { owner: 'user-1' }),
      follow(other, 'deleted', { owner: 'user-1', follow: 'all' }),
    ]
    for (const reader of readers) await reader.has(30)
    assert.equal(await other.delete('deleted'), true)
    for (const reader of readers) {
      await reader.end()
      assert.deepEqual([reader.error?.code, reader.error?.reason], ['ERR_INTERRUPTED', 'deleted'])
    }
    checkHistory({ written: numbered(texts(30)), readers: readers.map((reader) => ({ ...reader, to: 30 })) })
    await until(() => signal.aborted, { message: 'the signal fires' })
    assert.deepEqual([signal.reason.code, signal.reason.reason], ['ERR_INTERRUPTED', 'deleted'])
    for (const call of [() => producer.append('x'), () => producer.flush(), () => producer.complete()]) {
      await assert.rejects(call(), { code: 'ERR_INTERRUPTED' })
    }
    assert.throws(() => producer.write('x'), { code: 'ERR_INTERRUPTED' })
    assert.equal(await engine.status('deleted'), null)
    assert.equal(await engine.delete('deleted'), false)
    assert.equal((await readAll(other, 'deleted', { wait: 0 })).error?.code, 'ERR_NOT_FOUND')

    // The name is free: another owner, and seqs from 1.
    const fresh = await produceAll(engine, 'deleted', texts(3, 'new'), { owner: 'user-2' })
    const replay = await readAll(other, 'deleted', { owner: 'user-2' })
    checkHistory({ written: numbered(texts(3, 'new')), readers: [replay] })
    const stale = await readAll(other, 'deleted', { from: readers[0]?.subscription.cursor, owner: 'user-2' })
    assert.equal(stale.error?.code, 'ERR_GAP')
    assert.notEqual(fresh.generation, producer.generation)
  })

  test('delete removes finished streams and kept stops', async () => {
    const engine = open()
    await produceAll(engine, 'finished', texts(3))
    assert.equal(await open().delete('finished'), true)
    assert.equal(await engine.status('finished'), null)
    await engine.stop('kept', 'early')
    assert.equal(await engine.delete('kept'), false)
    const producer = await engine.produce('kept')
    assert.equal(producer.signal.aborted, false)
    await producer.complete()
  })

  test('engines with different prefixes do not see each other', async () => {
    const [one, two] = [open({ keyPrefix: store.prefix() }), open({ keyPrefix: store.prefix() })]
    const first = await one.produce('same name', { owner: 'user-1' })
    const second = await two.produce('same name')
    const readers = [follow(one, 'same name', { owner: 'user-1' }), follow(two, 'same name')]
    await writeAll(first, texts(10, 'one'))
    await writeAll(second, texts(20, 'two'))
    assert.equal(await two.stop('same name', 'two only'), 'stopping')
    await until(() => second.signal.aborted)
    assert.equal(first.signal.aborted, false)
    assert.equal(await first.complete(), 'complete')
    assert.equal(await second.complete(), 'stopped')
    for (const reader of readers) await reader.end()
    assert.ok(readers[0] && readers[1])
    checkHistory({ written: numbered(texts(10, 'one')), readers: [readers[0]] })
    checkHistory({ written: numbered(texts(20, 'two')), readers: [readers[1]] })
    assert.deepEqual([await listed(one), await listed(two)], [['same name'], ['same name']])
    assert.equal(await one.delete('same name'), true)
    assert.equal((await two.status('same name'))?.state, 'stopped')
    for (const bad of ['', 'a b', 'a{', '}', 'a\n', 'x'.repeat(65), '\uD800', 1]) {
      // @ts-expect-error a number is no prefix
      assert.throws(() => open({ keyPrefix: bad }), {
        code: 'ERR_INVALID_ARGUMENT',
        field: 'options.keyPrefix',
      })
    }
  })
})
