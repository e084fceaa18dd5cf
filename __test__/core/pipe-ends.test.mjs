// How a pipe ends before its source does, on both stores.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { gate } from '../support/gate.mjs'
import { checkHistory } from '../support/history.mjs'
import { expectNoRejections, KINDS, Local, pipe, Source } from '../support/pipes.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, readAll, texts, useEngines } from '../support/streams.mjs'

expectNoRejections()

/** Yields the chunks, then throws what the promise rejects with; a promise that never settles is a stuck model. */
async function* answer(
  /** @type {Iterable<string | Uint8Array>} */ chunks,
  /** @type {Promise<unknown>} */ then,
) {
  yield* chunks
  await then
}

const never = new Promise(() => {})

eachStore('pipe ends', (store) => {
  const open = useEngines(store)

  test('a stop from elsewhere ends the source, and the partial answer ends as stopped for everyone', async () => {
    const [here, there] = [open(), open()]
    for (const kind of KINDS) {
      const id = `stop ${kind}`
      const source = new Source(answer(texts(50, id), never))
      const { stream, done } = pipe(here, id, source.as(kind))
      const local = new Local(stream)
      const readers = [follow(here, id), follow(there, id)]
      await local.has(50)
      assert.equal(await there.stop(id, 'enough'), 'stopping')
      assert.equal(await source.end(), 'left')
      assert.equal(await done, 'stopped')
      assert.equal((await local.end()).outcome, 'complete', String(local.error))
      readers.push(follow(there, id, { name: 'replay' }))
      for (const reader of readers) {
        await reader.end()
        assert.deepEqual([reader.outcome, reader.subscription.reason], ['stopped', 'enough'])
      }
      checkHistory({ written: numbered(texts(50, id)), readers: [local, ...readers] })
      if (!kind.endsWith('function')) continue
      const { name, code, reason } = source.signal?.reason ?? {}
      assert.deepEqual([name, code, reason], ['AbortError', 'ERR_STOPPED', 'enough'])
    }
  })

  test('a stop while the source yields on and on, and one that throws at the signal as fetch does', async () => {
    const [here, there] = [open(), open()]
    async function* endless() {
      for (let index = 0; ; index++) {
        yield `token ${index} `
        if (index % 5 === 0) await turn()
      }
    }
    const aborts = (/** @type {AbortSignal} */ signal) =>
      answer(
        texts(30),
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      )
    /** @type {[string, import('tidemark').PipeSource][]} */
    const sources = [
      ...KINDS.map((kind) => /** @type {any} */ ([kind, new Source(endless()).as(kind)])),
      ['aborts', aborts],
    ]
    for (const [name, source] of sources) {
      const id = `endless ${name}`
      const { stream, done } = pipe(here, id, source)
      const local = new Local(stream)
      const reader = follow(there, id)
      await local.has(30)
      await there.stop(id)
      assert.equal(await done, 'stopped')
      await Promise.all([local.end(), reader.end()])
      assert.deepEqual([local.outcome, reader.outcome], ['complete', 'stopped'])
      checkHistory({ written: numbered(reader.chunks.map(({ data }) => data)), readers: [local, reader] })
    }
  })

  test('a stop that came before: the source is not read at all', async () => {
    const engine = open()
    for (const kind of KINDS) {
      const id = `early ${kind}`
      assert.equal(await open().stop(id, 'changed my mind'), 'kept')
      const source = new Source(texts(10))
      const { stream, done } = pipe(engine, id, source.as(kind))
      assert.equal(await done, 'stopped')
      const local = await new Local(stream).end()
      assert.deepEqual([local.outcome, local.chunks, source.taken], ['complete', [], 0])
      if (!kind.endsWith('function')) assert.equal(await source.end(), 'left')
      const status = await engine.status(id)
      assert.deepEqual([status?.state, status?.reason], ['stopped', 'changed my mind'])
    }
  })

  test('G10 a source that fails: its own error for the client, ERR_FAILED with the words of onError for the others', async () => {
    const engine = open()
    const causes = [
      new TypeError('the model is gone'),
      'plain words',
      undefined,
      null,
      { code: 'ERR_STOPPED' },
    ]
    for (const cause of causes) {
      for (const kind of KINDS) {
        const id = `fails ${causes.indexOf(cause)} ${kind}`
        const failing = gate()
        const source = new Source(
          answer(
            texts(20, id),
            failing.opened.then(() => Promise.reject(cause)),
          ),
        )
        /** @type {unknown[]} */
        const told = []
        const onError = (/** @type {unknown} */ error) => `sorry ${told.push(error)}`
        const { stream, done } = pipe(engine, id, source.as(kind), { onError })
        const settled = done.then(
          () => assert.fail('it failed'),
          (error) => assert.equal(error, cause),
        )
        const [local, reader] = [new Local(stream), follow(open(), id)]
        await local.has(20)
        failing.open()
        await settled
        await local.end()
        assert.notEqual(local.outcome, 'complete')
        assert.equal(local.error, cause)
        for (const other of [await reader.end(), await readAll(engine, id)]) {
          assert.deepEqual([other.outcome, other.error.code], ['failed', 'ERR_FAILED'])
          assert.equal(other.error.reason, 'sorry 1')
          checkHistory({ written: numbered(texts(20, id)), readers: [local, { ...other, to: 20 }] })
        }
        assert.deepEqual(told, [cause])
        assert.equal(source.ended, 'failed')
        assert.equal(source.signal?.aborted, kind.endsWith('function') ? false : undefined)
      }
    }
  })

  test('G10 by default a failure is logged, and its words reach nobody; no onError breaks the end', async (t) => {
    const log = t.mock.method(console, 'error', () => {})
    const engine = open()
    const secret = new Error('401: key sk-secret is wrong')
    const failure = new Error('onError has failed')
    async function* broken() {
      yield* texts(3)
      throw secret
    }
    /** @type {[any, string, unknown[]][]} */
    const table = [
      [undefined, 'An error occurred.', [secret]],
      [() => undefined, 'An error occurred.', []],
      [() => 5, 'An error occurred.', []],
      [async () => Promise.reject(failure), 'An error occurred.', [failure]],
      [
        () => {
          throw failure
        },
        'An error occurred.',
        [failure],
      ],
      [() => '', '', []],
      [() => `${'x'.repeat(2000)}\uD800`, `${'x'.repeat(1021)}…`, []],
    ]
    for (const [index, [onError, reason, logged]] of table.entries()) {
      log.mock.resetCalls()
      const id = `masked ${index}`
      const { stream, done } = pipe(engine, id, broken(), { onError })
      await assert.rejects(done, secret)
      assert.equal((await new Local(stream).end()).error, secret)
      const replay = await readAll(open(), id)
      assert.deepEqual([replay.outcome, replay.error.reason], ['failed', reason])
      await turn()
      assert.deepEqual(
        log.mock.calls.map((call) => call.arguments[0]),
        logged,
      )
    }
    assert.throws(() => engine.pipe('x', broken(), /** @type {any} */ ({ onError: 'sorry' })), {
      field: 'options.onError',
    })
  })

  test('a function that throws, or returns no source', async () => {
    const engine = open()
    const cause = new Error('no model today')
    const locked = new ReadableStream()
    locked.getReader()
    const functions = [
      () => {
        throw cause
      },
      ...[undefined, 5, 'text', ['a'], Promise.resolve(), locked].map((result) => () => result),
    ]
    for (const [index, source] of functions.entries()) {
      const id = `no source ${index}`
      const { stream, done } = pipe(engine, id, /** @type {any} */ (source), { onError: () => 'sorry' })
      const expected = index === 0 ? cause : { code: 'ERR_INVALID_ARGUMENT', field: 'the result of source' }
      await assert.rejects(done, expected)
      const local = await new Local(stream).end()
      assert.throws(() => {
        throw local.error
      }, expected)
      assert.equal((await readAll(open(), id)).error?.reason, 'sorry')
    }
  })

  test('a source that yields what is no chunk is left, and fails as if it had thrown', async () => {
    const engine = open()
    const bad = [5, null, undefined, {}, new Uint16Array(2)]
    for (const [index, chunk] of bad.entries()) {
      for (const kind of KINDS) {
        const id = `no chunk ${index} ${kind}`
        const source = new Source(/** @type {any} */ (['good', chunk, 'never read']))
        const { stream, done } = pipe(engine, id, source.as(kind), { onError: () => 'sorry' })
        const local = await new Local(stream).end()
        assert.deepEqual([local.outcome, local.error.field], ['ERR_INVALID_ARGUMENT', 'chunk'])
        await assert.rejects(done, local.error)
        const replay = await readAll(open(), id)
        assert.deepEqual([replay.outcome, replay.error.reason], ['failed', 'sorry'])
        checkHistory({ written: numbered(['good']), readers: [local, { ...replay, to: 1 }] })
        assert.deepEqual([await source.end(), source.taken], ['left', 2])
      }
    }
  })

  test('a chunk beyond the limit fails the stream, and the local client gets it and what follows', async () => {
    const engine = open()
    const huge = 'a'.repeat((32 << 20) + 1)
    for (const kind of KINDS) {
      const id = `huge ${kind}`
      // Cut in the middle of a character, twice.
      const source = new Source(['good\uD83C', `\uDF0A${huge}\uD83C`, '\uDF0Amore', new Uint8Array([1])])
      const { stream, done } = pipe(engine, id, source.as(kind), { onError: ({ message }) => message })
      const local = await new Local(stream).end()
      assert.equal(local.outcome, 'complete', local.error?.stack)
      assert.deepEqual(
        local.chunks.map(({ data }) => (data.length > 9 ? data === `🌊${huge}` : data)),
        ['good', true, '🌊more', new Uint8Array([1])],
      )
      const message = 'chunk: must be at most 33554432 bytes (32 MiB), got 33554439'
      await assert.rejects(done, { code: 'ERR_INVALID_ARGUMENT', field: 'chunk', message })
      const replay = await readAll(open(), id)
      assert.deepEqual([replay.outcome, replay.error.reason], ['failed', message])
      checkHistory({ written: numbered(['good']), readers: [{ ...replay, to: 1 }] })
      assert.equal(await source.end(), 'drained')
    }
  })

  test('a source with a chunk beyond the limit is read to its end, whoever has left, or fails as it does', async () => {
    const engine = open()
    const huge = new Uint8Array((32 << 20) + 1)
    const left = new Source(['good', huge, 'more'])
    const one = pipe(engine, 'left', left.as('iterable'))
    const settled = assert.rejects(one.done, { field: 'chunk' })
    await one.stream.cancel()
    await settled
    assert.deepEqual([await left.end(), left.taken], ['drained', 3])

    const failure = new Error('out of words')
    const broken = Promise.reject(failure)
    broken.catch(() => {})
    const failed = new Source(answer([huge, 'more'], broken))
    const two = pipe(engine, 'failed', failed.as('web'))
    const local = await new Local(two.stream).end()
    assert.deepEqual([local.chunks.length, local.error], [2, failure])
    await assert.rejects(two.done, { field: 'chunk' })
  })

  /** @type {[string, (engine: import('tidemark').Engine, id: string) => Promise<unknown>, string, string][]} */
  const losses = [
    [
      'G4 a takeover',
      (engine, id) => engine.produce(id, { ifActive: 'takeover' }),
      'ERR_FENCED',
      'superseded',
    ],
    ['a deletion', (engine, id) => engine.delete(id), 'ERR_INTERRUPTED', 'deleted'],
  ]
  for (const [name, lose, code, why] of losses) {
    test(`${name} in the middle: the source is left, the client and all readers are interrupted`, async () => {
      const [here, there] = [open(), open()]
      for (const kind of KINDS) {
        const id = `${name} ${kind}`
        const source = new Source(answer(texts(50, id), never))
        const { stream, done } = pipe(here, id, source.as(kind))
        const [local, reader] = [new Local(stream), follow(there, id)]
        await Promise.all([local.has(50), reader.has(50)])
        const settled = assert.rejects(done, { code, streamId: id })
        const next = await lose(there, id)
        await settled
        assert.equal(await source.end(), 'left')
        if (kind.endsWith('function')) assert.equal(source.signal?.reason.code, code)
        for (const one of [await local.end(), await reader.end()]) {
          assert.deepEqual([one.error?.code, one.error?.reason], ['ERR_INTERRUPTED', why])
        }
        checkHistory({ written: numbered(texts(50, id)), readers: [local, reader] })
        if (typeof next !== 'object') continue
        const producer = /** @type {import('tidemark').Producer} */ (next)
        await producer.append('another answer')
        assert.equal(await producer.complete(), 'complete')
      }
    })
  }

  test('the engine is closed in the middle: the source is left and everybody is told', async () => {
    for (const kind of KINDS) {
      const engine = open()
      const source = new Source(answer(texts(20), never))
      const { stream, done } = pipe(engine, `close ${kind}`, source.as(kind))
      const local = new Local(stream)
      await local.has(20)
      const settled = assert.rejects(done, { code: 'ERR_CLOSED' })
      await engine.close()
      await settled
      assert.equal(await source.end(), 'left')
      assert.equal((await local.end()).outcome, 'ERR_CLOSED')
      const late = pipe(engine, 'late', new Source([]).as('iterable'))
      await assert.rejects(late.done, { code: 'ERR_CLOSED' })
      assert.equal((await new Local(late.stream).end()).outcome, 'ERR_CLOSED')
    }
  })
})
