// The contract of assistant-ui's ResumableStreamStore (`tidemark/assistant-ui`), and assistant-ui's own context on top of it.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createResumableStreamContext } from 'assistant-stream/resumable'
import { assistantUiStore } from 'tidemark/assistant-ui'
import { startChild } from '../support/child.mjs'
import { checkHistory } from '../support/history.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** @typedef {import('tidemark/assistant-ui').AssistantUiStore} Store */

const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text)
const never = () => new AbortController().signal

/** Reads a stream to its end in the background. @param {Store} store @param {string} id @param {{ cursor?: string, signal?: AbortSignal }} [from] */
function following(store, id, { cursor = '', signal = never() } = {}) {
  /** @type {string[]} */
  const seen = []
  /** @type {string[]} */
  const cursors = []
  const done = (async () => {
    for await (const entry of store.read(id, cursor, signal)) {
      seen.push(new TextDecoder().decode(entry.chunk))
      cursors.push(entry.cursor)
    }
  })()
  done.catch(() => {})
  return { seen, cursors, end: () => deadline(done, 20_000, `the reader ends, after ${seen.length}`) }
}

/** @param {Store} store @param {string} id */
async function leased(store, id) {
  const got = await store.acquireLease(id)
  assert.equal(got.role, 'producer')
  return /** @type {{ lease: { token: string } }} */ (got).lease
}

/** A response's text. @param {ReadableStream<Uint8Array> | null} stream */
const textOf = (stream) => deadline(new Response(stream).text(), 10_000, 'the stream ends')

eachStore('a store of assistant-ui', (store) => {
  const open = useEngines(store)
  const there = () => assistantUiStore(open())

  test('G4 one of many is the producer, until the stream is deleted, also after its end', async () => {
    const stores = [there(), there(), there()]
    const roles = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        stores[index % 3]?.acquire('election', { ttlMs: 60_000 + index }),
      ),
    )
    assert.equal(roles.filter((role) => role === 'producer').length, 1)
    const [one, two] = /** @type {[Store, Store, Store]} */ (stores)
    assert.equal(await two.status('election'), 'streaming')
    await one.append('election', bytes('a'))
    assert.equal(await one.finalize('election', 'done'), true)
    assert.equal(await one.finalize('election', 'error', 'late'), false)
    assert.equal(await two.finalize('election', 'done'), false)
    assert.deepEqual([await one.acquire('election'), await two.acquire('election')], ['consumer', 'consumer'])
    assert.deepEqual([await one.status('election'), await two.status('nothing')], ['done', 'missing'])
    await two.delete('election')
    await two.delete('election')
    assert.equal(await two.acquire('election'), 'producer')
  })

  test('G1 G2 what was appended is replayed and followed, byte by byte, from any cursor', async () => {
    const [one, two] = [there(), there()]
    const lease = await leased(one, 'replay')
    const random = randomBytes(1000)
    const given = new Uint8Array(random)
    await one.append('replay', given, lease)
    given.fill(0)
    const reader = following(two, 'replay')
    const mangling = (async () => {
      for await (const { chunk } of one.read('replay', '', never())) chunk.fill(0)
    })()
    await one.append('replay', new Uint8Array(0), lease)
    await one.append('replay', new Uint8Array(3 << 20).fill(7), lease)
    await until(() => reader.seen.length === 3)
    await one.append('replay', bytes('failed: not really'), lease)
    await one.finalize('replay', 'done', undefined, lease)
    await Promise.all([reader.end(), mangling])
    /** @type {Uint8Array[]} */
    const chunks = []
    for await (const { chunk } of two.read('replay', '', never())) {
      assert.equal(Object.getPrototypeOf(chunk), Uint8Array.prototype)
      chunks.push(chunk)
    }
    assert.ok(random.equals(chunks[0] ?? new Uint8Array()))
    assert.deepEqual(
      chunks.map(({ length }) => length),
      [1000, 0, 3 << 20, 18],
    )
    const rest = following(one, 'replay', { cursor: /** @type {string} */ (reader.cursors[2]) })
    await rest.end()
    assert.deepEqual([rest.seen, rest.cursors], [['failed: not really'], reader.cursors.slice(3)])
  })

  test('a reader of a failed stream is told so after all chunks; who leaves is told nothing', async () => {
    const [one, two] = [there(), there()]
    await one.acquire('failing')
    await one.append('failing', bytes('a'))
    const before = following(two, 'failing')
    await one.finalize('failing', 'error', 'the model is tired 🌊')
    await one.acquire('failing 2'.replace(' ', '-'))
    await one.finalize('failing-2', 'error')
    for (const reader of [before, following(two, 'failing')]) {
      await assert.rejects(reader.end(), { message: 'the model is tired 🌊' })
      assert.deepEqual(reader.seen, ['a'])
    }
    await assert.rejects(following(two, 'failing-2').end(), { message: 'Stream errored' })
    assert.equal(await two.status('failing'), 'error')
    const left = new AbortController()
    for await (const _ of two.read('failing', '', left.signal)) left.abort(new Error('gone'))
    await following(two, 'failing', { signal: AbortSignal.abort() }).end()
  })

  test('a parked reader ends quietly when it is aborted, or its stream is deleted, and sees nothing of the next', async () => {
    const [one, two] = [there(), there()]
    await one.acquire('parked')
    await one.append('parked', bytes('old'))
    const left = new AbortController()
    const aborted = following(one, 'parked', { signal: left.signal })
    const readers = [following(two, 'parked'), following(one, 'parked')]
    await until(() => [aborted, ...readers].every(({ seen }) => seen.length === 1))
    left.abort()
    await aborted.end()
    await two.delete('parked')
    await two.acquire('parked')
    await two.append('parked', bytes('new'))
    await Promise.all(readers.map((reader) => reader.end()))
    for (const { seen } of readers) assert.deepEqual(seen, ['old'])
    await assert.rejects(following(two, 'nobody').end(), { message: /Stream not found/, code: 'missing' })
  })

  test('G4 a producer that was superseded writes nothing, with its lease or without', async () => {
    const [one, two] = [there(), there()]
    const stale = await leased(one, 'fenced')
    await one.append('fenced', bytes('old'), stale)
    await two.delete('fenced')
    for (const attempt of [
      () => one.append('fenced', bytes('x'), stale),
      () => one.append('fenced', bytes('x')),
      () => one.finalize('fenced', 'done', undefined, stale),
    ]) {
      await assert.rejects(attempt, { message: /Stream not found/ })
    }
    const fresh = await leased(two, 'fenced')
    const superseded = { name: 'ResumableStreamError', code: 'missing', message: /superseded/ }
    const refused = async () => {
      for (const lease of [stale, { token: 'of nobody' }]) {
        await assert.rejects(one.append('fenced', bytes('x'), lease), superseded)
        await assert.rejects(one.append('fenced', randomBytes(2 << 20), lease), superseded)
        assert.equal(await one.finalize('fenced', 'error', 'x', lease), false)
      }
    }
    await refused()
    await two.append('fenced', bytes('new'), fresh)
    // In the store that has acquired both, the lease alone tells them apart.
    await assert.rejects(two.append('fenced', bytes('x'), stale), superseded)
    await two.append('fenced', bytes('er'))
    assert.equal(await two.finalize('fenced', 'done', undefined, fresh), true)
    await refused()
    await assert.rejects(two.append('fenced', bytes('x'), fresh), {
      name: 'ResumableStreamError',
      code: 'finalized',
      message: /already finalized/,
    })
    const reader = following(one, 'fenced')
    await reader.end()
    assert.deepEqual(reader.seen, ['new', 'er'])
  })

  test('G4 who has acquired without a lease is fenced too, once another has the stream', async () => {
    const [one, two] = [there(), there()]
    await one.acquire('leaseless')
    await two.delete('leaseless')
    await two.acquire('leaseless')
    await assert.rejects(one.append('leaseless', bytes('x')), { code: 'missing', message: /superseded/ })
    assert.equal(await one.finalize('leaseless', 'done'), false)
    await assert.rejects(one.append('leaseless', bytes('x')), { code: 'missing' })
    assert.equal(await two.status('leaseless'), 'streaming')
  })

  test('a stream is kept as long as `acquire` says after its last use', async () => {
    const [one, two] = [there(), there()]
    await one.acquire('short', { ttlMs: 1200 })
    const reader = following(two, 'short')
    const since = performance.now()
    const isLong = async () => {
      await one.append('short', bytes('x'))
      return performance.now() - since > 2000
    }
    await until(isLong, { interval: 400, message: 'it is used for longer than it is kept' })
    await until(async () => (await two.status('short')) === 'missing', { message: 'asking is no use of it' })
    await assert.rejects(reader.end(), { code: 'ERR_NOT_FOUND' })
    await assert.rejects(one.append('short', bytes('x')), { message: /Stream not found/ })
    assert.equal(await two.acquire('short'), 'producer')
  })

  test('bad input is refused at the door, and ids are not repeated', async () => {
    const engine = open()
    const one = assistantUiStore(engine, { maxChunkBytes: 4 })
    const bad = [
      '',
      'a\nb',
      'a\r',
      'a\0',
      '..',
      '.',
      '../a',
      'a/b',
      'ä',
      'x'.repeat(257),
      7,
      null,
      'secret word',
    ]
    for (const id of /** @type {any[]} */ (bad)) {
      for (const attempt of [
        () => one.acquire(id),
        () => one.acquireLease(id),
        () => one.append(id, bytes('a')),
        () => one.finalize(id, 'done'),
        () => following(one, id).end(),
        () => one.status(id),
        () => one.delete(id),
      ]) {
        await assert.rejects(attempt, (error) => {
          const { name, code, message } = /** @type {any} */ (error)
          assert.deepEqual([name, code], ['ResumableStreamError', 'invalid-id'])
          assert.doesNotMatch(message, /secret/)
          return true
        })
      }
    }
    await one.acquire('door')
    const invalid = { code: 'ERR_INVALID_ARGUMENT' }
    for (const chunk of ['text', null, [1], new ArrayBuffer(1)])
      await assert.rejects(one.append('door', /** @type {any} */ (chunk)), invalid)
    await assert.rejects(one.append('door', bytes('12345')), { message: /Chunk exceeds maxChunkBytes/ })
    for (const lease of [null, {}, { token: 7 }, { token: '' }])
      await assert.rejects(one.append('door', bytes('a'), /** @type {any} */ (lease)), invalid)
    for (const ttlMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1h'])
      await assert.rejects(one.acquire('other', /** @type {any} */ ({ ttlMs })), invalid)
    await assert.rejects(one.finalize('door', /** @type {any} */ ('over')), invalid)
    for (const cursor of ['0', 'start', 'now', '0-0', null])
      await assert.rejects(following(one, 'door', /** @type {any} */ ({ cursor })).end(), invalid)
    for (const options of [{ ttl: 0 }, { prefix: 7 }, { maxChunkBytes: 0 }, { nothing: 1 }])
      assert.throws(() => assistantUiStore(engine, /** @type {any} */ (options)), invalid)
    assert.throws(() => assistantUiStore(/** @type {any} */ ({})), invalid)
    // A stream of the application's is none of these.
    await engine.log('private').append(['x'])
    assert.equal(await one.status('private'), 'missing')
    assert.equal(await one.status('door'), 'streaming')
  })

  test('G10 streams of an owner are theirs', async () => {
    const mine = assistantUiStore(open(), { owner: 'ann' })
    const others = assistantUiStore(open(), { owner: 'bob' })
    await mine.acquire('owned')
    for (const attempt of [
      () => others.append('owned', bytes('x')),
      () => others.finalize('owned', 'done'),
      () => following(others, 'owned').end(),
      () => others.status('owned'),
      () => others.delete('owned'),
      () => others.acquire('owned'),
    ]) {
      await assert.rejects(attempt, { code: 'ERR_FORBIDDEN' })
    }
    assert.equal(await mine.status('owned'), 'streaming')
  })

  test("assistant-ui's context: one producer, and everybody gets the same, on any server", async () => {
    // As users do it, with something of their own.
    const context = createResumableStreamContext({ store: { ...there() } })
    const other = createResumableStreamContext({ store: there() })
    /** @type {(value?: unknown) => void} */
    let goOn = () => {}
    const wait = new Promise((resolve) => {
      goOn = resolve
    })
    const words = Array.from({ length: 50 }, (_, index) => `wörd ${index} `)
    const source = () =>
      new ReadableStream({
        async start(controller) {
          for (const [index, word] of words.entries()) {
            if (index === 25) await wait
            controller.enqueue(bytes(word))
          }
          controller.close()
        },
      })
    const first = await context.run('context', source)
    const second = await other.run('context', () => assert.fail('it has a producer'))
    const third = await other.resume('context')
    await first.cancel()
    goOn()
    for (const stream of [second, third, await context.requireResume('context')])
      assert.equal(await textOf(stream), words.join(''))
    assert.equal(await other.status('context'), 'done')
    assert.equal(await other.resume('nothing'), null)
    await assert.rejects(other.requireResume('nothing'), { name: 'ResumableStreamError', code: 'missing' })
    const failing = new ReadableStream({ start: (controller) => controller.error(new Error('no model')) })
    await assert.rejects(textOf(await context.run('failing-context', () => failing)), { message: 'no model' })
    assert.equal(await other.status('failing-context'), 'error')
    await other.delete('context')
    assert.equal(await context.status('context'), 'missing')
  })
})

test('G1 a lease goes from process to process', async (t) => {
  const { TestStore } = await import('../support/stores.mjs')
  const { createEngine } = await import('tidemark')
  const store = new TestStore('redis')
  await store.start()
  const options = { url: store.url, keyPrefix: store.prefix() }
  const engine = createEngine(options)
  t.after(() => engine.close())
  const here = assistantUiStore(engine)
  const lease = await leased(here, 'passed-on')
  await here.append('passed-on', bytes('here 0'), lease)
  const reader = following(here, 'passed-on')
  const chunks = Array.from({ length: 20 }, (_, index) => `there ${index}`)
  const child = startChild(new URL('../children/assistant-ui-producer.mjs', import.meta.url), {
    env: { WORK: JSON.stringify({ id: 'passed-on', lease, chunks, options }) },
  })
  t.after(() => child.kill())
  await until(() => child.messages.some(({ type }) => type === 'done'), { message: () => child.output })
  assert.equal(child.messages[0]?.finalized, true)
  await reader.end()
  checkHistory({
    written: ['here 0', ...chunks].map((data) => ({ data })),
    readers: [
      {
        name: 'the reader',
        chunks: reader.seen.map((data, index) => ({ data, seq: index + 1 })),
        outcome: 'complete',
      },
    ],
  })
  assert.equal(await here.finalize('passed-on', 'done', undefined, lease), false)
})
