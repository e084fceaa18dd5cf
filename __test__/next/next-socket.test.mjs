// The server's side of the SDK's `WebSocketChatTransport`, with the SDK's own client, on sockets that are cut.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, test } from 'node:test'
import { chatRoutes, chatSocket } from 'tidemark/next'
import { WebSocket, WebSocketServer } from 'ws'
import { alsoWithAi7, openChat, textOf, userMessage, VERSIONS, wordAnswer } from '../support/ai.mjs'
import { gate } from '../support/gate.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const owner = 'ann'
const WORDS = Array.from({ length: 30 }, (_, index) => `wörd ${index} 🌊 `)
const LENGTH = WORDS.length + 4

/** @param {() => Promise<unknown>} step */
const answer = (step) => wordAnswer(WORDS, step)
const quickly = answer(() => new Promise(setImmediate))

/** An answer that waits after ten words. */
function pausing() {
  let count = 0
  const { open: pass, opened } = gate()
  return { generate: answer(async () => (count++ < 10 ? undefined : opened)), pass }
}

/**
 * A server of sockets. `eachFrame` is called when a frame was sent, with what was asked for when its socket was opened.
 * @param {import('node:test').TestContext} t
 * @param {import('tidemark/next').ChatRoutes} routes
 * @param {import('tidemark/next').ChatSocketOptions} [options]
 * @param {(socket: any, frame: any, asked: URL) => void} [eachFrame]
 */
async function serve(t, routes, options, eachFrame = () => {}) {
  const server = createServer()
  const sockets = new WebSocketServer({ server })
  const handle = chatSocket(routes, options)
  sockets.on('connection', (socket, request) => {
    const asked = new URL(request.url ?? '/', 'ws://localhost')
    const { send } = socket
    socket.send = (/** @type {any[]} */ ...args) => {
      send.apply(socket, /** @type {any} */ (args))
      eachFrame(socket, JSON.parse(args[0]), asked)
    }
    handle(socket, request)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
  })
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  return { url: `ws://127.0.0.1:${port}/api/chat`, sockets }
}

/** A socket of no client's: what comes, and what is sent. @param {import('node:test').TestContext} t @param {string} url @param {object} [headers] */
async function connect(t, url, headers) {
  const socket = new WebSocket(url, { headers })
  t.after(() => socket.terminate())
  /** @type {any[]} */
  const frames = []
  /** @type {number | undefined} */
  let code
  socket.on('message', (data) => frames.push(JSON.parse(String(data))))
  socket.on('close', (closed) => {
    code = closed
  })
  await once(socket, 'open')
  return {
    socket,
    frames,
    send: (/** @type {any} */ frame) =>
      socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    /** The frames of a request, once it has ended. @param {string} requestId */
    async all(requestId) {
      const own = () => frames.filter((frame) => frame.requestId === requestId)
      await until(() => ['end', 'error', 'no-active'].includes(own().at(-1)?.type), { message: requestId })
      return own()
    },
    closed: () => until(() => code, { message: 'it is closed' }).then(() => code),
  }
}

const ask = (/** @type {string} */ requestId, /** @type {string} */ id, more = {}) => ({
  type: 'send',
  requestId,
  id,
  trigger: 'submit-message',
  messages: [userMessage('hello')],
  headers: {},
  body: {},
  ...more,
})
const resume = (/** @type {string} */ requestId, /** @type {string} */ id, more = {}) => ({
  type: 'resume',
  requestId,
  id,
  headers: {},
  body: {},
  ...more,
})

eachStore('next-socket', (store) => {
  const open = useEngines(store)
  const routesOf = (/** @type {any} */ options) =>
    chatRoutes({ engine: open(), authorize: () => owner, generate: quickly, ...options })

  test('many requests on one socket, each by its own number', async (t) => {
    const { url } = await serve(t, routesOf({}))
    const client = await connect(t, url)
    const ids = Array.from({ length: 10 }, () => randomUUID())
    for (const [index, id] of ids.entries()) client.send(ask(`r${index}`, id))
    for (const index of ids.keys()) {
      const frames = await client.all(`r${index}`)
      assert.deepEqual(
        frames.slice(0, -1).map(({ type, sequence }) => [type, sequence]),
        Array.from({ length: LENGTH }, (_, sequence) => ['chunk', sequence]),
      )
      assert.equal(frames.at(-1).type, 'end')
    }
  })

  test('resume: no-active, the whole, what follows a number, and what has ended but is asked for', async (t) => {
    const { generate, pass } = pausing()
    const { url } = await serve(t, routesOf({ generate }))
    const client = await connect(t, url)
    const id = randomUUID()
    client.send(resume('none', id))
    assert.deepEqual(await client.all('none'), [{ type: 'no-active', requestId: 'none' }])
    client.send(ask('first', id))
    await until(() => client.frames.filter(({ requestId }) => requestId === 'first').length === 12)
    client.send(resume('whole', id))
    client.send(resume('rest', id, { lastSequence: 6 }))
    await until(() => client.frames.some(({ type }) => type === 'start'))
    pass()
    const first = await client.all('first')
    const whole = await client.all('whole')
    const rest = await client.all('rest')
    const chunksOf = (/** @type {any[]} */ frames) => frames.filter(({ type }) => type === 'chunk')
    const strip = (/** @type {any} */ { sequence, chunk }) => ({ sequence, chunk })
    assert.deepEqual(chunksOf(whole).map(strip), chunksOf(first).map(strip))
    assert.deepEqual(chunksOf(rest).map(strip), chunksOf(first).slice(7).map(strip))
    assert.deepEqual([whole[0].type, rest[0].type], ['start', 'start'])
    client.send(resume('over', id))
    assert.equal((await client.all('over'))[0].type, 'no-active')
    client.send(resume('late', id, { body: { after: 'user-hello' } }))
    assert.deepEqual(chunksOf(await client.all('late')).map(strip), chunksOf(first).map(strip))
  })

  test('a client that goes stops nothing; an abort only if the application says so', async (t) => {
    for (const stopOnAbort of [false, true]) {
      const { generate, pass } = pausing()
      const engine = open()
      const { url } = await serve(t, routesOf({ engine, generate }), { stopOnAbort })
      const [left, aborted] = [randomUUID(), randomUUID()]
      const client = await connect(t, url)
      client.send(ask('aborted', aborted))
      await until(() => client.frames.length >= 12)
      client.send({ type: 'abort', requestId: 'aborted' })
      client.send({ type: 'abort', requestId: 'unknown' })
      client.send(ask('left', left))
      await until(async () => (await engine.status(left))?.state === 'active')
      client.socket.terminate()
      if (stopOnAbort) {
        await until(async () => (await engine.status(aborted))?.stop !== null)
        pass()
        await until(async () => (await engine.status(aborted))?.state === 'stopped')
      } else {
        pass()
        await until(async () => (await engine.status(aborted))?.state === 'complete')
      }
      await until(async () => (await engine.status(left))?.state === 'complete')
    }
  })

  test('what is refused: users, chats that are being answered, frames, sizes, numbers, origins', async (t) => {
    const { generate, pass } = pausing()
    t.after(pass)
    /** @type {any[]} */
    const seen = []
    const authorize = (/** @type {Request} */ request, /** @type {string} */ chatId) => {
      const { headers } = request
      seen.push([
        chatId,
        headers.get('cookie'),
        headers.get('x-token'),
        headers.get('origin'),
        headers.get('host'),
      ])
      return headers.get('x-token') === 'mallory' ? null : owner
    }
    const { url } = await serve(t, routesOf({ generate, authorize }), {
      maxFrameBytes: 4096,
      maxRequests: 2,
      origins: ['https://app.example.com'],
    })
    const { host } = new URL(url)
    const client = await connect(t, url, { cookie: 'user=ann', origin: `http://${host}` })
    const id = randomUUID()
    const forged = { 'x-token': 'mallory', Cookie: 'user=bob', Origin: 'http://evil', Host: 'evil' }
    client.send(ask('refused', id, { headers: forged }))
    const [refused] = await client.all('refused')
    assert.deepEqual([refused.type, refused.errorText], ['error', 'this chat is not yours'])
    assert.deepEqual(seen[0].slice(0, 4), [id, 'user=ann', 'mallory', `http://${host}`])
    client.send(ask('first', id))
    await until(() => client.frames.some(({ type }) => type === 'chunk'))
    client.send(ask('second', id))
    assert.match((await client.all('second'))[0].errorText, /live producer|already|active/i)
    client.send(ask('other', randomUUID()))
    client.send(ask('many', randomUUID()))
    assert.match((await client.all('many'))[0].errorText, /too many/)

    for (const [bad, code] of /** @type {const} */ ([
      ['{', 1008],
      ['[]', 1008],
      [{ ...ask('x', id), trigger: 'whatever' }, 1008],
      [{ ...ask('x', id), messages: 'none' }, 1008],
      [{ ...ask('x', id), headers: { a: 1 } }, 1008],
      [{ ...ask('x', id), headers: { 'no name': 'x' } }, 1008],
      [{ ...resume('x', id), headers: { name: 'a\r\nb' } }, 1008],
      [{ ...resume('x', id), lastSequence: -1 }, 1008],
      [{ ...ask('x', id), requestId: '' }, 1008],
      [{ ...ask('x', id), requestId: 7 }, 1008],
      [{ type: 'else', requestId: 'x' }, 1008],
      ['x'.repeat(5000), 1009],
    ])) {
      const stranger = await connect(t, url)
      stranger.send(bad)
      assert.equal(await stranger.closed(), code, JSON.stringify(bad).slice(0, 60))
    }
    // Values that are far larger than their text, or too deep to be walked through.
    const wide = await serve(t, routesOf({ generate, authorize }))
    for (const [messages, code] of /** @type {const} */ ([
      [`[${'{},'.repeat(1_000_000)}{}]`, 1009],
      [`${'['.repeat(2000)}${']'.repeat(2000)}`, 1008],
    ])) {
      const asks = seen.length
      const stranger = await connect(t, wide.url)
      stranger.send(
        JSON.stringify({ ...ask('x', id), messages: [] }).replace('"messages":[]', `"messages":${messages}`),
      )
      assert.equal(await stranger.closed(), code)
      assert.equal(seen.length, asks, 'nobody was asked')
    }
    const binary = await connect(t, url)
    binary.socket.send(Buffer.from(JSON.stringify(ask('x', id))))
    assert.equal(await binary.closed(), 1003)
    const evil = { origin: 'http://evil.example' }
    const noAddress = 'a host with spaces'
    for (const [address, headers] of /** @type {[string, object][]} */ ([
      [url, evil],
      // The path is no host, although it looks like one.
      [`ws://${host}//evil.example/api/chat`, evil],
      [url, { host: noAddress }],
      [url, { host: noAddress, origin: `http://${noAddress}` }],
    ])) {
      const stranger = await connect(t, address, headers)
      assert.equal(await stranger.closed(), 1008, JSON.stringify([address, headers]))
    }
    const known = await connect(t, url, { origin: 'https://app.example.com' })
    known.send(resume('fine', randomUUID()))
    assert.equal((await known.all('fine'))[0].type, 'no-active')
    assert.throws(() => chatSocket(/** @type {any} */ ({})), { code: 'ERR_INVALID_ARGUMENT' })
    assert.throws(() => chatSocket(routesOf({}), /** @type {any} */ ({ maxRequests: 0 })), {
      code: 'ERR_INVALID_ARGUMENT',
    })
  })

  test('G7 a client that does not read is not sent everything', async (t) => {
    const engine = open()
    const delta = 'x'.repeat(10_000)
    async function* generate() {
      yield { type: 'start' }
      yield { type: 'text-start', id: 't' }
      for (let count = 0; count < 2000; count++) yield { type: 'text-delta', id: 't', delta }
      yield { type: 'text-end', id: 't' }
      yield { type: 'finish' }
    }
    /** @type {any} */
    let server
    const { url } = await serve(
      t,
      routesOf({ engine, generate }),
      { maxBufferedBytes: 100_000 },
      (socket) => {
        server = socket
      },
    )
    const client = await connect(t, url)
    const id = randomUUID()
    client.socket.pause()
    client.send(ask('slow', id))
    await until(async () => (await engine.status(id))?.state === 'complete', { timeout: 60_000 })
    await until(() => server?.bufferedAmount > 100_000, { message: 'it is not sent more' })
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.ok(server.bufferedAmount < 200_000, `${server.bufferedAmount} bytes wait`)
    client.socket.resume()
    const frames = await client.all('slow')
    assert.equal(frames.length, 2005)
  })

  test('G5 a server that closes closes the socket, and is not taken for the end', async (t) => {
    const engine = open()
    const { generate, pass } = pausing()
    t.after(pass)
    const { url } = await serve(t, routesOf({ engine, generate }))
    const client = await connect(t, url)
    client.send(ask('cut', randomUUID()))
    await until(() => client.frames.length >= 12)
    const closing = engine.close()
    await client.closed()
    assert.ok(!client.frames.some(({ type }) => type === 'end'))
    await closing
  })

  if (VERSIONS.includes(7)) {
    describe('ai 7', () => {
      test('G1 a chat whose sockets are cut after every k-th chunk, for each k, cleanly and not, has the whole answer, once', async (t) => {
        const sdk = /** @type {any} */ (await import('ai'))
        const validate = sdk.safeValidateWebSocketChatTransportRequest
        const words = WORDS.slice(0, 12)
        const length = words.length + 4
        const generate = wordAnswer(words, () => new Promise((resolve) => setTimeout(resolve, 5)))
        const cuts = Array.from({ length }, (_, index) => index + 1).flatMap((every) =>
          /** @type {const} */ (['close', 'terminate']).map((how) => ({ every, how, done: 0 })),
        )
        const cut = (
          /** @type {any} */ socket,
          /** @type {any} */ { sequence },
          /** @type {URL} */ asked,
        ) => {
          const one = cuts[Number(asked.searchParams.get('cut'))]
          // Each socket has the answer from its beginning, and is cut after one more time k.
          if (one === undefined || sequence + 1 !== one.every * (one.done + 1)) return
          one.done++
          one.how === 'close' ? socket.close(1001) : socket.terminate()
        }
        // Each socket may come to another server.
        const servers = await Promise.all(
          [open(), open()].map((engine) => serve(t, routesOf({ engine, generate }), { validate }, cut)),
        )
        const run = async (
          /** @type {typeof cuts[number]} */ { every, how },
          /** @type {number} */ index,
        ) => {
          const what = `${how} after every ${every}`
          const transports = servers.map(
            ({ url }) =>
              new sdk.WebSocketChatTransport({
                url,
                params: { cut: String(index) },
                webSocket: WebSocket,
                prepareReconnectToStreamRequest: () => ({ body: { after: 'user-hello' } }),
              }),
          )
          let turn = index
          const next = () => transports[turn++ % 2]
          const chat = openChat(sdk, {
            id: randomUUID(),
            transport: {
              resumeStreamIsReplay: true,
              sendMessages: (/** @type {any} */ options) => next().sendMessages(options),
              reconnectToStream: (/** @type {any} */ options) => next().reconnectToStream(options),
            },
            onError: () => {},
          })
          await chat.sendMessage(userMessage('hello'))
          for (let tries = 0; chat.status === 'error' && tries <= length; tries++) {
            await deadline(chat.resumeStream(), 60_000, `the answer is resumed, ${what}`)
          }
          for (const transport of transports) transport.close()
          assert.equal(chat.status, 'ready', `${what}: ${chat.error}`)
          assert.equal(textOf(chat.messages[1]), words.join(''), what)
          const parts = chat.messages[1].parts.filter((/** @type {any} */ { type }) => type === 'text')
          assert.deepEqual([chat.messages.length, parts.length], [2, 1], what)
        }
        await Promise.all(cuts.map(run))
        for (const { every, how, done } of cuts)
          assert.equal(done, Math.floor(length / every), `all cuts were made, ${how} after every ${every}`)
      })
    })
  }
})

alsoWithAi7(import.meta.url)
