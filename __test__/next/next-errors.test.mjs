// What ends an answer badly is told to the application, once, and to clients in its words.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { chatRoutes, consumeSseStream, resumeResponse } from 'tidemark/next'
import { freePort } from '../support/free-port.mjs'
import { HandSource } from '../support/resumable.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const MASKED = 'An error occurred.'
const SECRET = '401 from https://api.example.org: key sk-SECRET'
const failure = new Error(SECRET)
const START = { type: 'start', messageId: 'm' }
const DELTA = { type: 'text-delta', id: 't', delta: 'half' }
/** @type {any} */
const circular = { type: 'data-x' }
circular.data = circular

async function* breaking() {
  yield START
  yield DELTA
  throw failure
}

/** Ways in which an answer fails, and the error where it is the application's own. @type {Record<string, [() => any, Error?]>} */
const FAILURES = {
  'generate throws': [
    () => {
      throw failure
    },
    failure,
  ],
  'generate rejects': [async () => Promise.reject(failure), failure],
  'an iterator throws': [breaking, failure],
  'a stream errors': [() => ReadableStream.from(breaking()), failure],
  'a result throws': [
    () => ({
      toUIMessageStream() {
        throw failure
      },
    }),
    failure,
  ],
  "a result's stream errors": [() => ({ toUIMessageStream: breaking }), failure],
  'no stream': [() => SECRET],
  'no chunk': [() => ReadableStream.from([START, SECRET])],
  'no JSON': [() => ReadableStream.from([START, circular])],
}

const post = () =>
  new Request('http://localhost/', {
    method: 'POST',
    body: JSON.stringify({ messages: [{ id: 'question', role: 'user', parts: [] }] }),
  })
const get = () => new Request('http://localhost/?after=question')

/** The error texts of a response's chunks. @param {Response} response */
async function errorsOf(response) {
  assert.equal(response.status, 200)
  const text = await response.text()
  assert.doesNotMatch(text, /SECRET|circular/i)
  assert.match(text, /data: \[DONE\]\n\n$/)
  const chunks = text.match(/^data: \{.*$/gm)?.map((line) => JSON.parse(line.slice(6))) ?? []
  return chunks.filter(({ type }) => type === 'error').map(({ errorText }) => errorText)
}

eachStore('next errors', (store) => {
  const open = useEngines(store)

  test('G10 every client, early and late, is told what onError says, and onError is asked once', async () => {
    const keyPrefix = store.prefix()
    const there = open({ keyPrefix })
    /** @type {import('tidemark/next').FinishedAnswer[]} */
    const finished = []
    for (const [id, [generate, error]] of Object.entries(FAILURES)) {
      /** @type {unknown[]} */
      const told = []
      const routes = chatRoutes({
        engine: open({ keyPrefix }),
        authorize: () => 'ann',
        generate,
        onError: (error) => `sorry ${told.push(error)}`,
        onFinish: (answer) => void finished.push(answer),
      })
      assert.deepEqual(await errorsOf(await routes.POST(post(), { params: { id } })), ['sorry 1'], id)
      assert.deepEqual(await errorsOf(await routes.GET(get(), { params: { id } })), ['sorry 1'], id)
      assert.deepEqual(await errorsOf(await resumeResponse(there, get(), id, { owner: 'ann' })), ['sorry 1'])
      const status = await there.status(id)
      assert.deepEqual([status?.state, status?.reason], ['failed', 'sorry 1'])
      await until(() => finished.some(({ chatId }) => chatId === id))
      assert.equal(finished.find(({ chatId }) => chatId === id)?.reason, 'sorry 1')
      assert.equal(told.length, 1, id)
      if (error) assert.equal(told[0], error)
    }
  })

  test('G10 by default the error is logged, and no client is told more than that there was one', async (t) => {
    const log = t.mock.method(console, 'error', () => {})
    for (const [id, [generate, error]] of Object.entries(FAILURES)) {
      log.mock.resetCalls()
      const { POST, GET } = chatRoutes({ engine: open(), authorize: () => 'ann', generate })
      assert.deepEqual(await errorsOf(await POST(post(), { params: { id } })), [MASKED])
      assert.deepEqual(await errorsOf(await GET(get(), { params: { id } })), [MASKED])
      await turn()
      assert.equal(log.mock.callCount(), 1)
      if (error) assert.equal(log.mock.calls[0]?.arguments[0], error)
    }
  })

  test('an onError that fails, or has no words, breaks nothing', async (t) => {
    t.mock.method(console, 'error', () => {})
    const bad = [
      () => {
        throw new Error('SECRET too')
      },
      async () => Promise.reject(new Error('SECRET too')),
      () => undefined,
      () => ({ toString: () => 'SECRET' }),
    ]
    for (const [index, onError] of bad.entries()) {
      const params = { id: `bad ${index}` }
      const { POST, GET } = chatRoutes({
        engine: open(),
        authorize: () => 'ann',
        generate: breaking,
        onError: /** @type {any} */ (onError),
      })
      assert.deepEqual(await errorsOf(await POST(post(), { params })), [MASKED])
      assert.deepEqual(await errorsOf(await GET(get(), { params })), [MASKED])
      await turn()
    }
  })

  test('what the SDK makes of its own errors is in the words of onError too', async () => {
    /** @type {unknown[]} */
    const told = []
    const { POST } = chatRoutes({
      engine: open(),
      authorize: () => 'ann',
      generate: () => ({
        async *toUIMessageStream({ onError }) {
          yield { type: 'error', errorText: onError(failure) }
        },
      }),
      onError: (error) => `sorry ${told.push(error)}`,
    })
    assert.deepEqual(await errorsOf(await POST(post(), { params: { id: 'sdk' } })), ['sorry 1'])
    assert.deepEqual(told, [failure])
  })

  test('Stop and a takeover are no errors', async () => {
    const engine = open()
    /** @param {{ signal: AbortSignal }} given */
    async function* waiting({ signal }) {
      yield START
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(failure)))
    }
    const onError = assert.fail
    const options = { engine, authorize: () => 'ann', generate: waiting, onError }
    const stopped = chatRoutes(options)
    const answer = await stopped.POST(post(), { params: { id: 'stopped' } })
    await until(async () => (await engine.status('stopped'))?.lastSeq === 1)
    await stopped.DELETE(post(), { params: { id: 'stopped' } })
    assert.deepEqual(await errorsOf(answer), [])
    const taking = chatRoutes({ ...options, ifActive: 'takeover' })
    const first = await taking.POST(post(), { params: { id: 'taken' } })
    await until(async () => (await engine.status('taken'))?.lastSeq === 1)
    const second = await taking.POST(post(), { params: { id: 'taken' } })
    assert.deepEqual(await errorsOf(first), ['interrupted: superseded'])
    await taking.DELETE(post(), { params: { id: 'taken' } })
    await errorsOf(second)
    await turn()
  })

  test('G10 consumeSseStream: a stream that breaks is told in the words of onError, once', async (t) => {
    const log = t.mock.method(console, 'error', () => {})
    for (const isDefault of [false, true]) {
      const [engine, id] = [open(), `consumed ${isDefault}`]
      /** @type {unknown[]} */
      const told = []
      const source = new HandSource().write(`data: ${JSON.stringify(DELTA)}\n\n`)
      const consumed = consumeSseStream(engine, id, {
        owner: 'ann',
        controller: new AbortController(),
        ...(isDefault ? {} : { onError: (error) => `sorry ${told.push(error)}` }),
      })({ stream: source.make() })
      await until(async () => (await engine.status(id))?.lastSeq === 1)
      const resumed = await resumeResponse(open(), get(), id, { owner: 'ann' })
      source.fail(failure)
      await consumed
      assert.deepEqual(await errorsOf(resumed), [isDefault ? MASKED : 'sorry 1'])
      assert.equal((await engine.status(id))?.reason, isDefault ? MASKED : 'sorry 1')
      assert.deepEqual(isDefault ? log.mock.calls.map((call) => call.arguments[0]) : told, [failure])
    }
  })
})

test('G10 without a store the client is told the same', async () => {
  const away = createEngine({ url: `redis://127.0.0.1:${await freePort()}`, connectTimeout: 10 })
  for (const [id, [generate, error]] of Object.entries(FAILURES)) {
    /** @type {unknown[]} */
    const told = []
    const { POST } = chatRoutes({
      engine: away,
      authorize: () => 'ann',
      generate,
      onError: (error) => `sorry ${told.push(error)}`,
    })
    assert.deepEqual(await errorsOf(await POST(post(), { params: { id } })), ['sorry 1'], id)
    assert.equal(told.length, 1)
    if (error) assert.equal(told[0], error)
  }
  await away.close()
})
