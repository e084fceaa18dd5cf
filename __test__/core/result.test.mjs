// The end of a generation waited for: its whole text, and how it ended.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alsoWithAi7, loadSdk, VERSIONS } from '../support/ai.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/** @param {string} code */
const withCode = (code) => (/** @type {any} */ error) => {
  assert.equal(error.code, code, String(error.stack))
  assert.match(error.stack, /result\.test\.mjs/)
  return true
}

eachStore('text and result', (store) => {
  const open = useEngines(store)

  test('the whole text, for who comes before the start, in the middle, and after the end', async () => {
    const [writer, other] = [open(), open()]
    const early = other.text('whole')
    const producer = await writer.produce('whole')
    producer.write('Tides ')
    await producer.append('remember')
    const middle = other.text('whole')
    producer.write('.')
    await producer.complete()
    assert.equal(await early, 'Tides remember.')
    assert.equal(await middle, 'Tides remember.')
    assert.equal(await other.text('whole'), 'Tides remember.')
  })

  test('G5 each outcome: text throws what a loop throws, result tells it with what there is', async () => {
    const engine = open({ lease: '1s' })
    for (const outcome of /** @type {const} */ (['complete', 'stopped', 'failed', 'interrupted'])) {
      const producer = await engine.produce(outcome)
      const cursor = await producer.append('so far')
      if (outcome === 'complete') await producer.complete()
      if (outcome === 'failed') await producer.fail(new Error('no more tokens'))
      if (outcome === 'stopped') {
        await engine.stop(outcome, { reason: 'enough' })
        await producer.complete()
      }
      if (outcome === 'interrupted')
        await (await engine.produce(outcome, { ifActive: 'takeover' })).complete()
      const from = outcome === 'interrupted' ? `${producer.generation}.0` : undefined
      const result = await engine.result(outcome, { from, timeout: '10s' })
      const reason = {
        complete: undefined,
        stopped: 'enough',
        failed: 'no more tokens',
        interrupted: 'superseded',
      }[outcome]
      const { chunks, ...rest } = result
      assert.deepEqual(rest, { outcome, reason, cursor, text: 'so far', message: undefined })
      assert.equal(chunks.length, 1)
      assert.equal(chunks[0]?.cursor, cursor)
      const text = engine.text(outcome, { from, timeout: '10s' })
      if (outcome === 'complete' || outcome === 'stopped') assert.equal(await text, 'so far')
      else await assert.rejects(text, withCode(outcome === 'failed' ? 'ERR_FAILED' : 'ERR_INTERRUPTED'))
    }
  })

  test('bytes are one text, wherever they are cut', async () => {
    const engine = open()
    const producer = await engine.produce('bytes')
    for (const byte of new TextEncoder().encode('žluťoučký 🐎')) producer.write(Uint8Array.of(byte))
    producer.write(' and text ')
    producer.write(Uint8Array.of(0xf0, 0x9f))
    producer.write('!')
    await producer.complete()
    assert.equal(await engine.text('bytes'), 'žluťoučký 🐎 and text \ufffd!')
  })

  test('an empty answer, and one from a cursor on', async () => {
    const engine = open()
    await (await engine.produce('empty')).complete()
    assert.equal(await engine.text('empty'), '')
    assert.equal((await engine.result('empty')).cursor, undefined)
    const producer = await engine.produce('part')
    const cursor = await producer.append('one ')
    producer.write('two')
    await producer.complete()
    assert.equal(await engine.text('part', { from: cursor }), 'two')
  })

  test('a timeout and a signal give up, and nothing else ends for it', async () => {
    const engine = open()
    const producer = await engine.produce('endless')
    producer.write('and on')
    await assert.rejects(engine.text('endless', { timeout: 50 }), withCode('ERR_TIMEOUT'))
    await assert.rejects(engine.result('missing', { timeout: 50 }), withCode('ERR_TIMEOUT'))
    const controller = new AbortController()
    const reason = new Error('the worker ends')
    const text = engine.text('endless', { signal: controller.signal })
    controller.abort(reason)
    await assert.rejects(text, (error) => error === reason)
    await assert.rejects(engine.text('endless', { signal: controller.signal }), (error) => error === reason)
    await until(() => engine.metrics().readers === 0, { message: 'nobody reads' })
    assert.equal(producer.signal.aborted, false)
    await producer.complete()
    assert.equal(await engine.text('endless', { timeout: '5s' }), 'and on')
  })

  test('G10 what cannot be had is said, by both', async () => {
    const engine = open()
    await (await engine.produce('private', { owner: 'ada' })).complete()
    for (const method of /** @type {const} */ (['text', 'result'])) {
      await assert.rejects(engine[method]('missing', { wait: 0 }), withCode('ERR_NOT_FOUND'))
      await assert.rejects(engine[method]('private', { owner: 'bob' }), withCode('ERR_FORBIDDEN'))
      await assert.rejects(
        engine[method]('private', { timeout: /** @type {any} */ (0) }),
        withCode('ERR_INVALID_ARGUMENT'),
      )
    }
    assert.equal(await engine.text('private', { owner: 'ada' }), '')
  })

  test('what a reducer throws is thrown, and one that has enough ends nothing', async () => {
    const engine = open()
    const producer = await engine.produce('reduced')
    producer.write('{"n":1}')
    producer.write('{"n":2}')
    await producer.complete()
    const thrown = new Error('no')
    async function* throwing() {
      yield 1
      throw thrown
    }
    await assert.rejects(engine.result('reduced', { reduce: throwing }), (error) => error === thrown)
    /** @param {ReadableStream<any>} stream */
    async function* first(stream) {
      for await (const { n } of stream) return void (yield n)
    }
    const { message, chunks } = await engine.result('reduced', { reduce: first })
    assert.equal(message, 1)
    assert.equal(chunks.length, 2)
    // An error of ours is not hidden by what the reducer makes of it.
    /** @param {ReadableStream<any>} stream */
    async function* wrapping(stream) {
      yield 0
      try {
        for await (const _ of stream);
      } catch {
        throw new Error('something')
      }
    }
    const asked = engine.result('no such', { wait: 0, reduce: wrapping })
    await assert.rejects(asked, withCode('ERR_NOT_FOUND'))
  })
})

for (const version of VERSIONS) {
  eachStore(`ai ${version}: a message as a whole`, (store) => {
    const open = useEngines(store)

    test('the text of its text parts, and the message that the SDK makes of it', async () => {
      const sdk = await loadSdk(version)
      const engine = open()
      const chunks = [
        { type: 'start', messageId: 'm1' },
        { type: 'start-step' },
        { type: 'reasoning-start', id: 'r' },
        { type: 'reasoning-delta', id: 'r', delta: 'Let me see.' },
        { type: 'reasoning-end', id: 'r' },
        { type: 'text-start', id: 't' },
        { type: 'text-delta', id: 't', delta: 'Hello, ' },
        { type: 'text-delta', id: 't', delta: 'you' },
        { type: 'text-end', id: 't' },
        { type: 'finish-step' },
        { type: 'finish' },
      ]
      const producer = await engine.produce('message')
      for (const chunk of chunks) producer.write(JSON.stringify(chunk))
      const asked = engine.result('message', {
        format: 'ui-messages',
        reduce: (stream) => /** @type {AsyncIterable<any>} */ (sdk.readUIMessageStream({ stream })),
      })
      await producer.fail(new Error('cut'))
      const { outcome, reason, text, message } = await asked
      assert.deepEqual([outcome, reason, text], ['failed', 'cut', 'Hello, you'])
      assert.equal(message.id, 'm1')
      const texts = message.parts.filter((/** @type {any} */ { type }) => type === 'text')
      assert.deepEqual(
        texts.map((/** @type {any} */ { text }) => text),
        ['Hello, you'],
      )
    })
  })
}

alsoWithAi7(import.meta.url)
