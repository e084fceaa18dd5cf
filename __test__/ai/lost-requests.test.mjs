// `tidemark/ai`: requests and responses that are lost at the worst moment: before the first chunk, with a Stop, while others ask.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { TidemarkChatTransport } from 'tidemark/ai'
import { chatRoutes } from 'tidemark/next'
import { alsoWithAi7, fetchOf, loadSdk, openChat, textOf, userMessage, VERSIONS } from '../support/ai.mjs'
import { answering, serveChat as serve, TEXT } from '../support/chat-server.mjs'
import { gate } from '../support/gate.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const owner = 'ann'
const NO_NETWORK = new TypeError('network error')

/** @param {any} stream */
async function chunksOf(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

eachStore('lost requests', (store) => {
  const open = useEngines(store)
  const routesOf = (/** @type {any} */ generate, /** @type {object} */ options = {}) =>
    chatRoutes({ engine: open(), authorize: () => owner, generate, ...options })

  /** A way to the routes on which every request arrives, and no POST gets its response. @param {import('tidemark/next').ChatRoutes} routes @returns {typeof fetch} */
  function answerless(routes) {
    const reach = fetchOf(routes)
    return async (url, init) => {
      const response = await reach(url, init)
      if (init?.method === 'POST') throw NO_NETWORK
      return response
    }
  }

  /** Asks for the rest of a message. @param {string} chatId */
  function continuing(chatId) {
    const parts = [{ type: 'text', text: 'Before.', state: 'done' }]
    const messages = [userMessage('one'), { id: 'a1', role: 'assistant', parts }]
    return { chatId, messages, trigger: 'submit-message' }
  }

  /** A way to the routes on which the requests get lost that `isLost` names. @param {import('tidemark/next').ChatRoutes} routes @param {(method: string) => boolean} isLost */
  function network(routes, isLost) {
    const requests = /** @type {string[]} */ ([])
    const reach = fetchOf(routes)
    const fetch = async (/** @type {any} */ url, /** @type {any} */ init = {}) => {
      const method = init.method ?? 'GET'
      requests.push(`${method} ${url}`)
      if (isLost(method)) throw NO_NETWORK
      return reach(url, init)
    }
    return { fetch: /** @type {typeof globalThis.fetch} */ (fetch), requests }
  }

  for (const version of VERSIONS) {
    describe(`ai ${version}`, () => {
      for (const [after, what] of /** @type {const} */ ([
        [0, 'no response'],
        [1, 'a response without a chunk'],
      ])) {
        test(`a message is continued, and the request gets ${what}: each part comes once`, async (t) => {
          const sdk = await loadSdk(version)
          let cuts = 0
          const { api, requests } = await serve(
            t,
            routesOf(
              async function* (/** @type {any} */ { messageId }) {
                // Streams that an application makes itself may have none.
                if (after === 0) yield { type: 'start', messageId }
                yield { type: 'tool-output-available', toolCallId: 'c', output: 'sent' }
                yield { type: 'start-step' }
                yield { type: 'text-start', id: 't' }
                yield { type: 'text-delta', id: 't', delta: 'Sent it.' }
                yield { type: 'text-end', id: 't' }
                yield { type: 'finish' }
              },
              { aiVersion: version },
            ),
            () => (cuts++ === 0 ? { after, how: 'reset' } : undefined),
          )
          const approval = { id: 'a', approved: true }
          const called = { type: 'tool-mail', toolCallId: 'c', input: {} }
          const parts = [
            { type: 'step-start' },
            { type: 'text', text: 'I write it. ', state: 'done' },
            version > 5
              ? { ...called, state: 'approval-responded', approval }
              : { ...called, state: 'input-available' },
          ]
          const chat = openChat(sdk, {
            id: randomUUID(),
            messages: [userMessage('mail'), { id: 'a1', role: 'assistant', parts }],
            transport: new TidemarkChatTransport({ api }),
          })
          await chat.sendMessage()
          assert.equal(chat.status, 'ready', String(chat.error))
          assert.deepEqual(
            chat.messages.map((/** @type {any} */ { id }) => id),
            ['user-mail', 'a1'],
          )
          assert.deepEqual(
            chat.messages[1].parts.map((/** @type {any} */ { type, state, text }) => text ?? state ?? type),
            ['step-start', 'I write it. ', 'output-available', 'step-start', 'Sent it.'],
          )
          assert.equal(requests.filter((request) => request.startsWith('POST')).length, 1)
        })
      }

      test('an answer that was asked for again by a request that never arrived is not the one before', async () => {
        const sdk = await loadSdk(version)
        let isAway = false
        const { fetch } = network(
          routesOf(answering({ pauseMs: 0 }).generate),
          (method) => isAway && method === 'POST',
        )
        const transport = new TidemarkChatTransport({ fetch })
        const chat = openChat(sdk, { id: randomUUID(), transport })
        await chat.sendMessage(userMessage('hello'))
        assert.equal(textOf(chat.messages[1]), TEXT)
        isAway = true
        await chat.regenerate()
        assert.deepEqual([chat.status, chat.error], ['error', NO_NETWORK])
        assert.equal(chat.messages.length, 1)
        isAway = false
        await chat.regenerate()
        assert.deepEqual([chat.status, textOf(chat.messages[1])], ['ready', TEXT])
      })
    })
  }

  test('a message that never arrived, while another is answered, is not answered by that', async () => {
    const id = randomUUID()
    const { opened, open: goOn } = gate()
    const routes = routesOf(answering({ pauseMs: 0, hold: () => opened }).generate)
    const asked = { chatId: id, messages: [userMessage('one')], trigger: 'submit-message' }
    const first = await new TidemarkChatTransport({ fetch: fetchOf(routes) }).sendMessages(asked)
    const { fetch } = network(routes, (method) => method === 'POST')
    const transport = new TidemarkChatTransport({ fetch, whileBusy: 'queue' })
    await assert.rejects(transport.sendMessages({ ...asked, messages: [userMessage('two')] }), NO_NETWORK)
    goOn()
    for await (const _ of /** @type {any} */ (first)) {
      // Read to its end.
    }
  })

  test('a request that the server is slow to answer, and whose connection is gone, is waited for', async () => {
    const { opened, open: goOn } = gate()
    const routes = routesOf(answering({ pauseMs: 0 }).generate, {
      authorize: async (/** @type {Request} */ { method }) => {
        if (method === 'POST') await opened
        return owner
      },
    })
    let gets = 0
    const reach = fetchOf(routes)
    const transport = new TidemarkChatTransport({
      fetch: async (url, init) => {
        const response = reach(url, init)
        if (init?.method === 'POST') throw NO_NETWORK
        // The first time nothing has begun yet.
        if (gets++ === 0) await response.then(goOn)
        return response
      },
    })
    const request = { chatId: randomUUID(), messages: [userMessage('one')], trigger: 'submit-message' }
    let text = ''
    for await (const chunk of /** @type {any} */ (await transport.sendMessages(request)))
      if (chunk.type === 'text-delta') text += chunk.delta
    assert.equal(text, TEXT)
    assert.ok(gets > 1)
  })

  test('G6 a Stop while the network is away for a moment stops; one that comes too late does not stop the next answer', async () => {
    const id = randomUUID()
    const { opened, open: goOn } = gate()
    const { generate, signals } = answering({ pauseMs: 0, hold: () => opened })
    let lost = 2
    const { fetch, requests } = network(routesOf(generate), (method) => method === 'DELETE' && lost-- > 0)
    const transport = new TidemarkChatTransport({ fetch })
    const ask = async (/** @type {string} */ what) => {
      const request = { chatId: id, messages: [userMessage(what)], trigger: 'submit-message' }
      const chunks = await transport.sendMessages(request)
      return chunks.pipeTo(new WritableStream()).then(
        () => 'finished',
        (error) => error.name,
      )
    }
    const first = ask('one')
    await until(() => signals.length === 1)
    assert.equal(await transport.stop(id), 'stopping')
    assert.equal(await first, 'AbortError')
    assert.equal(requests.filter((request) => request.startsWith('DELETE')).length, 3)

    lost = Number.POSITIVE_INFINITY
    const late = assert.rejects(transport.stop(id), NO_NETWORK)
    const second = ask('two')
    await until(() => signals.length === 2)
    lost = 0
    await late
    goOn()
    assert.equal(await second, 'finished')
    assert.equal(signals[1]?.aborted, false)
  })

  test('G6 a Stop that has arrived, and whose response is lost, stops nothing that comes later', async () => {
    for (const who of ['this tab, which waits', 'another tab']) {
      const id = randomUUID()
      const { opened, open: goOn } = gate()
      const { generate, signals } = answering({ pauseMs: 0, hold: () => opened })
      const routes = routesOf(generate)
      const reach = fetchOf(routes)
      const stops = /** @type {any[]} */ ([])
      let isBusy = false
      let later = () => {}
      const transport = new TidemarkChatTransport({
        whileBusy: 'queue',
        fetch: async (/** @type {any} */ url, init) => {
          const response = await reach(url, init)
          isBusy ||= response.status === 409
          if (init?.method !== 'DELETE') return response
          stops.push({ url, ...init })
          if (stops.length > 1) return response
          later()
          await until(() => signals.length === 2)
          throw NO_NETWORK
        },
      })
      const asked = (/** @type {string} */ what) => ({
        chatId: id,
        messages: [userMessage(what)],
        trigger: 'submit-message',
      })
      const elsewhere = new TidemarkChatTransport({ fetch: reach })
      const isOurs = who !== 'another tab'
      const first = (isOurs ? elsewhere : transport).sendMessages(asked('one'))
      const end = first.then((chunks) => chunks.pipeTo(new WritableStream())).catch(() => {})
      let second = /** @type {Promise<any> | undefined} */ (undefined)
      if (isOurs) {
        await until(() => signals.length === 1)
        second = transport.sendMessages(asked('two'))
        await until(() => isBusy)
        await assert.rejects(transport.stop(id), NO_NETWORK)
      } else {
        await until(() => transport.activityOf(id).generation !== '')
        later = () => {
          second = elsewhere.sendMessages(asked('two'))
        }
        assert.equal(await transport.stop(id), 'ended')
      }
      await end
      assert.equal(signals[0]?.aborted, true, who)
      goOn()
      await (await second)?.pipeTo(new WritableStream())
      assert.equal(signals[1]?.aborted, false, who)
      assert.equal(stops.length, isOurs ? 1 : 2)
      for (const { keepalive } of stops) assert.equal(keepalive, true, 'it outlives the page')
    }
  })

  for (const status of [0, 408, 502, 504]) {
    test(`an answer whose request says nothing of messages is found, and given whole, after ${status || 'no response'}`, async () => {
      const { opened, open: goOn } = gate()
      const chunks = [
        { type: 'start', messageId: 'a1' },
        { type: 'text-start', id: 't' },
        { type: 'text-delta', id: 't', delta: 'whole' },
        { type: 'text-end', id: 't' },
        { type: 'finish' },
      ]
      const reach = fetchOf(
        routesOf(async function* () {
          yield* chunks.slice(0, 3)
          await opened
          yield* chunks.slice(3)
        }),
      )
      const transport = new TidemarkChatTransport({
        prepareSendMessagesRequest: ({ id }) => ({ body: { id } }),
        fetch: async (url, init) => {
          const response = await reach(url, init)
          if (init?.method !== 'POST') return response
          if (status === 0) throw NO_NETWORK
          return new Response('a page of a proxy', { status })
        },
      })
      const stream = await transport.sendMessages({
        chatId: randomUUID(),
        messages: [userMessage('one'), { id: 'a1', role: 'assistant', parts: [] }],
        trigger: 'submit-message',
      })
      goOn()
      assert.deepEqual(await chunksOf(stream), chunks)
    })
  }

  test('an earlier message is continued, and the request gets no response: its answer is found, without what the page has', async () => {
    const own = [{ type: 'start', messageId: 'a1' }, { type: 'start-step' }, { type: 'finish' }]
    const reach = answerless(routesOf(() => ReadableStream.from(own)))
    const urls = /** @type {string[]} */ ([])
    const transport = new TidemarkChatTransport({
      fetch: (url, init) => {
        urls.push(String(url))
        return reach(url, init)
      },
    })
    const message = (/** @type {string} */ id) => ({
      id,
      role: 'assistant',
      parts: [{ type: 'text', text: `of ${id}`, state: 'done' }],
    })
    const stream = await transport.sendMessages({
      chatId: randomUUID(),
      messages: [userMessage('one'), message('a1'), userMessage('two'), message('a2')],
      trigger: 'submit-message',
      messageId: 'a1',
    })
    assert.deepEqual(await chunksOf(stream), own)
    assert.match(String(urls[1]), /after=a1/)
  })

  test('a continuation that adds nothing, and whose request got no response, repeats nothing', async () => {
    const transport = new TidemarkChatTransport({
      fetch: answerless(routesOf(() => ReadableStream.from([]))),
    })
    const stream = await transport.sendMessages(continuing(randomUUID()))
    assert.deepEqual(await chunksOf(stream), [{ type: 'start' }])
  })

  test('G6 a continuation that is stopped before it begins, and whose request got no response, repeats nothing', async () => {
    const id = randomUUID()
    const routes = routesOf(async function* (/** @type {any} */ { signal }) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    const transport = new TidemarkChatTransport({ fetch: answerless(routes) })
    const stream = await transport.sendMessages(continuing(id))
    const seen = /** @type {any[]} */ ([])
    const end = stream.pipeTo(new WritableStream({ write: (chunk) => void seen.push(chunk) }))
    assert.equal(await transport.stop(id), 'stopping')
    await assert.rejects(end, { name: 'AbortError' })
    assert.deepEqual(
      seen.filter(({ type }) => type !== 'abort'),
      [],
    )
  })
})

const REQUEST = { chatId: 'c', messages: [userMessage('one')], trigger: 'submit-message' }

test('what fails before anything is sent fails at once', async () => {
  const failure = new Error('no token')
  const fail = () => Promise.reject(failure)
  for (const options of [{ headers: fail }, { body: fail }, { prepareSendMessagesRequest: fail }]) {
    let requests = 0
    const fetch = async () => {
      requests++
      return new Response(null, { status: 204 })
    }
    await assert.rejects(new TidemarkChatTransport({ ...options, fetch }).sendMessages(REQUEST), failure)
    assert.equal(requests, 0)
  }
})

test('a refusal of a proxy is the error, if there is no answer after all', async () => {
  const fetch = async (/** @type {any} */ _, /** @type {any} */ init) =>
    new Response(null, { status: init?.method === 'POST' ? 502 : 403 })
  await assert.rejects(new TidemarkChatTransport({ fetch }).sendMessages(REQUEST), { status: 502 })
})

test('a request that is aborted while its answer is looked for is aborted', async () => {
  const controller = new AbortController()
  const fetch = async (/** @type {any} */ _, /** @type {any} */ init) => {
    if (init?.method === 'POST') throw NO_NETWORK
    controller.abort()
    return new Response(null, { status: 204 })
  }
  const asked = { ...REQUEST, abortSignal: controller.signal }
  await assert.rejects(new TidemarkChatTransport({ fetch }).sendMessages(asked), { name: 'AbortError' })
})

/** A generation that no engine has made. */
const [BEFORE, LATER] = ['01ARZ3NDEKTSV4RRFFQ69G5FAV', '01BRZ3NDEKTSV4RRFFQ69G5FAV']
const event = (/** @type {string} */ cursor) =>
  `id: ${cursor}\ndata: ${JSON.stringify({ type: 'text-delta', id: 't', delta: 'x' })}\n\n`
const headers = { 'content-type': 'text/event-stream', 'x-vercel-ai-ui-message-stream': 'v1' }

test('an answer that another one has replaced is left: its connection does not stay open', async () => {
  let isLeft = false
  const later = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(event(`${LATER}.1`))),
    cancel: () => {
      isLeft = true
    },
  })
  const responses = [new Response(event(`${BEFORE}.1`), { headers }), new Response(later, { headers })]
  const transport = new TidemarkChatTransport({
    fetch: async () => /** @type {Response} */ (responses.shift()),
  })
  const chunks = await transport.sendMessages({
    chatId: 'c',
    messages: [userMessage('one')],
    trigger: 'submit-message',
  })
  await assert.rejects(chunks.pipeTo(new WritableStream()), /superseded/)
  await until(() => isLeft)
})

test('a connection that was lost to the end is told to be there again with the next answer', async () => {
  const told = /** @type {string[]} */ ([])
  const whole = `${event(`${BEFORE}.1`)}data: [DONE]\n\n`
  const responses = [
    new Response(event(`${BEFORE}.1`), { headers }),
    new Response('', { status: 403 }),
    new Response(whole, { headers }),
  ]
  const transport = new TidemarkChatTransport({
    fetch: async () => /** @type {Response} */ (responses.shift()),
    onConnection: (connection) => told.push(connection),
  })
  const request = { chatId: 'c', messages: [userMessage('one')], trigger: 'submit-message' }
  await assert.rejects((await transport.sendMessages(request)).pipeTo(new WritableStream()))
  assert.deepEqual(told, ['reconnecting'])
  await (await transport.sendMessages(request)).pipeTo(new WritableStream())
  assert.deepEqual(told, ['reconnecting', 'connected'])
})

alsoWithAi7(import.meta.url)
