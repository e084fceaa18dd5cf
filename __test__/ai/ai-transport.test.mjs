// `tidemark/ai`: the SDK's own chat on connections that are cut in every way, in `ai` 5, 6 and 7.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { TidemarkChatTransport } from 'tidemark/ai'
import { chatRoutes } from 'tidemark/next'
import { alsoWithAi7, loadSdk, openChat, textOf, userMessage, VERSIONS } from '../support/ai.mjs'
import { bundled } from '../support/bundle.mjs'
import { answering, CHUNKS, serveChat as serve, TEXT, WORDS } from '../support/chat-server.mjs'
import { gate } from '../support/gate.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const owner = 'ann'
/** What a message is made of, without what differs in each one. @param {any} message */
const partsOf = (message) => message.parts.filter((/** @type {any} */ part) => part.type !== 'step-start')

eachStore('ai transport', (store) => {
  const open = useEngines(store)
  const routesOf = (/** @type {any} */ generate, /** @type {object} */ options = {}) =>
    chatRoutes({ engine: open(), authorize: () => owner, generate, ...options })

  for (const version of VERSIONS) {
    // All at once: they wait most of the time.
    describe(`ai ${version}`, { concurrency: true }, () => {
      /** The message that a chat makes whose connection lasts. @param {import('node:test').TestContext} t @param {any} sdk */
      async function whole(t, sdk) {
        const { api } = await serve(t, routesOf(answering({ pauseMs: 0 }).generate))
        const chat = openChat(sdk, { id: randomUUID(), transport: new TidemarkChatTransport({ api }) })
        await chat.sendMessage(userMessage('hello'))
        assert.equal(chat.status, 'ready')
        assert.equal(textOf(chat.messages[1]), TEXT)
        return partsOf(chat.messages[1])
      }

      for (const how of /** @type {const} */ (['reset', 'end', 'silence'])) {
        test(`an answer whose connections end again and again (${how}) goes on, and the chat does not notice`, async (t) => {
          const id = randomUUID()
          const sdk = await loadSdk(version)
          const expected = await whole(t, sdk)
          const random = createRandom(version)
          const { generate, calls } = answering()
          // Anywhere: within a character, a line or an event, and at once.
          const cuts = how === 'silence' ? 4 : 50
          let count = 0
          const { api, requests } = await serve(t, routesOf(generate), () =>
            count++ < cuts ? { after: random.int(1, how === 'silence' ? 2_500 : 400), how } : undefined,
          )
          const connections = /** @type {string[]} */ ([])
          const transport = new TidemarkChatTransport({
            api,
            silenceMs: 1_000,
            maxRetryMs: 20,
            onConnection: (connection) => connections.push(connection),
          })
          const errors = /** @type {unknown[]} */ ([])
          const chat = openChat(sdk, {
            id,
            transport,
            onError: (/** @type {unknown} */ error) => errors.push(error),
          })
          await chat.sendMessage(userMessage('hello'))
          assert.deepEqual(errors, [])
          assert.equal(chat.status, 'ready')
          assert.equal(chat.messages.length, 2)
          assert.deepEqual(partsOf(chat.messages[1]), expected)
          assert.equal(calls(), 1, 'the model was called once')
          assert.ok(requests.length > (how === 'silence' ? 1 : 3), `${requests.length} requests`)
          assert.equal(connections[0], 'reconnecting')
          assert.ok(connections.includes('connected'))
          // A page that is loaded now, and knows the question, has it all.
          const late = openChat(sdk, {
            id,
            messages: [userMessage('hello')],
            transport: new TidemarkChatTransport({ api, after: 'user-hello', silenceMs: 1_000 }),
          })
          await late.resumeStream()
          assert.deepEqual(partsOf(late.messages[1]), expected)
        })
      }

      test('connections that end after one chunk each, or a few, get further each time', async (t) => {
        const sdk = await loadSdk(version)
        const expected = await whole(t, sdk)
        for (const [events, how] of /** @type {const} */ ([
          // The first event of a response that resumes is how long to wait.
          [2, 'end'],
          [3, 'end'],
          [7, 'end'],
        ])) {
          const { api, requests } = await serve(t, routesOf(answering({ pauseMs: 1 }).generate), () => ({
            events,
            how,
          }))
          const chat = openChat(sdk, {
            id: randomUUID(),
            transport: new TidemarkChatTransport({ api, maxRetryMs: 5 }),
          })
          await chat.sendMessage(userMessage('hello'))
          assert.equal(chat.status, 'ready')
          assert.deepEqual(partsOf(chat.messages[1]), expected)
          assert.ok(requests.length > CHUNKS.length / events / 2 - 1, `${requests.length} requests`)
        }
      })

      test('a POST whose response never arrives, nor do the next ones: its answer is found', async (t) => {
        const id = randomUUID()
        const sdk = await loadSdk(version)
        const expected = await whole(t, sdk)
        const { generate, calls } = answering()
        let count = 0
        const { api, requests } = await serve(t, routesOf(generate), () =>
          count++ < 3 ? { after: 0, how: 'reset' } : undefined,
        )
        const chat = openChat(sdk, { id, transport: new TidemarkChatTransport({ api }) })
        await chat.sendMessage(userMessage('hello'))
        assert.equal(chat.status, 'ready')
        assert.deepEqual(partsOf(chat.messages[1]), expected)
        assert.equal(calls(), 1)
        assert.equal(requests.length, 4)
      })

      test('a reload in mid-answer resumes in one piece, and goes on when that is cut', async (t) => {
        const id = randomUUID()
        const sdk = await loadSdk(version)
        const expected = await whole(t, sdk)
        const { opened, open: goOn } = gate()
        const { generate } = answering({ hold: () => opened })
        let gets = 0
        const { api } = await serve(t, routesOf(generate), (method) =>
          method === 'GET' && gets++ < 3 ? { after: 900, how: 'end' } : undefined,
        )
        const first = openChat(sdk, { id, transport: new TidemarkChatTransport({ api }) })
        const asked = first.sendMessage(userMessage('hello'))
        await until(() => textOf(first.messages[1]).length > 50)
        const second = openChat(sdk, {
          id,
          messages: [userMessage('hello')],
          transport: new TidemarkChatTransport({ api, maxRetryMs: 20 }),
        })
        const resumed = second.resumeStream()
        await until(() => gets > 0)
        goOn()
        await Promise.all([asked, resumed])
        for (const chat of [first, second]) {
          assert.equal(chat.status, 'ready')
          assert.deepEqual(partsOf(chat.messages[1]), expected)
        }
        assert.ok(gets >= 3)
        assert.equal(await new TidemarkChatTransport({ api }).reconnectToStream({ chatId: id }), null)
      })

      test('G6 stop ends the model call, and every tab keeps what there is; leaving stops nothing', async (t) => {
        const id = randomUUID()
        const sdk = await loadSdk(version)
        const { generate, signals } = answering({ pauseMs: (call) => (call === 1 ? 100 : 1) })
        const { api } = await serve(t, routesOf(generate))
        const transport = new TidemarkChatTransport({ api })
        const tabs = [0, 1].map(() => openChat(sdk, { id, messages: [], transport }))
        const [first, second] = tabs
        const asked = first.sendMessage(userMessage('hello'))
        await until(() => first.messages[1]?.parts.length > 0)
        const following = second.resumeStream()
        await until(() => second.messages.at(-1)?.parts.length > 0)
        await first.stop()
        await asked
        assert.equal(signals[0]?.aborted, false, 'the hook’s own stop only leaves')
        const again = first.resumeStream()
        assert.equal(await transport.stop(id), 'stopping')
        await Promise.all([following, again])
        assert.equal(signals[0]?.aborted, true)
        for (const chat of tabs) assert.equal(chat.status, 'ready')
        assert.equal(await transport.stop(id), 'ended')
        await first.sendMessage(userMessage('again'))
        assert.equal(textOf(first.messages.at(-1)), TEXT, 'a message right after a stop just works')
      })

      test('G6 after a Stop nothing is sent automatically', async (t) => {
        const id = randomUUID()
        const sdk = await loadSdk(version)
        let calls = 0
        const { api } = await serve(
          t,
          routesOf(async function* (/** @type {any} */ { signal, messageId }) {
            calls++
            yield { type: 'start', messageId }
            yield { type: 'start-step' }
            yield { type: 'tool-input-available', toolCallId: 'c', toolName: 'tide', input: {} }
            yield { type: 'tool-output-available', toolCallId: 'c', output: { height: 3 } }
            await new Promise((resolve) => signal.addEventListener('abort', resolve))
          }),
        )
        const transport = new TidemarkChatTransport({ api })
        const ends = /** @type {any[]} */ ([])
        const chat = openChat(sdk, {
          id,
          transport,
          sendAutomaticallyWhen: sdk.lastAssistantMessageIsCompleteWithToolCalls,
          onFinish: (/** @type {any} */ end) => ends.push(end),
        })
        const asked = chat.sendMessage(userMessage('hello'))
        await until(() => chat.messages[1]?.parts.at(-1)?.state === 'output-available')
        assert.equal(await transport.stop(id), 'stopping')
        await asked
        assert.deepEqual([chat.status, calls, ends.length], ['ready', 1, 1])
        assert.deepEqual([ends[0].isAbort, ends[0].isError], [true, false])
      })

      test('a file of megabytes and what follows it come whole through cuts, for the one who asks and who resumes', async (t) => {
        const id = randomUUID()
        const sdk = await loadSdk(version)
        const url = `data:image/png;base64,${'A'.repeat(2_000_000)}`
        let cuts = 0
        const { api } = await serve(
          t,
          routesOf(async function* (/** @type {any} */ { messageId }) {
            yield { type: 'start', messageId }
            yield { type: 'text-start', id: 't' }
            yield { type: 'text-delta', id: 't', delta: 'Here it is: ' }
            yield { type: 'text-end', id: 't' }
            yield { type: 'file', url, mediaType: 'image/png' }
            yield { type: 'data-note', data: { seen: true } }
            yield { type: 'text-start', id: 'u' }
            yield { type: 'text-delta', id: 'u', delta: 'Enjoy.' }
            yield { type: 'text-end', id: 'u' }
            yield { type: 'finish' }
          }),
          () => (cuts++ % 3 < 2 ? { after: 700_000 * (1 + (cuts % 2)), how: 'reset' } : undefined),
        )
        const chat = openChat(sdk, { id, transport: new TidemarkChatTransport({ api, maxRetryMs: 20 }) })
        await chat.sendMessage(userMessage('hello'))
        const late = openChat(sdk, {
          id,
          messages: [userMessage('hello')],
          transport: new TidemarkChatTransport({ api, maxRetryMs: 20, after: 'user-hello' }),
        })
        await late.resumeStream()
        for (const { status, messages } of [chat, late]) {
          assert.equal(status, 'ready')
          assert.equal(textOf(messages[1]), 'Here it is: Enjoy.')
          const file = messages[1].parts.filter((/** @type {any} */ { type }) => type === 'file')
          assert.deepEqual([file.length, file[0].url === url], [1, true])
          assert.deepEqual(
            messages[1].parts.find((/** @type {any} */ { type }) => type === 'data-note')?.data,
            { seen: true },
          )
        }
      })

      test('a page that has the message that is continued, in whatever state, resumes it with each part once', async (t) => {
        const id = randomUUID()
        const sdk = await loadSdk(version)
        const { opened, open: goOn } = gate()
        const { api, requests } = await serve(
          t,
          routesOf(
            async function* (/** @type {any} */ { messageId }) {
              yield { type: 'start', messageId }
              yield { type: 'tool-output-available', toolCallId: 'c', output: 'sent' }
              yield { type: 'start-step' }
              yield { type: 'text-start', id: 't' }
              for (const delta of WORDS.slice(0, 5)) yield { type: 'text-delta', id: 't', delta }
              await opened
              for (const delta of WORDS.slice(5, 20)) yield { type: 'text-delta', id: 't', delta }
              yield { type: 'text-end', id: 't' }
              yield { type: 'finish' }
            },
            { aiVersion: version },
          ),
        )
        const approval = { id: 'a', approved: true }
        const tool = { type: 'tool-mail', toolCallId: 'c', state: 'approval-responded', input: {}, approval }
        const called = { type: 'tool-mail', toolCallId: 'c', state: 'input-available', input: {} }
        const messages = [
          userMessage('mail'),
          { id: 'a1', role: 'assistant', parts: [{ type: 'step-start' }, version > 5 ? tool : called] },
        ]
        const open = () => openChat(sdk, { id, messages, transport: new TidemarkChatTransport({ api }) })
        const [asking, resuming] = [open(), open()]
        const asked = asking.sendMessage()
        await until(() => textOf(asking.messages[1]).length > 10)
        const resumed = resuming.resumeStream()
        await until(() => requests.some((request) => request.startsWith('GET')))
        goOn()
        await Promise.all([resumed, asked])
        for (const chat of [asking, resuming]) {
          assert.deepEqual([chat.status, chat.messages.length], ['ready', 2])
          assert.deepEqual(
            partsOf(chat.messages[1]).map((/** @type {any} */ { type, state }) => [type, state]),
            [
              ['tool-mail', 'output-available'],
              ['text', 'done'],
            ],
          )
          assert.equal(textOf(chat.messages[1]), WORDS.slice(0, 20).join(''))
        }
      })

      test('whileBusy: refused, queued, or instead of the answer that is under way', async (t) => {
        const id = randomUUID()
        const sdk = await loadSdk(version)
        const gates = [gate(), gate(), gate(), gate()]
        const { generate, calls, signals } = answering({ hold: (call) => gates[call - 1]?.opened })
        const { api } = await serve(t, routesOf(generate))
        const chat = (/** @type {any} */ whileBusy) => {
          const errors = /** @type {any[]} */ ([])
          const opened = openChat(sdk, {
            id,
            transport: new TidemarkChatTransport({ api, whileBusy }),
            onError: (/** @type {any} */ error) => errors.push(error),
          })
          return { opened, errors }
        }
        const asking = chat(undefined).opened
        const asked = asking.sendMessage(userMessage('hello'))
        await until(() => asking.messages[1]?.parts.length > 0)
        const refused = chat(undefined)
        await refused.opened.sendMessage(userMessage('at once'))
        assert.deepEqual([refused.errors[0]?.code, refused.errors[0]?.status], ['ERR_ACTIVE', 409])
        const queued = chat('queue').opened
        const waiting = queued.sendMessage(userMessage('then'))
        for (const { open: goOn } of gates.slice(0, 2)) goOn()
        await Promise.all([waiting, asked])
        assert.equal(textOf(asking.messages[1]), TEXT, 'it was not disturbed')
        assert.equal(textOf(queued.messages[1]), TEXT)
        const long = asking.sendMessage(userMessage('once more'))
        await until(() => calls() === 3)
        const interrupting = chat('interrupt').opened
        const instead = interrupting.sendMessage(userMessage('instead'))
        await until(() => signals[2]?.aborted)
        for (const { open: goOn } of gates) goOn()
        await Promise.all([instead, long])
        assert.equal(textOf(interrupting.messages[1]), TEXT)
      })

      test('an answer that has ended badly is an error, in the words that the routes have for it', async (t) => {
        const id = randomUUID()
        const sdk = await loadSdk(version)
        const { api } = await serve(
          t,
          routesOf(
            async function* () {
              yield* CHUNKS.slice(0, 5)
              throw new Error('secret')
            },
            { onError: () => 'The model is away.' },
          ),
        )
        const chat = openChat(sdk, { id, transport: new TidemarkChatTransport({ api }) })
        await chat.sendMessage(userMessage('hello'))
        assert.equal(chat.status, 'error')
        assert.equal(chat.error?.message, 'The model is away.')
        const [locked, gone] = await Promise.all([
          serve(t, chatRoutes({ engine: open(), authorize: () => null, generate: answering().generate })),
          serve(t, routesOf(answering().generate)),
        ])
        const foreign = openChat(sdk, {
          id: randomUUID(),
          transport: new TidemarkChatTransport({ api: locked.api }),
        })
        await foreign.sendMessage(userMessage('hello'))
        assert.deepEqual([foreign.error?.code, foreign.error?.status], ['ERR_FORBIDDEN', 403])
        assert.equal(
          await new TidemarkChatTransport({ api: gone.api }).reconnectToStream({ chatId: id }),
          null,
        )
      })
    })
  }

  test('a resumed response that falls silent is left, and the answer goes on', async (t) => {
    const id = randomUUID()
    const { generate } = answering({ pauseMs: 2 })
    let gets = 0
    const { api } = await serve(t, routesOf(generate), (method) =>
      method === 'GET' && gets++ === 0 ? { after: 300, how: 'silence' } : undefined,
    )
    const transport = new TidemarkChatTransport({ api, silenceMs: 500 })
    const request = { chatId: id, messages: [userMessage('hello')], trigger: 'submit-message' }
    await (await transport.sendMessages(request)).cancel()
    const resumed = await transport.reconnectToStream({ chatId: id })
    let text = ''
    const reading = (async () => {
      for await (const { type, delta } of /** @type {any} */ (resumed))
        if (type === 'text-delta') text += delta
    })()
    await deadline(reading, 20_000, 'the end of the answer')
    assert.equal(text, TEXT)
    assert.equal(gets, 2)
  })

  test('headers, credentials, body and the SDK’s prepare functions reach every request', async (t) => {
    const id = randomUUID()
    const { generate } = answering({ pauseMs: 0 })
    const { api, origin } = await serve(t, routesOf(generate))
    const seen = /** @type {any[]} */ ([])
    let token = 0
    const transport = new TidemarkChatTransport({
      api,
      headers: async () => ({ authorization: `token ${++token}` }),
      credentials: 'include',
      body: { model: 'small' },
      fetch: (url, init) => {
        seen.push({ url: String(url), init })
        return fetch(url, init)
      },
    })
    const request = {
      chatId: id,
      messages: [userMessage('hello')],
      trigger: 'submit-message',
      body: { extra: 1 },
    }
    for await (const _ of await transport.sendMessages({ ...request, headers: { 'x-one': '1' } })) {
      // Read to its end.
    }
    assert.deepEqual(JSON.parse(seen[0].init.body), {
      model: 'small',
      extra: 1,
      id,
      messages: request.messages,
      trigger: 'submit-message',
    })
    const headers = new Headers(seen[0].init.headers)
    assert.deepEqual(
      ['authorization', 'x-one', 'content-type'].map((name) => headers.get(name)),
      ['token 1', '1', 'application/json'],
    )
    assert.equal(seen[0].init.credentials, 'include')
    const prepared = new TidemarkChatTransport({
      api: '/nowhere',
      prepareSendMessagesRequest: ({ id, messages }) => ({ api, body: { id, message: messages.at(-1) } }),
      prepareReconnectToStreamRequest: ({ id }) => ({
        api: `${origin}/api/chat/${id}/stream?after=user-hello`,
      }),
    })
    for await (const _ of await prepared.sendMessages(request)) {
      // Read to its end.
    }
    assert.notEqual(await prepared.reconnectToStream({ chatId: id }), null)
    await transport.reconnectToStream({ chatId: id })
    for (const { init } of seen) assert.equal(init.cache, 'no-store')
    assert.ok(seen.length > 1)
  })
})

test('it takes less than 5 kB in a bundle, compressed, and imports nothing', async () => {
  const { code, size } = await bundled('ai')
  assert.doesNotMatch(code, /\bimport\b|require\(/)
  assert.ok(size < 5_000, `${size} bytes`)
})

alsoWithAi7(import.meta.url)
