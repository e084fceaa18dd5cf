// The drop-in's JavaScript path: `/generic`, and whatever clients an engine cannot stand in for. It shares its streams
// with the original, and is better where it can be.

import assert from 'node:assert/strict'
import { after, before, describe, mock, test } from 'node:test'
import * as original from 'resumable-stream/generic'
import { createResumableStreamContext } from 'tidemark/resumable-stream/generic'
import { RedisClients } from '../support/redis-clients.mjs'
import { failureOf, HandSource, LocalPubSub, ready, TextReader, textOf } from '../support/resumable.mjs'
import { TestStore } from '../support/stores.mjs'
import { deadline, until } from '../support/wait.mjs'

/** @typedef {Partial<import('tidemark/resumable-stream').CreateResumableStreamContextOptions>} Options */

/**
 * @param {string} name
 * @param {(clients: () => { publisher: any, subscriber: any }) => void} define
 */
function eachWire(name, define) {
  describe(`${name} [in process]`, () => {
    const pubsub = new LocalPubSub()
    define(() => ({ publisher: pubsub, subscriber: pubsub }))
  })
  describe(`${name} [redis]`, () => {
    const store = new TestStore('redis')
    const clients = new RedisClients()
    before(async () => {
      await store.start()
      await clients.open(store.adminUrl)
    })
    after(() => clients.close())
    define(() => clients.pair('redis-6'))
  })
}

eachWire('resumable-stream, relayed', (clients) => {
  /** Contexts of one application. @param {typeof createResumableStreamContext} create */
  function application(create = createResumableStreamContext) {
    const keyPrefix = `test-${Math.random()}`
    return (/** @type {Options} */ options = {}, make = create) =>
      make({ waitUntil: null, keyPrefix, ...clients(), ...options })
  }

  test('the original and the drop-in resume the streams of each other', async () => {
    for (const [producing, resuming] of [
      [original.createResumableStreamContext, createResumableStreamContext],
      [createResumableStreamContext, original.createResumableStreamContext],
    ]) {
      const context = application()
      const source = new HandSource()
      const created = new TextReader(await context({}, producing).resumableStream('s', source.make))
      source.write('12')
      await created.has(2)
      const resumer = context({}, resuming)
      assert.equal(await resumer.hasExistingStream('s'), true)
      const resumed = [
        await resumer.resumeExistingStream('s'),
        await resumer.resumableStream('s', () => assert.fail('it exists'), 1),
      ]
      source.write('34').close()
      assert.deepEqual(
        [await textOf(resumed[0]), await textOf(resumed[1]), await created.rest()],
        ['1234', '234', '34'],
      )
      await until(async () => (await resumer.hasExistingStream('s')) === 'DONE')
      assert.equal(await resumer.resumeExistingStream('s'), null)
    }
  })

  test('a source that errors ends all readers with that error, and settles waitUntil', async () => {
    const context = application()
    const source = new HandSource()
    /** @type {Promise<unknown>[]} */
    const promises = []
    const error = new Error('the model is overloaded')
    const created = await context({
      waitUntil: (promise) => promises.push(promise),
    }).createNewResumableStream('s', source.make)
    const resumed = await context().resumeExistingStream('s')
    const theirs = await context({}, original.createResumableStreamContext).resumeExistingStream('s')
    source.write('half')
    const local = new TextReader(created)
    assert.equal(await local.next(), 'half')
    source.fail(error)
    await assert.rejects(local.next(), error)
    const failure = await failureOf(resumed)
    assert.deepEqual([failure.text, failure.error.message], ['half', 'the model is overloaded'])
    // The original knows no failures: its readers end.
    assert.equal(await textOf(theirs), 'half')
    await deadline(Promise.all(promises), 20_000, 'waitUntil')
    assert.deepEqual([promises.length, await context().resumeExistingStream('s')], [1, null])
  })

  test('of two creators on one id, the later one has the readers that come after it', async () => {
    const context = application()
    const [first, second] = [new HandSource(), new HandSource()]
    const one = new TextReader(await context().createNewResumableStream('s', first.make))
    first.write('a1 ')
    await one.next()
    const early = new TextReader(await context().resumeExistingStream('s'))
    assert.equal(await early.next(), 'a1 ')
    const two = await context().createNewResumableStream('s', second.make)
    const late = await context().resumeExistingStream('s')
    second.write('b1 ')
    first.write('a2').close()
    // The earlier one goes on for those that it has, and its end is not the stream's.
    assert.deepEqual([await one.rest(), await early.rest()], ['a2', 'a2'])
    assert.equal(await context().hasExistingStream('s'), true)
    const later = await context().resumeExistingStream('s')
    second.write('b2').close()
    assert.deepEqual(
      [await textOf(two), await textOf(late), await textOf(later)],
      ['b1 b2', 'b1 b2', 'b1 b2'],
    )
    await until(async () => (await context().hasExistingStream('s')) === 'DONE')
  })

  test('a resume is settled when nobody answers', async () => {
    const context = application()
    const { publisher } = clients()
    const { keyPrefix } = { keyPrefix: `test-${Math.random()}` }
    // What a process that was killed leaves behind.
    await publisher.set(`${keyPrefix}:rs:sentinel:dead`, '1', { EX: 60 })
    const started = performance.now()
    await assert.rejects(context({ keyPrefix }).resumeExistingStream('dead'), {
      message: 'Timeout waiting for ack',
    })
    assert.ok(performance.now() - started < 3_000)
  })

  test('readers that have left are no longer sent anything', async () => {
    const context = application()
    const { publisher, subscriber } = clients()
    /** @type {string[]} */
    const published = []
    const spy = {
      connect: async () => {},
      get: (/** @type {string} */ key) => publisher.get(key),
      set: (/** @type {any[]} */ ...args) => publisher.set(...args),
      incr: (/** @type {string} */ key) => publisher.incr(key),
      publish: (/** @type {string} */ channel, /** @type {string} */ message) => {
        published.push(message)
        return publisher.publish(channel, message)
      },
    }
    const source = new HandSource()
    const created = await context({ publisher: spy, subscriber }).createNewResumableStream('s', source.make)
    const local = new TextReader(created)
    const readers = []
    for (let count = 0; count < 50; count++)
      readers.push(new TextReader(await context().resumeExistingStream('s')))
    source.write('1')
    for (const reader of [local, ...readers]) assert.equal(await reader.next(), '1')
    for (const reader of readers) await reader.cancel()
    // The first chunk after it finds out, the second is not sent.
    await until(async () => {
      published.length = 0
      source.write('x')
      assert.equal(await local.next(), 'x')
      return published.length === 0
    })
    source.close()
    await local.rest()
  })

  test('stop, the signal, and a stop before the start', async () => {
    const context = application()
    const source = new HandSource()
    const created = new TextReader(await context().createNewResumableStream('s', source.make))
    const resumed = new TextReader(await context().resumeExistingStream('s'))
    source.write('partial')
    assert.deepEqual([await created.next(), await resumed.next()], ['partial', 'partial'])
    assert.equal(await context().stop('s', 'the user pressed Stop'), 'stopping')
    assert.deepEqual([await created.rest(), await resumed.rest()], ['', ''])
    assert.deepEqual(
      [source.signal?.aborted, source.signal?.reason.name, source.signal?.reason.message, source.isCancelled],
      [true, 'AbortError', 'the user pressed Stop', true],
    )
    await until(async () => (await context().hasExistingStream('s')) === 'DONE')
    assert.equal(await context().stop('s'), 'ended')

    const never = new HandSource()
    assert.equal(await context().stop('early'), 'kept')
    assert.equal(await textOf(await context().createNewResumableStream('early', never.make)), '')
    assert.equal(never.calls, 0)
    // It was for that start alone.
    assert.equal(await textOf(await context().createNewResumableStream('early', ready(['again']))), 'again')
  })

  test('a long text is sent in pieces, and no character is cut', async () => {
    const context = application()
    const text = `x${'🦀'.repeat(300_000)}`
    const source = new HandSource().write(text)
    const created = new TextReader(await context().createNewResumableStream('s', source.make))
    await created.has(text.length)
    const resumed = new TextReader(await context().resumeExistingStream('s'))
    source.close()
    let got = ''
    for (let piece = await resumed.next(); piece !== undefined; piece = await resumed.next()) {
      assert.ok(piece.length <= 256 * 1024 && piece.isWellFormed(), `${piece.length} units`)
      got += piece
    }
    assert.ok(got === text)
  })

  test('a lost last message is made good by the watchdog', async () => {
    const context = application()
    const source = new HandSource()
    const { publisher, subscriber } = clients()
    const keyPrefix = `test-${Math.random()}`
    await context({ keyPrefix }).createNewResumableStream('s', source.make)
    const resumed = new TextReader(
      await context({ keyPrefix, publisher, subscriber, doneWatchdogIntervalMs: 50 }).resumeExistingStream(
        's',
      ),
    )
    source.write('1')
    assert.equal(await resumed.next(), '1')
    await publisher.set(`${keyPrefix}:rs:sentinel:s`, 'DONE', { EX: 60 })
    assert.equal(await resumed.rest(), '')
    source.close()
  })
})

describe('resumable-stream, relayed', () => {
  test('the mark of a running stream is renewed, and expires soon after its process', async (t) => {
    mock.timers.enable({ apis: ['setInterval'] })
    t.after(() => mock.timers.reset())
    const pubsub = new LocalPubSub()
    /** @type {[string, string, number | undefined][]} */
    const marks = []
    const set = async (
      /** @type {string} */ key,
      /** @type {string} */ value,
      /** @type {any} */ options,
    ) => {
      marks.push([key, value, options?.EX])
    }
    const ctx = createResumableStreamContext({
      waitUntil: null,
      ttlSeconds: 77,
      publisher: { ...pubsub, set },
      subscriber: pubsub,
    })
    const source = new HandSource()
    const stream = await ctx.createNewResumableStream('s', source.make)
    mock.timers.tick(40_000)
    source.close()
    await textOf(stream)
    const key = 'resumable-stream:rs:sentinel:s'
    assert.deepEqual(marks, [...Array(3).fill([key, '1', 60]), [key, 'DONE', 77]])
    mock.timers.tick(40_000)
    assert.equal(marks.length, 4)
  })

  test('a publisher that fails does not end the answer', async () => {
    const pubsub = new LocalPubSub()
    let isBroken = false
    const publish = async (/** @type {string} */ channel, /** @type {string} */ message) => {
      if (isBroken) throw new Error('no connection')
      return pubsub.publish(channel, message)
    }
    /** @type {Promise<unknown>[]} */
    const promises = []
    const waitUntil = (/** @type {Promise<unknown>} */ promise) => promises.push(promise)
    const ctx = createResumableStreamContext({
      waitUntil,
      publisher: { ...pubsub, publish },
      subscriber: pubsub,
    })
    const source = new HandSource()
    const stream = new TextReader(await ctx.createNewResumableStream('s', source.make))
    const resumed = await ctx.resumeExistingStream('s')
    isBroken = true
    source.write('1', '2').close()
    assert.equal(await stream.rest(), '12')
    await Promise.all(promises)
    await resumed?.cancel()
  })

  test('what a relay cannot do is refused', () => {
    const pubsub = new LocalPubSub()
    const options = { waitUntil: null, publisher: pubsub, subscriber: pubsub }
    assert.throws(() => createResumableStreamContext({ ...options, replayAfterDone: true }), {
      code: 'ERR_INVALID_ARGUMENT',
      field: 'options.replayAfterDone',
    })
    assert.throws(() => createResumableStreamContext({ ...options, ttlSeconds: 0 }), {
      field: 'options.ttlSeconds',
    })
  })
})
