// `tidemark/next` with the AI SDK in each version, against web requests and responses.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { beforeEach, describe, test } from 'node:test'
import { chatRoutes, consumeSseStream, resumeResponse, stopResponse } from 'tidemark/next'
import { alsoWithAi7, loadSdk, MessageReader, userMessage, VERSIONS, wordModel } from '../support/ai.mjs'
import { eachStore } from '../support/stores.mjs'
import { texts, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const WORDS = texts(200, 'word')
const TEXT = WORDS.join('')
const HALF = WORDS.slice(0, 100).join('')

eachStore('next', (store) => {
  for (const version of VERSIONS) {
    describe(`ai ${version}`, () => {
      const open = useEngines(store)
      let id = ''
      beforeEach(() => {
        id = randomUUID()
      })

      /** Routes on a server of their own. @param {Record<string, any>} [options] */
      async function serve({ model = wordModel(version, WORDS).model, engine = open(), ...options } = {}) {
        const sdk = await loadSdk(version)
        const routes = chatRoutes({
          engine,
          authorize: (request) => request.headers.get('x-user'),
          generate: async ({ messages, signal }) =>
            sdk.streamText({
              model,
              messages: await sdk.convertToModelMessages(messages),
              abortSignal: signal,
              onError() {},
            }),
          ...options,
        })
        return { engine, sdk, ...client(routes), follow: (response) => new MessageReader(sdk, response) }
      }

      test('every client gets the answer, whenever and wherever it comes', async () => {
        const { model, calls } = wordModel(version, WORDS, { pauseAfter: 100 })
        const [here, there] = [await serve({ model }), await serve()]
        const first = here.follow(await here.post(id))
        await until(() => first.text === HALF)
        const second = there.follow(await there.get(id))
        await until(() => second.text === HALF)
        calls[0].allow(WORDS.length)
        for (const { text, message } of [await first.end(), await second.end()]) {
          assert.equal(text, TEXT)
          assert.equal(message.id, first.message.id)
          assert.equal(message.parts.find((part) => part.type === 'reasoning').text, 'Let me see. ')
        }
        assert.equal(calls.length, 1)
        assert.equal((await there.get(id)).status, 204)
      })

      test('G6 Stop on one server ends the model call on another, and the partial answer is kept', async () => {
        const ended = []
        const { model, calls } = wordModel(version, WORDS, { pauseAfter: 100 })
        const generate = async ({ messages, signal, messageId }) =>
          (await loadSdk(version))
            .streamText({
              model,
              messages: await here.sdk.convertToModelMessages(messages),
              abortSignal: signal,
            })
            .toUIMessageStream({
              originalMessages: messages,
              generateMessageId: () => messageId,
              onFinish: ({ isAborted, responseMessage }) => ended.push([isAborted, responseMessage.id]),
            })
        const [here, there] = [await serve({ generate }), await serve()]
        const first = here.follow(await here.post(id))
        const second = there.follow(await there.get(id))
        await until(() => first.text === HALF && second.text === HALF)
        assert.deepEqual(await (await there.stop(id)).json(), { result: 'stopping' })
        for (const reader of [await first.end(), await second.end()]) {
          assert.equal(reader.text, HALF)
          assert.equal(reader.chunks.at(-1).type, 'abort')
          assert.equal(reader.error, undefined)
        }
        assert.equal(calls[0].aborted, true)
        assert.equal((await there.engine.status(id))?.state, 'stopped')
        const replay = await there.follow(await there.get(id, { query: '?after=user-hello' })).end()
        assert.equal(replay.text, HALF)
        await until(() => ended.length > 0, { message: "the SDK's own hook" })
        assert.deepEqual(ended, [[true, first.message.id]])
        assert.deepEqual(await (await there.stop(id)).json(), { result: 'ended' })
      })

      test('a stop that comes before the start: the model is not called', async () => {
        const { model, calls } = wordModel(version, WORDS)
        const here = await serve({ model })
        assert.deepEqual(await (await here.stop(id)).json(), { result: 'kept' })
        const reader = await here.follow(await here.post(id)).end()
        assert.deepEqual(reader.chunks, [{ type: 'abort' }])
        assert.equal(calls.length, 0)
      })

      test('a stop for which there was nothing is soon forgotten', {
        skip: store.kind !== 'redis',
      }, async () => {
        const here = await serve()
        assert.deepEqual(await (await here.stop(id)).json(), { result: 'kept' })
        const { admin } = store.redis
        const [, [key]] = await admin.cmd('SCAN', '0', 'MATCH', `*${id}}:meta`, 'COUNT', '100000')
        const left = await admin.cmd('PTTL', key)
        assert.ok(left > 0 && left <= 10_000, `${left} ms`)
      })

      test('a model that ignores its signal is left alone', async () => {
        const { model, calls } = wordModel(version, WORDS, { pauseAfter: 100, deaf: true })
        const here = await serve({ model })
        const reader = here.follow(await here.post(id))
        await until(() => reader.text === HALF)
        await here.stop(id)
        assert.equal((await reader.end()).text, HALF)
        calls[0].allow(WORDS.length)
      })

      test('a client that leaves stops nothing, and waitUntil waits for the end', async () => {
        const { model, calls } = wordModel(version, WORDS, { pauseAfter: 100 })
        let isDone = false
        const waitUntil = (done) =>
          done.then(() => {
            isDone = true
          })
        const here = await serve({ model, waitUntil })
        const response = await here.post(id)
        await until(() => calls[0]?.said === 100)
        await response.body.cancel()
        const second = here.follow(await here.get(id))
        await until(() => second.text === HALF)
        assert.equal(isDone, false)
        calls[0].allow(WORDS.length)
        assert.equal((await second.end()).text, TEXT)
        await until(() => isDone)
        assert.equal(calls[0].aborted, false)
      })

      test('G10 the id of a chat opens nothing to another user', async () => {
        const { model, calls } = wordModel(version, WORDS, { pauseAfter: 100 })
        const here = await serve({ model })
        const reader = here.follow(await here.post(id, { user: 'ann' }))
        await until(() => reader.text === HALF)
        for (const user of ['bob', null]) {
          for (const call of [here.get, here.stop, here.post]) {
            const response = await call(id, { user })
            assert.equal(response.status, 403)
            assert.equal((await response.json()).code, 'ERR_FORBIDDEN')
          }
        }
        assert.equal(calls.length, 1)
        assert.equal(calls[0].aborted, false)
        calls[0].allow(WORDS.length)
        assert.equal((await reader.end()).text, TEXT)
        assert.equal((await here.get(id, { user: 'bob', query: '?after=user-hello' })).status, 403)
      })

      test('a chat is answered once at a time, unless told otherwise', async () => {
        const { model, calls } = wordModel(version, WORDS, { pauseAfter: 100 })
        const here = await serve({ model })
        const there = await serve({ model, ifActive: 'takeover' })
        const first = here.follow(await here.post(id))
        await until(() => first.text === HALF)
        const refused = await here.post(id)
        assert.equal(refused.status, 409)
        assert.equal((await refused.json()).code, 'ERR_ACTIVE')
        const second = there.follow(await there.post(id))
        assert.match((await first.end()).error.message, /interrupted: superseded/)
        await until(() => calls.length === 2 && calls[0].aborted)
        calls[1].allow(WORDS.length)
        assert.equal((await second.end()).text, TEXT)
      })

      test('the answer that has just ended is there for who has only the question', async () => {
        const here = await serve()
        const { message } = await here.follow(await here.post(id)).end()
        const replay = await here.follow(await here.get(id, { query: '?after=user-hello' })).end()
        assert.deepEqual(replay.message, message)
        assert.equal((await here.get(id, { query: '?after=user-other' })).status, 204)
        assert.equal((await here.get(id)).status, 204)
      })

      test('a continued message keeps its id, and so does one that the SDK has named', async () => {
        const here = await serve()
        const messages = [
          userMessage('hello'),
          { id: 'half', role: 'assistant', parts: [{ type: 'text', text: 'x' }] },
        ]
        const { message } = await here.follow(await here.post(id, { messages })).end()
        assert.equal(message.id, 'half')
        const named = await serve({
          generate: ({ messageId }) => {
            assert.match(messageId, /^[0-9a-f-]{36}$/)
            return ReadableStream.from([{ type: 'start', messageId: 'mine' }, { type: 'finish' }])
          },
        })
        assert.equal((await named.follow(await named.post(`${id} named`)).end()).message.id, 'mine')
      })

      test('a failure of generate reaches every client, in the words of onError', async () => {
        const failure = new Error('key sk-123 is wrong')
        const seen = []
        const onError = (error) => {
          seen.push(error)
          return 'Sorry.'
        }
        const here = await serve({ generate: () => Promise.reject(failure), onError })
        assert.equal((await here.follow(await here.post(id)).end()).error.message, 'Sorry.')
        assert.deepEqual(seen, [failure])
        const replay = await here.follow(await here.get(id, { query: '?after=user-hello' })).end()
        assert.equal(replay.error.message, 'Sorry.')
        assert.equal((await here.engine.status(id))?.state, 'failed')
      })

      test('G10 what a model or a tool throws is told in the words of onError, now and later', async () => {
        const failure = new Error('401 from https://api.example.org: key sk-SECRET')
        const sdk = await loadSdk(version)
        const broken = wordModel(version, WORDS, { breaksWith: failure })
        const refused = { ...broken.model, doStream: () => Promise.reject(failure) }
        const calling = wordModel(version, WORDS, { calls: 'weather' })
        const weather = sdk.tool({
          inputSchema: sdk.jsonSchema({ type: 'object' }),
          execute: () => Promise.reject(failure),
        })
        for (const [name, model, kind] of [
          ['breaks', broken.model, 'error'],
          ['refuses', refused, 'error'],
          ['calls', calling.model, 'tool-output-error'],
        ]) {
          const seen = []
          const here = await serve({
            generate: async ({ messages, signal }) =>
              sdk.streamText({
                model,
                tools: { weather },
                maxRetries: 0,
                messages: await sdk.convertToModelMessages(messages),
                abortSignal: signal,
                onError() {},
              }),
            onError: (error) => `sorry ${seen.push(error)}`,
          })
          const chat = `${id} ${name}`
          const first = await here.follow(await here.post(chat)).end()
          const replay = await here.follow(await here.get(chat, { query: '?after=user-hello' })).end()
          for (const { chunks } of [first, replay]) {
            assert.doesNotMatch(JSON.stringify(chunks), /SECRET/)
            const told = chunks.filter(({ type }) => type === kind).map(({ errorText }) => errorText)
            assert.deepEqual(told, ['sorry 1'], name)
          }
          assert.deepEqual(seen, [failure], name)
        }
      })

      test('a picture of 2 MB is part of the answer, live and replayed, in its place', async () => {
        const url = `data:image/png;base64,${'iVBO'.repeat(500_000)}`
        const parts = () =>
          ReadableStream.from([
            { type: 'start', messageId: 'm' },
            { type: 'text-start', id: '1' },
            { type: 'text-delta', id: '1', delta: 'Here ' },
            { type: 'text-delta', id: '1', delta: 'it is: ' },
            { type: 'text-end', id: '1' },
            { type: 'file', mediaType: 'image/png', url },
            { type: 'text-start', id: '2' },
            { type: 'text-delta', id: '2', delta: 'Enjoy.' },
            { type: 'text-end', id: '2' },
            { type: 'finish' },
          ])
        const sdk = await loadSdk(version)
        const shown = ({ message: { id, parts } }) => [
          id,
          parts.map(({ type, text, url }) => [type, text ?? url?.length]),
        ]
        const expected = [
          'm',
          [
            ['text', 'Here it is: '],
            ['file', url.length],
            ['text', 'Enjoy.'],
          ],
        ]
        const [here, there] = [await serve({ generate: parts }), await serve()]
        assert.deepEqual(shown(await here.follow(await here.post(id)).end()), expected)
        for (const server of [here, there]) {
          const replay = await server.follow(await server.get(id, { query: '?after=user-hello' })).end()
          assert.deepEqual(shown(replay), expected)
          assert.equal(replay.error, undefined)
        }

        const engine = open()
        const own = `${id} own`
        const response = sdk.createUIMessageStreamResponse({
          stream: parts(),
          consumeSseStream: consumeSseStream(engine, own, {
            owner: 'ann',
            controller: new AbortController(),
          }),
        })
        assert.deepEqual(shown(await new MessageReader(sdk, response).end()), expected)
        await until(async () => (await engine.status(own))?.state === 'complete')
        const replay = await engine.respond(new Request('http://localhost'), own, {
          owner: 'ann',
          format: 'ui-messages',
        })
        assert.deepEqual(shown(await new MessageReader(sdk, replay).end()), expected)
      })

      test('consumeSseStream makes a route of your own resumable and stoppable', async () => {
        const { model, calls } = wordModel(version, WORDS, { pauseAfter: 100 })
        const sdk = await loadSdk(version)
        const engine = open()
        const controller = new AbortController()
        const answer = sdk.streamText({ model, prompt: 'hello', abortSignal: controller.signal })
        const response = answer.toUIMessageStreamResponse({
          originalMessages: [],
          generateMessageId: () => 'm',
          consumeSseStream: consumeSseStream(engine, 'own', { owner: 'ann', controller }),
        })
        const first = new MessageReader(sdk, response)
        await until(() => first.text === HALF)
        const there = open()
        const resumed = await resumeResponse(there, new Request('http://localhost'), 'own', { owner: 'ann' })
        const second = new MessageReader(sdk, resumed)
        await until(() => second.text === HALF)
        assert.equal(second.message.id, 'm')
        assert.equal((await stopResponse(there, 'own', { owner: 'bob' })).status, 403)
        await stopResponse(there, 'own', { owner: 'ann' })
        assert.equal((await first.end()).text, HALF)
        assert.equal((await second.end()).text, HALF)
        assert.equal(calls[0].aborted, true)
      })

      test('consumeSseStream: an answer that cannot be kept is sent all the same', async () => {
        const sdk = await loadSdk(version)
        const engine = open()
        await engine.produce('taken', { owner: 'ann' })
        const errors = []
        const { model } = wordModel(version, WORDS)
        const response = sdk.streamText({ model, prompt: 'hello' }).toUIMessageStreamResponse({
          consumeSseStream: consumeSseStream(engine, 'taken', {
            owner: 'ann',
            controller: new AbortController(),
            onError: (error) => errors.push(error.code),
          }),
        })
        assert.equal((await new MessageReader(sdk, response).end()).text, TEXT)
        await until(() => errors.length > 0)
        assert.deepEqual(errors, ['ERR_ACTIVE'])
      })
    })
  }
})

alsoWithAi7(import.meta.url)

/** @param {import('tidemark/next').ChatRoutes} routes */
function client(routes) {
  const url = (id, rest = '') => `http://localhost/api/chat/${id}${rest}`
  const context = (id) => ({ params: Promise.resolve({ id }) })
  const as = (user) => (user === null ? {} : { 'x-user': user })
  return {
    post: (id, { user = 'ann', messages = [userMessage('hello')], ...body } = {}) =>
      routes.POST(
        new Request(url(id), {
          method: 'POST',
          headers: as(user),
          body: JSON.stringify({ id, messages, trigger: 'submit-message', ...body }),
        }),
        context(id),
      ),
    get: (id, { user = 'ann', query = '' } = {}) =>
      routes.GET(new Request(url(id, `/stream${query}`), { headers: as(user) }), context(id)),
    stop: async (id, { user = 'ann' } = {}) =>
      routes.DELETE(new Request(url(id), { method: 'DELETE', headers: as(user) }), context(id)),
  }
}
