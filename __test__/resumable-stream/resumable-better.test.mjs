// The drop-in for `resumable-stream` where the original fails, and what it can do beyond it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createResumableStreamContext } from 'tidemark/resumable-stream'
import { failureOf, HandSource, ready, TextReader, textOf } from '../support/resumable.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** @typedef {Partial<import('tidemark/resumable-stream').CreateResumableStreamContextOptions>} Options */

/**
 * Contexts of one application: the same prefix, each with the engine of another process.
 * @param {ReturnType<typeof useEngines>} open
 */
function application(open, engineOptions = {}) {
  const keyPrefix = `test-${Math.random()}`
  return (/** @type {Options} */ options = {}) => {
    const engine = options.engine ?? open(engineOptions)
    return createResumableStreamContext({ waitUntil: null, keyPrefix, ...options, engine })
  }
}

/** A promise of `waitUntil`'s, and how it was settled. */
function waiting() {
  /** @type {Promise<unknown>[]} */
  const promises = []
  return {
    waitUntil: (/** @type {Promise<unknown>} */ promise) => void promises.push(promise),
    settled: () => deadline(Promise.all(promises), 20_000, 'the promises of waitUntil'),
    promises,
  }
}

eachStore('resumable-stream, better', (store) => {
  const open = useEngines(store)

  test('a source that errors ends all readers with that error, and settles waitUntil', async () => {
    const context = application(open)
    const { waitUntil, settled, promises } = waiting()
    const source = new HandSource()
    const error = new Error('the model is overloaded')
    const [here, there] = [context({ waitUntil }), context()]
    const created = await here.createNewResumableStream('s', source.make)
    const resumed = await there.resumeExistingStream('s')
    source.write('half ')
    source.write('an answer')
    const attached = new TextReader(resumed)
    assert.equal(await attached.has(14), 'half an answer')
    source.fail(error)
    assert.equal((await failureOf(created)).error, error)
    await assert.rejects(attached.next(), {
      code: 'ERR_FAILED',
      reason: 'the model is overloaded',
      message: /overloaded/,
    })
    await settled()
    assert.equal(promises.length, 1)
    // Whoever comes later gets what there is, and the same error. It is not finished, and not made again.
    assert.equal(await there.hasExistingStream('s'), true)
    for (const late of [
      await there.resumeExistingStream('s'),
      await there.resumableStream('s', () => assert.fail('it exists')),
    ]) {
      const { text, error } = await failureOf(late)
      assert.deepEqual([text, error.reason], ['half an answer', 'the model is overloaded'])
    }
  })

  test('two creators on one id do not interleave: the later one has the stream', async () => {
    const context = application(open)
    const first = new HandSource()
    const second = new HandSource()
    const { waitUntil, settled } = waiting()
    const one = new TextReader(await context({ waitUntil }).createNewResumableStream('s', first.make))
    first.write('a1 ')
    assert.equal(await one.next(), 'a1 ')
    const early = new TextReader(await context().resumeExistingStream('s'))
    assert.equal(await early.next(), 'a1 ')
    const two = await context({ waitUntil }).createNewResumableStream('s', second.make)
    // Both are told, with what ended them.
    for (const reader of [one, early]) {
      await assert.rejects(reader.next(), { code: 'ERR_INTERRUPTED', reason: 'superseded' })
    }
    await until(() => first.isCancelled && first.signal?.aborted, { message: 'the first source is given up' })
    const resumed = await context().resumeExistingStream('s')
    second.write('b1 ', 'b2').close()
    assert.deepEqual([await textOf(two), await textOf(resumed)], ['b1 b2', 'b1 b2'])
    await settled()
    assert.equal(await context().hasExistingStream('s'), 'DONE')
  })

  test('of many that call resumableStream at once, one makes the stream', async () => {
    const context = application(open)
    const source = new HandSource()
    const contexts = Array.from({ length: 8 }, () => context())
    const streams = await Promise.all(contexts.map((each) => each.resumableStream('s', source.make)))
    source.write('one').close()
    for (const stream of streams) assert.equal(await textOf(stream), 'one')
    assert.equal(source.calls, 1)
    // Also when it is over before the others come to it.
    let calls = 0
    const make = () => {
      calls += 1
      return ready([])()
    }
    const results = await Promise.all(contexts.map((each) => each.resumableStream('instant', make)))
    for (const result of results) if (result !== null) assert.equal(await textOf(result), '')
    assert.equal(calls, 1)
  })

  test('a 12 MB replay arrives in bounded pages, at the pace of its reader', async () => {
    const context = application(open)
    const engine = open()
    const [size, count] = [4096, 3000]
    const chunk = (/** @type {number} */ index) => `${index} `.padEnd(size, 'ü')
    const source = new HandSource()
    for (let index = 0; index < count; index++) source.write(chunk(index))
    source.close()
    const { waitUntil, settled } = waiting()
    await context({ waitUntil }).createNewResumableStream('large', source.make)
    await settled()
    const resumed = await context({ engine, replayAfterDone: true }).resumeExistingStream('large')
    const reader = new TextReader(resumed)
    assert.equal(await reader.next(), chunk(0))
    // It holds what it may hold without being read, and no more.
    await until(() => engine.metrics().bytesOut >= 48 * 1024, { message: 'a page has arrived' })
    assert.ok(engine.metrics().bytesOut < 512 * 1024, `${engine.metrics().bytesOut} bytes without being read`)
    for (let index = 1; index < count; index++)
      assert.equal(await reader.next(), chunk(index), `chunk ${index}`)
    assert.equal(await reader.next(), undefined)
  })

  test('skipCharacters on a 12 MB answer goes to the place', async () => {
    const context = application(open)
    const { waitUntil, settled } = waiting()
    const text = '0123456789abcdef'.repeat(48 * 1024)
    await context({ waitUntil }).createNewResumableStream('large', ready(Array(16).fill(text)))
    await settled()
    const all = 16 * text.length
    const resumed = await context({ replayAfterDone: true }).resumeExistingStream('large', all - 5)
    assert.equal(await textOf(resumed), 'bcdef')
  })

  test('chunks that are too large for one are cut between characters', async () => {
    const context = application(open)
    const text = '🦀'.repeat(700_001)
    const [first, second] = [context(), context()]
    const source = new HandSource()
    const created = await first.createNewResumableStream('s', source.make)
    const resumed = await second.resumeExistingStream('s', 1)
    source.write(`x${text}`).close()
    for (const [stream, expected] of /** @type {const} */ ([
      [created, `x${text}`],
      [resumed, text],
    ])) {
      let got = ''
      for await (const chunk of stream ?? []) {
        assert.ok(chunk.isWellFormed())
        got += chunk
      }
      assert.ok(got === expected)
    }
  })

  test('bytes are passed on to the creator, and are text for those who resume; anything else is an error', async () => {
    const context = application(open)
    const bytes = Buffer.from('a🦀b')
    const source = new HandSource()
    const created = await context().createNewResumableStream('s', /** @type {any} */ (source.make))
    const resumed = await context().resumeExistingStream('s')
    source.write(bytes.subarray(0, 3), bytes.subarray(3)).close()
    const got = []
    for await (const chunk of created ?? []) got.push(chunk)
    assert.equal(Buffer.concat(/** @type {any} */ (got)).toString(), 'a🦀b')
    assert.equal(await textOf(resumed), 'a🦀b')
    const objects = await context().createNewResumableStream('o', ready([{ no: 'text' }]))
    assert.equal((await failureOf(objects)).error.code, 'ERR_INVALID_ARGUMENT')
  })

  test('50 readers that have left cost nothing', async () => {
    const context = application(open)
    const engine = open()
    const source = new HandSource()
    const creator = new TextReader(await context().createNewResumableStream('s', source.make))
    source.write('1')
    await creator.next()
    const ctx = context({ engine })
    const readers = await Promise.all(
      Array.from({ length: 50 }, async () => new TextReader(await ctx.resumeExistingStream('s'))),
    )
    for (const reader of readers) assert.equal(await reader.next(), '1')
    assert.equal(engine.metrics().readers, 50)
    for (const reader of readers) await reader.cancel()
    await until(() => engine.metrics().readers === 0 && engine.metrics().streams === 0, {
      message: 'nothing is left of them',
    })
    const before = engine.metrics().chunksOut
    source.write('2', '3').close()
    assert.equal(await creator.rest(), '23')
    assert.equal(engine.metrics().chunksOut, before)
  })

  test('replayAfterDone: a finished stream is given again, with skipCharacters', async () => {
    const context = application(open)
    assert.equal(await textOf(await context().resumableStream('s', ready(['ab', 'cd']))), 'abcd')
    const again = context({ replayAfterDone: true })
    assert.equal(await textOf(await again.resumeExistingStream('s')), 'abcd')
    assert.equal(await textOf(await again.resumableStream('s', () => assert.fail('it exists'), 3)), 'd')
    assert.equal(await again.hasExistingStream('s'), 'DONE')
    assert.equal(await context().resumeExistingStream('s'), null)
    assert.equal(await again.resumeExistingStream('never'), undefined)
  })

  test('stop: the source is told, readers end quietly, the stream is finished', async () => {
    const context = application(open)
    const source = new HandSource()
    const { waitUntil, settled } = waiting()
    const created = new TextReader(await context({ waitUntil }).createNewResumableStream('s', source.make))
    const resumed = new TextReader(await context().resumeExistingStream('s'))
    source.write('partial')
    assert.deepEqual([await created.next(), await resumed.next()], ['partial', 'partial'])
    assert.equal(source.signal?.aborted, false)
    assert.equal(await context().stop('s', 'the user pressed Stop'), 'stopping')
    await settled()
    assert.equal(source.signal?.aborted, true)
    assert.deepEqual(
      [source.signal?.reason.name, source.signal?.reason.reason],
      ['AbortError', 'the user pressed Stop'],
    )
    assert.deepEqual([await created.rest(), await resumed.rest(), source.isCancelled], ['', '', true])
    assert.equal(await context().hasExistingStream('s'), 'DONE')
    assert.equal(await context().resumeExistingStream('s'), null)
    assert.equal(await textOf(await context({ replayAfterDone: true }).resumeExistingStream('s')), 'partial')
    assert.equal(await context().stop('s'), 'ended')
  })

  test('stop before the start: nothing is made', async () => {
    const context = application(open)
    const source = new HandSource()
    assert.equal(await context().stop('s'), 'kept')
    assert.equal(await textOf(await context().createNewResumableStream('s', source.make)), '')
    assert.deepEqual([source.calls, await context().hasExistingStream('s')], [0, 'DONE'])
  })

  test('ttlSeconds says how long a stream is kept', async () => {
    const engine = open()
    const context = application(open)
    await textOf(
      await context({ engine, keyPrefix: 'ttl', ttlSeconds: 77 }).createNewResumableStream('s', ready(['x'])),
    )
    await textOf(await context({ engine, keyPrefix: 'ttl' }).createNewResumableStream('t', ready(['x'])))
    const [mine, usual] = [await engine.status('ttl:rs:s'), await engine.status('ttl:rs:t')]
    assert.ok(mine && mine.ttlMs <= 77_000 && mine.ttlMs > 60_000, `${mine?.ttlMs}`)
    assert.ok(usual && usual.ttlMs <= 86_400_000 && usual.ttlMs > 86_300_000, `${usual?.ttlMs}`)
    for (const bad of [0, -1, 1.5, Number.NaN, 366 * 86_400, '1h']) {
      assert.throws(() => context({ ttlSeconds: /** @type {any} */ (bad) }), {
        code: 'ERR_INVALID_ARGUMENT',
        field: 'options.ttlSeconds',
      })
    }
  })

  test('what cannot be an id or a number of characters is refused, and nothing is made', async () => {
    const ctx = application(open)()
    const source = new HandSource()
    for (const id of ['x'.repeat(513), 'a\uD800']) {
      const refused = { code: 'ERR_INVALID_ARGUMENT', field: 'streamId' }
      await assert.rejects(ctx.createNewResumableStream(id, source.make), refused)
      await assert.rejects(ctx.resumableStream(id, source.make), refused)
      await assert.rejects(ctx.resumeExistingStream(id), refused)
      await assert.rejects(ctx.hasExistingStream(id), refused)
      await assert.rejects(ctx.stop(id), refused)
    }
    const refused = { code: 'ERR_INVALID_ARGUMENT', field: 'skipCharacters' }
    await assert.rejects(ctx.resumableStream('s', source.make, -1), refused)
    await assert.rejects(ctx.resumeExistingStream('s', -1), refused)
    assert.equal(source.calls, 0)
  })
})
