// `engine.send`: event streams by the responses of node:http and node:http2, at the client's pace, until it leaves. And what
// `toNodeListener` does by either.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import { connect, createServer as createHttp2Server } from 'node:http2'
import { test } from 'node:test'
import express from 'express'
import { toNodeListener } from 'tidemark/durable-streams'
import { EventParser } from '../../dist/util/sse-parser.js'
import { listening } from '../support/listening.mjs'
import { PATIENT } from '../support/patient.mjs'
import { TestStore } from '../support/stores.mjs'
import { numbered, produceAll, texts, useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const store = new TestStore('memory')
const open = useEngines(store)

/** @typedef {(request: any, response: any) => unknown} Handler */

/** @param {import('node:test').TestContext} t @param {Handler} handler */
async function http1(t, handler) {
  const server = createServer(PATIENT, handler)
  return `http://127.0.0.1:${await listening(server, t)}`
}

/** The same without encryption. @param {import('node:test').TestContext} t @param {Handler} handler */
async function http2(t, handler) {
  const server = createHttp2Server(handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  const session = connect(`http://127.0.0.1:${port}`)
  t.after(() => {
    session.destroy()
    server.close()
  })
  return session
}

const versions = /** @type {const} */ (['HTTP/1', 'HTTP/2'])

/**
 * A GET by either version.
 * @param {import('node:test').TestContext} t @param {'HTTP/1' | 'HTTP/2'} version @param {Handler} handler
 * @returns {Promise<(headers?: Record<string, string>, method?: string) => Promise<{ status: number, headers: Record<string, unknown>, body: import('node:stream').Readable }>>}
 */
async function client(t, version, handler) {
  if (version === 'HTTP/1') {
    const url = await http1(t, handler)
    return async (headers = {}, method = 'GET') => {
      const request = httpRequest(url, { headers, method }).end()
      const [body] = await once(request, 'response')
      return { status: body.statusCode, headers: body.headers, body }
    }
  }
  const session = await http2(t, handler)
  return async (headers = {}, method = 'GET') => {
    const body = session.request({ ':method': method, ...headers }, { endStream: true })
    const [answer] = await once(body, 'response')
    return { status: answer[':status'], headers: answer, body }
  }
}

/** @param {AsyncIterable<Buffer>} body */
async function eventsOf(body) {
  const parser = new EventParser()
  const events = []
  for await (const piece of body) events.push(...parser.push(piece))
  return events
}

for (const version of versions) {
  test(`G1 ${version}: the whole stream, its headers, and where Last-Event-ID says`, async (t) => {
    const engine = open({ keyPrefix: store.prefix() })
    await produceAll(engine, 'sent', texts(500))
    let resolved = 0
    const get = await client(t, version, async (request, response) => {
      response.setHeader('access-control-allow-origin', '*')
      const headers = new Headers([
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
      ])
      await engine.send(request, response, 'sent', { headers })
      resolved++
    })
    const { status, headers, body } = await get()
    assert.equal(status, 200)
    assert.match(String(headers['content-type']), /^text\/event-stream/)
    assert.equal(headers['access-control-allow-origin'], '*')
    assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2'])
    const events = await eventsOf(body)
    const chunks = events.filter(({ id }) => id)
    assert.deepEqual(
      chunks.map(({ data }) => data),
      numbered(texts(500)).map(({ data }) => data),
    )
    assert.equal(events.at(-1)?.type, 'end')
    await until(() => resolved === 1)
    const resumed = await eventsOf((await get({ 'last-event-id': chunks[497]?.id ?? '' })).body)
    assert.deepEqual(
      resumed.filter(({ id }) => id).map(({ data }) => data),
      texts(500).slice(498),
    )
  })

  test(`${version}: refusals are answers, and a HEAD is answered without the stream`, async (t) => {
    const engine = open({ keyPrefix: store.prefix() })
    const get = await client(t, version, (request, response) =>
      engine.send(request, response, request.method === 'HEAD' ? 'head' : 'none', { wait: 0, owner: 'ann' }),
    )
    const missing = await get()
    assert.equal(missing.status, 404)
    let text = ''
    for await (const piece of missing.body) text += piece
    assert.equal(JSON.parse(text).code, 'ERR_NOT_FOUND')
    const producer = await engine.produce('head', { owner: 'ann' })
    const { status, body } = await get({}, 'HEAD')
    body.resume()
    assert.equal(status, 200)
    await deadline(once(body, 'end'), 20_000, 'it ends')
    await until(() => engine.metrics().readers === 0)
    await producer.complete()
  })

  test(`G7 ${version}: a client that does not read holds the stream back, and goes on where it was`, async (t) => {
    const engine = open({ keyPrefix: store.prefix() })
    const size = 64 * 1024
    await produceAll(
      engine,
      'slow',
      Array.from({ length: 200 }, (_, index) => `${index} ${'x'.repeat(size)}`),
    )
    const get = await client(t, version, (request, response) => engine.send(request, response, 'slow'))
    const { body } = await get()
    let last = -1
    // What goes into buffers on the way goes; then nothing more is handed over.
    await until(
      () => {
        const { chunksOut } = engine.metrics()
        const isStill = chunksOut > 0 && chunksOut === last
        last = chunksOut
        return isStill
      },
      { interval: 300, timeout: 10_000 },
    )
    assert.ok(last < 150, `${last} of 200 were taken although nobody reads`)
    const events = await eventsOf(body)
    assert.equal(events.filter(({ id }) => id).length, 200)
  })

  test(`${version}: a client that leaves ends its reading, and nothing else`, async (t) => {
    const engine = open({ keyPrefix: store.prefix() })
    const producer = await engine.produce('left')
    let isResolved = false
    const get = await client(t, version, async (request, response) => {
      await engine.send(request, response, 'left')
      isResolved = true
    })
    await producer.append('first')
    const { body } = await get()
    await once(body, 'data')
    assert.equal(engine.metrics().readers, 1)
    body.on('error', () => {})
    body.destroy()
    await until(() => isResolved && engine.metrics().readers === 0)
    assert.equal(producer.signal.aborted, false)
    assert.equal(await producer.complete(), 'complete')
  })

  test(`${version}: UI messages that are cut off break, events end`, async (t) => {
    const engine = open({ keyPrefix: store.prefix() })
    const producer = await engine.produce('cut')
    await producer.append('{"type":"start"}')
    let format = 'ui-messages'
    const get = await client(t, version, (request, response) =>
      engine.send(request, response, 'cut', { format: /** @type {any} */ (format), maxDurationMs: 50 }),
    )
    await assert.rejects(deadline(eventsOf((await get()).body), 20_000, 'it breaks'))
    format = 'events'
    const events = await deadline(eventsOf((await get()).body), 20_000, 'it ends')
    assert.deepEqual(
      events.filter(({ type }) => type === 'end'),
      [],
    )
    await producer.complete()
  })
}

test('HTTP/2: neither a refused address nor an unread body closes the connection', async (t) => {
  /** @type {string[]} */
  const warnings = []
  const warned = (/** @type {Error} */ { message }) => warnings.push(message)
  process.on('warning', warned)
  t.after(() => process.off('warning', warned))
  const session = await http2(
    t,
    toNodeListener(async () => new Response('unread')),
  )
  for (const [path, status] of /** @type {const} */ ([
    ['/a/../b', 400],
    ['/b', 200],
  ])) {
    const request = session.request({ ':method': 'POST', ':path': path })
    request.write('a body that goes on')
    const [answer] = await deadline(once(request, 'response'), 20_000, 'an answer')
    assert.deepEqual([answer[':status'], answer.connection], [status, undefined])
    // Warnings are told in a turn of their own.
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(warnings, [], path)
    request.close()
  }
})

test('Express: one line, and what is no response, or has begun, is refused', async (t) => {
  const engine = open({ keyPrefix: store.prefix() })
  await produceAll(engine, 'chat', ['hello'])
  const app = express()
  app.get('/chats/:id/stream', (req, res) => engine.send(req, res, req.params.id))
  app.get('/begun', async (req, res) => {
    res.flushHeaders()
    const refused = { code: 'ERR_INVALID_ARGUMENT', field: 'response' }
    await assert.rejects(engine.send(req, res, 'chat'), refused)
    // @ts-expect-error: the arguments are the other way round
    await assert.rejects(engine.send(res, req, 'chat'), refused)
    res.end('refused')
  })
  const url = await http1(t, app)
  assert.match(await (await fetch(`${url}/chats/chat/stream`)).text(), /data: hello\n/)
  assert.equal(await (await fetch(`${url}/begun`)).text(), 'refused')
})
