// The handler on node:http, where it needs no web objects, and polls that wait together.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { durableStreams, toNodeListener } from 'tidemark/durable-streams'
import { PATIENT } from '../support/patient.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const TEXT = { 'Content-Type': 'text/plain' }
const LONG = { timeout: 20_000 }

/**
 * A server's address below which the streams are.
 * @param {import('node:test').TestContext} t
 * @param {Omit<import('tidemark/durable-streams').DurableStreamsOptions, 'authorize'> & { authorize?: any }} options
 */
async function serve(t, options) {
  const server = createServer(PATIENT, toNodeListener(durableStreams({ authorize: () => true, ...options })))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  return { server, port, at: (/** @type {string} */ id) => `http://127.0.0.1:${port}/v1/stream/${id}` }
}

/** Sends a body in these pieces, without its length. @param {string} url @param {Iterable<string>} pieces */
async function post(url, pieces) {
  const sent = request(url, { method: 'POST', headers: TEXT })
  sent.on('error', () => {})
  const answered = once(sent, 'response')
  for (const piece of pieces) if (!sent.write(piece)) await Promise.race([once(sent, 'drain'), answered])
  sent.end()
  const [response] = await deadline(answered, 20_000, 'an answer')
  response.resume()
  return response
}

eachStore('durable streams on node:http', (store) => {
  const open = useEngines(store)

  test('an answer of known length says how long it is, and one of HEAD has no body', async (t) => {
    const { at } = await serve(t, { engine: open() })
    await fetch(at('length'), { method: 'PUT', headers: TEXT, body: 'wörd' })
    const read = await fetch(at('length'))
    assert.deepEqual([read.headers.get('content-length'), await read.text()], ['5', 'wörd'])
    const head = await fetch(at('length'), { method: 'HEAD' })
    assert.deepEqual([head.status, await head.text()], [200, ''])
    const gone = await fetch(at('nothing'), { method: 'HEAD' })
    assert.deepEqual([gone.status, await gone.text()], [404, ''])
    const appended = await fetch(at('length'), { method: 'POST', headers: TEXT, body: '!' })
    assert.deepEqual([appended.status, await appended.text()], [204, ''])
  })

  test('G7 HEAD leaves no body behind that somebody would have to read', async (t) => {
    const engine = open()
    await engine.log('followed').append(['x'])
    const server = createServer(
      PATIENT,
      toNodeListener((request) => engine.respond(request, 'followed')),
    )
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.after(() => server.close())
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    const url = `http://127.0.0.1:${port}/`
    const left = new AbortController()
    assert.equal((await fetch(url, { signal: left.signal })).status, 200)
    await until(() => engine.metrics().readers === 1, LONG)
    for (let count = 0; count < 3; count++) {
      const head = await fetch(url, { method: 'HEAD' })
      assert.deepEqual([head.status, await head.text()], [200, ''])
    }
    await until(() => engine.metrics().readers === 1, LONG)
    left.abort()
    await until(() => engine.metrics().readers === 0, LONG)
  })

  test('a request whose address cannot be read is answered with 400, and asks nobody', async (t) => {
    let asked = 0
    const { port } = await serve(t, { engine: open(), authorize: () => ++asked > 0 })
    for (const head of [
      'GET /v1/stream/x HTTP/1.1\r\nHost: a host with spaces',
      'GET /v1/stream/x HTTP/1.1\r\nHost: host:port',
      'OPTIONS * HTTP/1.1\r\nHost: localhost',
      // The path that a proxy has seen is not the one that this would be.
      'GET /v1/stream/x HTTP/1.1\r\nHost: localhost/v1/stream/another?',
      'GET /v1/stream/x HTTP/1.1\r\nHost: localhost\\v1\\stream\\another#',
      'GET /v1/stream/x HTTP/1.1\r\nHost: user:password@localhost',
      'GET http://user@localhost/v1/stream/x HTTP/1.1\r\nHost: localhost',
      'GET data:,x HTTP/1.1\r\nHost: localhost',
    ]) {
      const socket = connect(port, '127.0.0.1')
      socket.write(`${head}\r\n\r\n`)
      const [answer] = await deadline(once(socket, 'data'), 20_000, head)
      assert.match(String(answer), /^HTTP\/1\.1 400 /, head)
      socket.destroy()
    }
    assert.equal(asked, 0)
  })

  test('authorize gets a web request; it may read a clone of it, but not the body itself', async (t) => {
    /** @type {(request: Request) => unknown} */
    let look = () => {}
    const authorize = async (/** @type {Request} */ request) => {
      assert.ok(request instanceof Request)
      await look(request)
      return true
    }
    /** @type {any[]} */
    const errors = []
    const onError = (/** @type {unknown} */ error) => errors.push(error)
    const { at } = await serve(t, { engine: open(), authorize, onError })
    const init = { method: 'POST', headers: { ...TEXT, 'X-User': 'ann' }, body: 'b'.repeat(100_000) }
    await fetch(at('asked'), { method: 'PUT', headers: TEXT })
    look = ({ headers, url, method }) =>
      assert.deepEqual([headers.get('x-user'), url, method], ['ann', at('asked'), 'POST'])
    assert.equal((await fetch(at('asked'), init)).status, 204)
    look = async (request) => assert.equal(await request.clone().text(), init.body)
    assert.equal((await fetch(at('asked'), init)).status, 204)
    // A clone that is read later has all of it too.
    /** @type {Promise<string> | undefined} */
    let later
    look = (request) => {
      const clone = request.clone()
      later = new Promise((resolve) => setImmediate(() => resolve(clone.text())))
    }
    assert.equal((await fetch(at('asked'), init)).status, 204)
    assert.equal(await later, init.body)
    look = (request) => request.text()
    assert.equal((await fetch(at('asked'), init)).status, 500)
    assert.match(errors[0]?.message, /read already/)
    look = () => {}
    assert.equal((await (await fetch(at('asked'))).text()).length, 3 * init.body.length)
  })

  test('the signal of the web request is aborted when the client leaves, not when it has its answer', async (t) => {
    /** @type {AbortSignal[]} */
    const signals = []
    const authorize = (/** @type {Request} */ { signal }) => signals.push(signal) > 0
    const listen = toNodeListener(durableStreams({ engine: open(), authorize }))
    /** @type {import('node:http').ServerResponse[]} */
    const responses = []
    const server = createServer((incoming, response) => {
      responses.push(response)
      listen(incoming, response)
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.after(() => server.close())
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    const url = `http://127.0.0.1:${port}/v1/stream/left`
    const over = (/** @type {number} */ index) => until(() => responses[index]?.closed)
    await (await fetch(url, { method: 'PUT', headers: TEXT })).text()
    await over(0)
    assert.equal(signals[0]?.aborted, false)
    const left = new AbortController()
    const poll = fetch(`${url}?offset=now&live=long-poll`, { signal: left.signal })
    await until(() => signals[1])
    left.abort()
    await assert.rejects(poll, { name: 'AbortError' })
    await over(1)
    assert.equal(signals[1]?.aborted, true)
  })

  test('a body comes in pieces of any size, and is refused where it becomes too large', async (t) => {
    const { at } = await serve(t, { engine: open(), maxBodyBytes: 200_000 })
    await fetch(at('pieces'), { method: 'PUT', headers: TEXT })
    const bytes = Array.from({ length: 500 }, (_, index) => String(index % 10))
    assert.equal((await post(at('pieces'), bytes)).statusCode, 204)
    const large = Array.from({ length: 20 }, () => 'x'.repeat(10_000))
    assert.equal((await post(at('pieces'), large)).statusCode, 204)
    const refused = await post(at('pieces'), [...large, 'x'])
    assert.deepEqual([refused.statusCode, refused.headers.connection], [413, 'close'])
    const text = await (await fetch(at('pieces'))).text()
    assert.ok(text === bytes.join('') + large.join(''), `${text.length} characters`)
  })

  test('a body that a parser has read before is an error of the application, and no empty one', async (t) => {
    const engine = open()
    /** @type {any[]} */
    const errors = []
    const onError = (/** @type {unknown} */ error) => errors.push(error)
    const listen = toNodeListener(durableStreams({ engine, authorize: () => true, onError }))
    const server = createServer(PATIENT, async (incoming, response) => {
      // All of it, or its beginning.
      if (incoming.headers['x-parsed'] === 'whole') for await (const _ of incoming);
      else if (incoming.headers['x-parsed']) {
        await once(incoming, 'readable')
        incoming.read(1)
      }
      listen(incoming, response)
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.after(() => server.close())
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    const url = `http://127.0.0.1:${port}/v1/stream/parsed`
    await fetch(url, { method: 'PUT', headers: TEXT })
    for (const parsed of ['whole', 'part']) {
      const headers = { ...TEXT, 'X-Parsed': parsed, 'Stream-Closed': 'true' }
      assert.equal((await fetch(url, { method: 'POST', headers, body: 'the end' })).status, 500, parsed)
      assert.match(errors.pop()?.message, /read already/)
    }
    const { headers } = await fetch(url, { method: 'HEAD' })
    assert.deepEqual([headers.get('stream-closed'), (await engine.status('parsed'))?.lastSeq], [null, 0])
  })

  test('a body that breaks off appends nothing, and is no error of the server', async (t) => {
    /** @type {any[]} */
    const errors = []
    let asked = 0
    const { server, at, port } = await serve(t, {
      engine: open(),
      authorize: () => ++asked > 0,
      onError: (/** @type {unknown} */ error) => errors.push(error),
    })
    await fetch(at('broken'), { method: 'PUT', headers: TEXT })
    const connected = once(server, 'connection')
    const socket = connect(port, '127.0.0.1')
    const head = [
      'POST /v1/stream/broken HTTP/1.1',
      'Host: x',
      'Content-Type: text/plain',
      'Content-Length: 10',
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\nhalf`)
    const [accepted] = await connected
    await until(() => asked === 2, LONG)
    const closed = new Promise((resolve) => accepted.once('close', resolve))
    socket.destroy()
    await deadline(closed, 20_000, 'the server sees it')
    assert.equal(await (await fetch(at('broken'))).text(), '')
    assert.deepEqual(errors, [])
  })

  test('G7 polls that wait for one stream share a subscription, and each is answered', async (t) => {
    const engine = open()
    let asked = 0
    let most = 0
    const authorize = () => {
      asked++
      most = Math.max(most, engine.metrics().readers)
      return true
    }
    const { at } = await serve(t, { engine, authorize })
    await fetch(at('polls'), { method: 'PUT', headers: TEXT })
    const poll = async (/** @type {string} */ offset, /** @type {AbortSignal | undefined} */ signal) => {
      const response = await fetch(`${at('polls')}?offset=${offset}&live=long-poll`, signal ? { signal } : {})
      return {
        text: await response.text(),
        next: String(response.headers.get('stream-next-offset')),
        closed: response.headers.get('stream-closed'),
      }
    }
    const { headers } = await fetch(at('polls'), { method: 'HEAD' })
    let offsets = Array.from({ length: 20 }, () => String(headers.get('stream-next-offset')))
    const leaving = new AbortController()
    const left = poll(String(offsets[0]), leaving.signal).catch(() => 'left')
    await until(() => engine.metrics().readers === 1, LONG)
    for (const text of ['one', 'two', 'three']) {
      const before = asked
      const polls = offsets.map((offset) => poll(offset, undefined))
      await until(() => asked === before + offsets.length && engine.metrics().readers > 0, LONG)
      if (text === 'two') leaving.abort()
      await fetch(at('polls'), { method: 'POST', headers: TEXT, body: text })
      const answers = await deadline(Promise.all(polls), 20_000, text)
      for (const answer of answers) assert.equal(answer.text, text)
      offsets = answers.map(({ next }) => next)
    }
    assert.ok(['left', 'one'].includes(/** @type {any} */ (await left).text ?? (await left)))
    const last = offsets.map((offset) => poll(offset, undefined))
    await fetch(at('polls'), { method: 'POST', headers: { 'Stream-Closed': 'true' } })
    for (const answer of await deadline(Promise.all(last), 20_000, 'the close')) {
      assert.deepEqual([answer.text, answer.closed], ['', 'true'])
    }
    await until(() => engine.metrics().readers === 0, LONG)
    assert.equal(most, 1)
  })
})
