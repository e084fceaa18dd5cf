// Requests as a client sends them that means harm, or is broken, byte by byte: each is refused, and nothing is half written.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { durableStreams, toNodeListener } from 'tidemark/durable-streams'
import { PATIENT } from '../support/patient.mjs'
import { startServe } from '../support/serving.mjs'
import { eachStore } from '../support/stores.mjs'
import { deadline } from '../support/wait.mjs'

const TEXT = { 'Content-Type': 'text/plain' }
const KEPT = '/v1/stream/kept'
const LAST = 'Connection: close'

/** @param {string[]} lines @param {string | Buffer} [body] */
const bytes = (lines, body = '') =>
  Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), Buffer.from(body)])

/** An append of text. @param {string[]} headers @param {string | Buffer} [body] @param {string} [path] */
const post = (headers, body, path = KEPT) =>
  bytes([`POST ${path} HTTP/1.1`, 'Host: localhost', 'Content-Type: text/plain', ...headers], body)

const chunked = (/** @type {string} */ body) => post(['Transfer-Encoding: chunked', LAST], body)

/** @param {string} method @param {string} target @param {string[]} [headers] @param {string} [body] */
const ask = (method, target, headers = [], body = '') =>
  bytes([`${method} ${target} HTTP/1.1`, 'Host: localhost', LAST, ...headers], body)

const DELETION = `DELETE ${KEPT} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const long = 'x'.repeat(513)

/** What is sent; what the answer's status line or code matches. @type {[what: string, sent: Buffer, answer: RegExp][]} */
const REFUSED = [
  ['a chunk size that is none', chunked('zz\r\nhalf\r\n0\r\n\r\n'), /^HTTP\/1.1 400/],
  ['a negative chunk size', chunked('-1\r\nhalf\r\n0\r\n\r\n'), /^HTTP\/1.1 400/],
  ['a chunk size beyond 64 bits', chunked('fffffffffffffffff\r\nhalf\r\n0\r\n\r\n'), /^HTTP\/1.1 400/],
  ['a chunk longer than its size', chunked('1\r\nhalf\r\n0\r\n\r\n'), /^HTTP\/1.1 400/],
  ['a bare LF after a chunk size', chunked('4\nhalf\r\n0\r\n\r\n'), /^HTTP\/1.1 400/],
  [
    'an endless chunk extension',
    chunked(`4;${'x'.repeat(100_000)}\r\nhalf\r\n0\r\n\r\n`),
    /^HTTP\/1.1 4(00|13)/,
  ],
  [
    'a length and chunks',
    post(['Content-Length: 4', 'Transfer-Encoding: chunked', LAST], '4\r\nhalf\r\n0\r\n\r\n'),
    /^HTTP\/1.1 400/,
  ],
  ['two lengths', post(['Content-Length: 4', 'Content-Length: 5', LAST], 'half!'), /^HTTP\/1.1 400/],
  ['a list of lengths', post(['Content-Length: 4, 4', LAST], 'half'), /^HTTP\/1.1 400/],
  ['a negative length', post(['Content-Length: -4', LAST], 'half'), /^HTTP\/1.1 400/],
  ['a length that is none', post(['Content-Length: 4x', LAST], 'half'), /^HTTP\/1.1 400/],
  [
    'a body that is larger than it may be',
    post([`Content-Length: ${1 << 30}`, LAST], 'half'),
    /^HTTP\/1.1 413.*too_large/s,
  ],
  [
    'chunks that are not last',
    post(['Transfer-Encoding: chunked, gzip', LAST], '4\r\nhalf\r\n0\r\n\r\n'),
    /^HTTP\/1.1 (400|501)/,
  ],
  [
    'packed chunks',
    post(['Transfer-Encoding: gzip, chunked', LAST], '4\r\nhalf\r\n0\r\n\r\n'),
    /^HTTP\/1.1 (400|501)/,
  ],
  [
    'a packed body',
    post(['Content-Encoding: gzip', 'Content-Length: 4', LAST], 'half'),
    /^HTTP\/1.1 415.*bad_encoding/s,
  ],
  ['two types', post(['Content-Type: text/html', 'Content-Length: 4', LAST], 'half'), /^HTTP\/1.1 (400|409)/],
  ['a header with NUL', post(['Stream-Seq: a\0b', 'Content-Length: 4', LAST], 'half'), /^HTTP\/1.1 400/],
  [
    'a header with a bare CR',
    post(['Stream-Seq: a\rX: b', 'Content-Length: 4', LAST], 'half'),
    /^HTTP\/1.1 400/,
  ],
  ['a folded header', post(['Stream-Seq: a', ' b', 'Content-Length: 4', LAST], 'half'), /^HTTP\/1.1 400/],
  ['a space before the colon', post(['Content-Length : 4', LAST], 'half'), /^HTTP\/1.1 400/],
  [
    'no host',
    bytes([`POST ${KEPT} HTTP/1.1`, 'Content-Type: text/plain', 'Content-Length: 4', LAST], 'half'),
    /^HTTP\/1.1 400/,
  ],
  ['a version that is none', bytes([`GET ${KEPT} HTTP/3.7`, 'Host: localhost']), /^HTTP\/1.1 (400|505)/],
  ['a method in lower case', ask('delete', KEPT), /^HTTP\/1.1 400/],
  [
    'a method of others',
    ask(
      'PATCH',
      KEPT,
      [...Object.entries(TEXT).map(([name, value]) => `${name}: ${value}`), 'Content-Length: 4'],
      'half',
    ),
    /^HTTP\/1.1 405.*Allow: GET.*"method"/s,
  ],
  [
    'an expectation that is none',
    post(['Expect: miracles', 'Content-Length: 4', LAST], 'half'),
    /^HTTP\/1.1 417/,
  ],
  ['headers without end', ask('GET', KEPT, [`X: ${'x'.repeat(100_000)}`]), /^HTTP\/1.1 431/],
  ...[
    `${KEPT}/../kept`,
    '/v1/stream/%2e%2e/stream/kept',
    '/v1/stream/x/.%2E/kept',
    '/v1/stream/x\\..\\kept',
    `${KEPT}/.`,
    `${KEPT}#x`,
  ].map(
    (target) =>
      /** @type {[string, Buffer, RegExp]} */ ([
        `the path ${target}`,
        ask('DELETE', target),
        /^HTTP\/1.1 400.*bad_address/s,
      ]),
  ),
  ...[
    'x%2f..%2fkept',
    '..%2fkept',
    '%2e%2e%2fkept',
    'x%00',
    'x%0d%0aX-Injected:%201',
    '%ff',
    '%c0%ae',
    long,
    'é'.repeat(300),
  ].map(
    (id) =>
      /** @type {[string, Buffer, RegExp]} */ ([
        `the id ${id.slice(0, 30)}`,
        ask('PUT', `/v1/stream/${encodeURI(id).replace(/%25/g, '%')}`),
        /^HTTP\/1.1 400.*bad_id/s,
      ]),
  ),
  ...['__ds/x', '%5f%5fds/x', '__ds%2fx'].map(
    (id) =>
      /** @type {[string, Buffer, RegExp]} */ ([
        `the id ${id}`,
        ask('PUT', `/v1/stream/${id}`),
        /^HTTP\/1.1 404/,
      ]),
  ),
  ...[
    ['Producer-Id: p', 'Producer-Epoch: 0'],
    ['Producer-Id: p', 'Producer-Epoch: 0', 'Producer-Seq: 0', 'Producer-Seq: 1'],
    ['Producer-Id: p', 'Producer-Epoch: 0', 'Producer-Seq:'],
    ['Producer-Id: p', 'Producer-Epoch: 0x0', 'Producer-Seq: 0'],
    ['Producer-Id: p', 'Producer-Epoch: 0', 'Producer-Seq: \xb2'],
    ['Producer-Id: p', 'Producer-Epoch: 0', 'Producer-Seq: 99999999999999999999'],
    ['Producer-Id:', 'Producer-Epoch: 0', 'Producer-Seq: 0'],
  ].map(
    (headers) =>
      /** @type {[string, Buffer, RegExp]} */ ([
        headers.join(', '),
        post([...headers, 'Content-Length: 4', LAST], 'half'),
        /^HTTP\/1.1 400.*bad_producer/s,
      ]),
  ),
  [
    'a first append that is not the first',
    post(['Producer-Id: p', 'Producer-Epoch: 9', 'Producer-Seq: 1', 'Content-Length: 4', LAST], 'half'),
    /^HTTP\/1.1 409.*Producer-Expected-Seq: 0/s,
  ],
  [
    'an order without end',
    post([`Stream-Seq: ${'9'.repeat(1025)}`, 'Content-Length: 4', LAST], 'half'),
    /^HTTP\/1.1 400.*bad_seq/s,
  ],
  [
    'an order that is none',
    post(['Stream-Seq:', 'Content-Length: 4', LAST], 'half'),
    /^HTTP\/1.1 400.*bad_seq/s,
  ],
  [
    'a close that is not said clearly',
    post(['Stream-Closed: true, true', LAST], ''),
    /^HTTP\/1.1 400.*empty/s,
  ],
]

/** Sends bytes, and returns all that comes until the connection ends. @param {number} port @param {Buffer} sent */
function exchange(port, sent) {
  const socket = connect(port, '127.0.0.1')
  socket.write(sent)
  let answer = ''
  socket.setEncoding('latin1').on('data', (text) => {
    answer += text
  })
  // What was refused before it was read resets the connection.
  socket.on('error', () => {})
  return deadline(
    new Promise((resolve) => socket.once('close', () => resolve(answer))).finally(() => socket.destroy()),
    20_000,
    `an answer to ${JSON.stringify(sent.toString('latin1', 0, 200))}`,
  )
}

eachStore('a hostile client of Durable Streams', (store) => {
  /** Both ways to listen. @type {Record<string, (t: import('node:test').TestContext) => Promise<{ port: number, errors: () => string }>>} */
  const ways = {
    'node:http': async (t) => {
      const engine = createEngine({ url: store.url, keyPrefix: store.prefix() })
      /** @type {unknown[]} */
      const errors = []
      const onError = (/** @type {unknown} */ error) => errors.push(error)
      const handle = durableStreams({ engine, authorize: () => true, onError })
      const server = createServer(PATIENT, toNodeListener(handle))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      t.after(async () => {
        server.closeAllConnections()
        server.close()
        await engine.close()
      })
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
      return { port, errors: () => errors.map(String).join('\n') }
    },
    'tidemark serve': async (t) => {
      const url = store.kind === 'memory' ? 'memory:' : store.url
      const server = await startServe(['--url', url, '--prefix', store.prefix()])
      t.after(() => server.stop('SIGKILL'))
      return { port: Number(new URL(server.address).port), errors: server.errors }
    },
  }

  for (const [way, open] of Object.entries(ways)) {
    test(`what is refused changes nothing, and hurts nobody else [${way}]`, async (t) => {
      const { port, errors } = await open(t)
      const kept = `http://127.0.0.1:${port}${KEPT}`
      await fetch(kept, { method: 'PUT', headers: TEXT, body: 'kept' })
      for (const [what, sent, expected] of REFUSED) {
        const answer = String(await exchange(port, sent))
        assert.match(answer, expected, what)
        assert.doesNotMatch(answer, /^X-Injected/im)
        assert.equal(await (await fetch(kept)).text(), 'kept', what)
      }
      assert.equal(errors(), '')
    })

    test(`a body that belongs to a request is no request of its own [${way}]`, async (t) => {
      const { port, errors } = await open(t)
      const kept = `http://127.0.0.1:${port}${KEPT}`
      await fetch(kept, { method: 'PUT', headers: TEXT, body: 'kept' })
      const length = `Content-Length: ${DELETION.length}`
      for (const [method, target] of [
        ['GET', KEPT],
        ['HEAD', KEPT],
        ['OPTIONS', KEPT],
        ['DELETE', '/v1/stream/other'],
        ['PATCH', KEPT],
        ['GET', '/metrics'],
      ]) {
        const sent = bytes([`${method} ${target} HTTP/1.1`, 'Host: localhost', length], DELETION)
        const socket = connect(port, '127.0.0.1').on('error', () => {})
        socket.write(sent)
        const [answer] = await deadline(once(socket.setEncoding('latin1'), 'data'), 20_000, String(method))
        assert.match(answer, /^HTTP\/1.1 (200|204|404|405) /, `${method} ${target}`)
        socket.end(`GET ${KEPT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
        await deadline(once(socket.resume(), 'close'), 20_000, 'its end')
        assert.equal(await (await fetch(kept)).text(), 'kept', `${method} ${target}`)
      }
      assert.equal(errors(), '')
    })

    test(`G1 a body that breaks off half-way appends nothing and makes nothing [${way}]`, async (t) => {
      const { port, errors } = await open(t)
      const at = (/** @type {string} */ id) => `http://127.0.0.1:${port}/v1/stream/${id}`
      const json = ['Content-Type: application/json']
      await fetch(at('half'), { method: 'PUT', headers: { 'Content-Type': 'application/json' } })
      const large = `"${'x'.repeat(2 << 20)}"`
      for (const [method, id] of /** @type {const} */ ([
        ['POST', 'half'],
        ['PUT', 'never'],
      ])) {
        for (const body of ['1', '[1,2', large]) {
          for (const [length, sent] of /** @type {[string, string][]} */ ([
            [`Content-Length: ${body.length + 1}`, body],
            ['Transfer-Encoding: chunked', `${body.length.toString(16)}\r\n${body}\r\n`],
          ])) {
            const lines = [`${method} /v1/stream/${id} HTTP/1.1`, 'Host: localhost', ...json, length]
            for (const breakOff of /** @type {const} */ (['resetAndDestroy', 'end'])) {
              const socket = connect(port, '127.0.0.1').on('error', () => {})
              const closed = new Promise((resolve) => socket.resume().once('close', resolve))
              await new Promise((resolve) => socket.write(bytes(lines, sent), resolve))
              socket[breakOff]()
              await deadline(closed, 20_000, `the end of ${method} ${length}`)
            }
          }
        }
      }
      const appended = { 'Content-Type': 'application/json' }
      await fetch(at('half'), { method: 'POST', headers: appended, body: '{"whole":true}' })
      assert.equal(await (await fetch(at('half'))).text(), '[{"whole":true}]')
      assert.equal((await fetch(at('never'))).status, 404)
      assert.equal(errors(), '')
    })

    test(`G1 G3 what is sent without waiting for answers is done in its order [${way}]`, async (t) => {
      const { port } = await open(t)
      const kept = `http://127.0.0.1:${port}${KEPT}`
      await fetch(kept, { method: 'PUT', headers: TEXT })
      const count = 50
      const appends = Array.from({ length: count }, (_, seq) =>
        post(
          [
            `Producer-Id: p`,
            'Producer-Epoch: 0',
            `Producer-Seq: ${seq}`,
            'Expect: 100-continue',
            'Content-Length: 3',
          ],
          `${String(seq).padStart(2, '0')} `,
        ),
      )
      const answer = String(await exchange(port, Buffer.concat([...appends, ask('GET', KEPT)])))
      const statuses = [...answer.matchAll(/^HTTP\/1.1 (\d+)/gm)]
        .map(([, status]) => status)
        .filter((status) => status !== '100')
      assert.deepEqual(statuses.slice(0, -1), Array(count).fill('200'))
      const expected = Array.from({ length: count }, (_, seq) => `${String(seq).padStart(2, '0')} `).join('')
      assert.equal(await (await fetch(kept)).text(), expected)
    })

    test(`a page of another origin may ask what it may do, without a token [${way}]`, async (t) => {
      const { port } = await open(t)
      const asked = [
        'Origin: https://chat.example',
        'Access-Control-Request-Method: POST',
        'Access-Control-Request-Headers: authorization,producer-id',
      ]
      const answer = String(await exchange(port, ask('OPTIONS', KEPT, asked)))
      assert.match(answer, /^HTTP\/1.1 204 /)
      assert.match(answer, /^Access-Control-Allow-Origin: \*\r$/im)
      assert.match(answer, /^Access-Control-Allow-Methods: .*\bPOST\b/im)
      assert.match(answer, /^Access-Control-Allow-Headers: .*\bAuthorization\b.*\bProducer-Id\b/im)
      // With cookies of another origin nothing is ever answered to it.
      assert.doesNotMatch(answer, /Allow-Credentials/i)
    })
  }
})
