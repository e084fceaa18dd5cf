// `WorkflowChatTransport` of `@ai-sdk/workflow`, which counts chunks, against the routes of a chat.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { chatRoutes } from 'tidemark/next'
import { findWorkflowClient } from '../../scripts/workflow-client.mjs'
import { alsoWithAi7, openChat, textOf, userMessage, VERSIONS, wordAnswer } from '../support/ai.mjs'
import { gate } from '../support/gate.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline } from '../support/wait.mjs'

const owner = 'ann'
const WORDS = Array.from({ length: 30 }, (_, index) => `wörd ${index} 🌊 `)

/** @param {() => Promise<unknown>} step @param {readonly object[]} [end] */
const answer = (step, end) => wordAnswer(WORDS, step, end)
const slowly = () => new Promise((resolve) => setTimeout(resolve, 5))

/** The chunks of a response. @param {Response} response @returns {Promise<any[]>} */
async function chunksOf(response) {
  assert.equal(response.status, 200)
  return (await response.text())
    .split('\n\n')
    .filter((event) => event.includes('data: {'))
    .map((event) => JSON.parse(event.slice(event.indexOf('data: ') + 6)))
}

/** The events of a response as they come, each with the empty line after it. @param {Response} response */
async function* eventsOf({ body }) {
  let rest = ''
  for await (const text of /** @type {any} */ (body?.pipeThrough(new TextDecoderStream()) ?? [])) {
    const events = (rest + text).split(/(?<=\n\n)/)
    rest = events.at(-1)?.endsWith('\n\n') ? '' : (events.pop() ?? '')
    yield* events
  }
  if (rest !== '') yield rest
}

const posted = (/** @type {object} */ body) =>
  new Request('http://localhost/api/chat', { method: 'POST', body: JSON.stringify(body) })
/** @param {import('tidemark/next').ChatRoutes} routes @param {string} run @param {number | string} index */
const from = (routes, run, index) =>
  routes.GET(new Request(`http://localhost/api/chat/x/stream?startIndex=${index}`), {
    // As a framework gives it, which has decoded what the client has encoded.
    params: Promise.resolve({ id: run }),
  })

eachStore('next-workflow', (store) => {
  const open = useEngines(store)
  const routesOf = (/** @type {any} */ options) =>
    chatRoutes({ engine: open(), authorize: () => owner, workflowRuns: true, ...options })

  test('every index, from either end, has exactly what follows, and how long it is', async () => {
    const routes = routesOf({ generate: answer(async () => {}) })
    const id = `chat % 🌊 ${randomUUID()}`
    const response = await routes.POST(posted({ id, messages: [userMessage('hello')] }))
    const run = response.headers.get('x-workflow-run-id') ?? ''
    assert.match(run, /^[\x21-\x7e]+$/, 'a header of printable characters')
    const whole = await chunksOf(response)
    assert.equal(whole.length, WORDS.length + 4)
    for (let index = 0; index <= whole.length; index++) {
      const rest = await from(routes, run, index)
      assert.equal(rest.headers.get('x-workflow-stream-tail-index'), String(whole.length - 1))
      const expected = index === whole.length ? [{ type: 'finish' }] : whole.slice(index)
      assert.deepEqual(await chunksOf(rest), expected, `from ${index}`)
      if (index === 0) continue
      assert.deepEqual(await chunksOf(await from(routes, run, -index)), whole.slice(-index), `from -${index}`)
    }
    assert.deepEqual(await chunksOf(await from(routes, run, -999)), whole)
    // Nothing is active: a chat's own id has no answer to go on with, and what is waited for is an end.
    assert.deepEqual(await chunksOf(await from(routes, id, 0)), [{ type: 'finish' }])
    for (const bad of ['x', '1.5', '', '9'.repeat(20), '--1']) {
      assert.equal((await from(routes, run, bad)).status, 400, bad)
    }
  })

  test('a run is its own answer, also when the next one has begun, and of nobody else', async () => {
    let user = owner
    const routes = routesOf({ authorize: () => user, generate: answer(async () => {}) })
    const id = randomUUID()
    const runs = []
    for (const text of ['one', 'two', 'three']) {
      const response = await routes.POST(posted({ id, messages: [userMessage(text)] }))
      runs.push({ run: response.headers.get('x-workflow-run-id') ?? '', chunks: await chunksOf(response) })
    }
    const [gone, before, current] = runs
    for (const known of [before, current]) {
      assert.deepEqual(await chunksOf(await from(routes, known?.run ?? '', 5)), known?.chunks.slice(5))
    }
    const told = await chunksOf(await from(routes, gone?.run ?? '', 5))
    assert.deepEqual(
      told.map(({ type }) => type),
      ['error', 'finish'],
    )
    user = 'mallory'
    assert.equal((await from(routes, current?.run ?? '', 0)).status, 403)
  })

  test('a continued message: what its client has is not counted', async () => {
    const routes = routesOf({ generate: answer(async () => {}), aiVersion: 7 })
    const id = randomUUID()
    const continued = {
      id: 'm',
      role: 'assistant',
      parts: [
        { type: 'text', text: 'Before. ' },
        { type: 'tool-look', toolCallId: 'c', state: 'output-available', input: {}, output: 'seen' },
      ],
    }
    const response = await routes.POST(posted({ id, messages: [userMessage('hello'), continued] }))
    const run = response.headers.get('x-workflow-run-id') ?? ''
    const whole = await chunksOf(response)
    assert.equal(whole.length, WORDS.length + 4)
    for (const index of [0, 1, 17, whole.length - 1]) {
      assert.deepEqual(await chunksOf(await from(routes, run, index)), whole.slice(index))
    }
    assert.deepEqual(await chunksOf(await from(routes, run, -3)), whole.slice(-3))
  })

  test('whatever the end, there is a finish: nobody asks for ever', async () => {
    const ends = /** @type {const} */ ({
      failed: ['error', 'finish'],
      stopped: ['abort', 'finish'],
      silent: ['finish'],
    })
    for (const [name, expected] of Object.entries(ends)) {
      const engine = open()
      const id = randomUUID()
      const { open: release, opened } = gate()
      async function* generate(/** @type {any} */ { messageId, signal }) {
        yield { type: 'start', messageId }
        if (name === 'failed') throw new Error('broken')
        if (name === 'silent') return
        await Promise.race([opened, once(signal, 'abort')])
      }
      const routes = routesOf({ engine, generate, onError: () => 'sorry' })
      const response = await routes.POST(posted({ id, messages: [userMessage('hello')] }))
      const run = response.headers.get('x-workflow-run-id') ?? ''
      if (name === 'stopped') await engine.stop(id, { owner })
      const sent = await chunksOf(response)
      release()
      const rest = await chunksOf(await deadline(from(routes, run, sent.length), 20_000, name))
      assert.equal(rest.at(-1)?.type, 'finish', name)
      const whole = await chunksOf(await from(routes, run, 1))
      assert.deepEqual(
        whole.map(({ type }) => type),
        expected,
        name,
      )
    }
  })

  if (VERSIONS.includes(7)) {
    describe('ai 7', () => {
      test('G1 the client itself, cut after every k-th chunk, for each k, cleanly and not', async (t) => {
        const sdk = await import('ai')
        const client = findWorkflowClient()
        assert.ok(client, 'node scripts/setup.mjs workflow')
        const { WorkflowChatTransport } = await import(client)
        const { error } = console
        t.after(() => {
          console.error = error
        })
        console.error = () => {}
        const words = WORDS.slice(0, 12)
        const length = words.length + 4
        const cuts = Array.from({ length }, (_, index) => index + 1).flatMap((every) =>
          /** @type {const} */ (['end', 'destroy']).map((how) => ({ every, how, responses: 0 })),
        )
        const all = [open(), open()].map((engine) =>
          routesOf({ engine, generate: wordAnswer(words, slowly) }),
        )
        const server = createServer(async (incoming, outgoing) => {
          const { method, url = '/' } = incoming
          const [, index = '', , id = ''] = new URL(url, 'http://localhost').pathname.split('/')
          const cut = /** @type {typeof cuts[number]} */ (cuts[Number(index)])
          const routes = /** @type {typeof all[number]} */ (all[cut.responses++ % 2])
          const body = method === 'POST' ? Readable.toWeb(incoming) : undefined
          const request = new Request(
            `http://localhost${url.slice(`/${index}`.length)}`,
            /** @type {any} */ ({ method, body, duplex: 'half' }),
          )
          const context = { params: { id: decodeURIComponent(id) } }
          const response = await (method === 'POST' ? routes.POST(request) : routes.GET(request, context))
          outgoing.writeHead(response.status, Object.fromEntries(response.headers))
          let count = 0
          for await (const event of eventsOf(response)) {
            await new Promise((resolve) => outgoing.write(event, resolve))
            if (event.includes('data: {') && ++count === cut.every) return outgoing[cut.how]()
          }
          outgoing.end()
        })
        await once(server.listen(0, '127.0.0.1'), 'listening')
        t.after(() => server.close())
        t.after(() => server.closeAllConnections())
        const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
        const run = async (
          /** @type {typeof cuts[number]} */ { every, how },
          /** @type {number} */ index,
        ) => {
          const what = `${how} after every ${every}`
          const id = randomUUID()
          const transport = new WorkflowChatTransport({
            api: `http://127.0.0.1:${port}/${index}/chat`,
            prepareSendMessagesRequest: (/** @type {any} */ { messages }) => ({ body: { id, messages } }),
            // It gives up after three failures in a row, also if each has brought it chunks.
            maxConsecutiveErrors: Number.POSITIVE_INFINITY,
          })
          const chat = openChat(sdk, { id, transport })
          await deadline(chat.sendMessage(userMessage('hello')), 120_000, what)
          assert.equal(chat.status, 'ready', `${what}: ${chat.error}`)
          assert.equal(textOf(chat.messages[1]), words.join(''), what)
          const parts = chat.messages[1].parts.filter((/** @type {any} */ { type }) => type === 'text')
          assert.deepEqual([chat.messages.length, parts.length], [2, 1], what)
        }
        await Promise.all(cuts.map(run))
        for (const { every, how, responses } of cuts) {
          const least = Math.ceil(length / every)
          const isExact = how === 'end' ? responses === least : responses >= least
          assert.ok(isExact, `${how} after every ${every}: ${responses} responses`)
        }
      })
    })
  }
})

alsoWithAi7(import.meta.url)
