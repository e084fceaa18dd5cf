// What handlers make of request bodies: bounded, read by whom it concerns, and never the end of the process.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { after, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createAdaptorServer } from '@hono/node-server'
import { createEngine } from 'tidemark'
import { chatRoutes } from 'tidemark/next'
import { serve } from '../support/event-source.mjs'
import { produceAll } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const engine = createEngine({ url: `memory:${randomUUID()}` })
after(() => engine.close())

const KIB = 1024
const MIB = KIB * KIB
const generate = () => ReadableStream.from([{ type: 'start' }, { type: 'finish' }])
const ann = () => 'ann'
const named = (/** @type {string} */ id = randomUUID()) => ({ params: Promise.resolve({ id }) })

/** @param {any} options */
const routes = (options) => chatRoutes({ engine, authorize: ann, generate, ...options })

/** @param {BodyInit | null} body @param {Record<string, string>} [headers] */
const post = (body, headers = {}) => new Request('http://localhost/', { method: 'POST', body, headers })

/** A body that is made as it is read, and what was made of it. */
class Upload {
  sent = 0
  isCancelled = false

  /** @param {number} bytes @param {number} [piece] @param {string} [text] */
  constructor(bytes, piece = 64 * KIB, text = '') {
    const head = Buffer.from(text)
    this.stream = new ReadableStream(
      {
        pull: (controller) => {
          const size = Math.min(piece, bytes - this.sent)
          if (size === 0) return controller.close()
          const from = Buffer.alloc(size, ' ')
          head.copy(from, 0, Math.min(this.sent, head.length))
          this.sent += size
          controller.enqueue(new Uint8Array(from))
        },
        cancel: () => {
          this.isCancelled = true
        },
      },
      { highWaterMark: 0 },
    )
  }

  /** @param {Record<string, string>} [headers] */
  request(headers = {}) {
    const init = { method: 'POST', body: this.stream, headers, duplex: 'half' }
    return new Request('http://localhost/', /** @type {any} */ (init))
  }
}

/** @param {Response} response @param {number} status */
async function refused(response, status) {
  assert.equal(response.status, status)
  const { code, message } = await response.json()
  assert.equal(code, 'ERR_INVALID_ARGUMENT')
  return message
}

test('where the route names the chat, nobody is read who is not let in', async () => {
  for (const authorize of [() => null, async () => new Response(null, { status: 403 })]) {
    const { POST } = routes({ authorize })
    const upload = new Upload(50 * MIB)
    assert.equal((await POST(upload.request(), named())).status, 403)
    assert.deepEqual([upload.sent, upload.isCancelled], [0, false])
    assert.equal((await POST(post('{"'), named())).status, 403)
    assert.equal(
      (await POST(new Upload(50 * MIB).request({ 'content-length': '52428800' }), named())).status,
      403,
    )
  }
  // Where the body does, it has to be read, within its bound.
  let asked = 0
  const { POST } = routes({ authorize: () => void asked++, maxBodyBytes: MIB })
  const upload = new Upload(50 * MIB)
  await refused(await POST(upload.request()), 413)
  assert.ok(upload.sent <= MIB + 64 * KIB, `${upload.sent} bytes`)
  assert.equal((await POST(post('{"id":"x"}'))).status, 403)
  assert.equal(asked, 1)
})

test('more than maxBodyBytes is 413, whatever the header says', async () => {
  let calls = 0
  const { POST } = routes({
    maxBodyBytes: 1000,
    generate: () => {
      calls++
      return generate()
    },
  })
  const json = (/** @type {number} */ bytes) => JSON.stringify({ a: 'x'.repeat(bytes - 8) })
  assert.equal(json(1000).length, 1000)
  assert.equal((await POST(post(json(1000)), named())).status, 200)
  assert.match(await refused(await POST(post(json(1001)), named()), 413), /body: must be at most 1000 bytes/)
  // Bytes, not characters.
  await refused(await POST(post(JSON.stringify({ a: '漢'.repeat(400) })), named()), 413)
  for (const headers of /** @type {Record<string, string>[]} */ ([{}, { 'content-length': '10' }])) {
    const upload = new Upload(MIB, 100)
    await refused(await POST(upload.request(headers), named()), 413)
    assert.ok(upload.sent <= 1100, `${upload.sent} bytes`)
    // Servers hang up on a body that is cancelled, before the answer is sent.
    assert.equal(upload.isCancelled, false)
  }
  const declared = new Upload(MIB)
  await refused(await POST(declared.request({ 'content-length': '1001' }), named()), 413)
  assert.equal(declared.sent, 0)
  const tiny = new Upload(1000, 1, '{}')
  assert.equal((await POST(tiny.request(), named())).status, 200)
  assert.equal(calls, 2)

  const usual = routes({})
  const large = JSON.stringify({ messages: [{ role: 'user', parts: [{ url: 'x'.repeat(15 * MIB) }] }] })
  assert.equal((await usual.POST(post(large), named())).status, 200)
  const upload = new Upload(17 * MIB)
  await refused(await usual.POST(upload.request(), named()), 413)
  assert.ok(upload.sent <= 16 * MIB + 64 * KIB)
  for (const maxBodyBytes of [0, -1, 1.5, '1mb', 128 * MIB + 1, null]) {
    assert.throws(() => routes({ maxBodyBytes }), { field: 'options.maxBodyBytes' })
  }
})

test('hostile JSON is refused, and what is only unusual is taken', async () => {
  /** @type {unknown[]} */
  const bodies = []
  const { POST } = routes({
    generate: (/** @type {any} */ { body }) => {
      bodies.push(body)
      return generate()
    },
  })
  /** @type {[number, string | Uint8Array, RegExp][]} */
  const bad = [
    [400, `{"a":${'['.repeat(2000)}${']'.repeat(2000)}}`, /nested/],
    [400, '['.repeat(8 * MIB), /nested/],
    [400, '{"a":'.repeat(3_000_000), /nested/],
    [413, `[${'1,'.repeat(7 * MIB)}1]`, /values/],
    [413, `[${'{},'.repeat(5 * MIB)}{}]`, /values/],
    [413, `{${'"a":[],'.repeat(2 * MIB)}"a":1}`, /values/],
    [400, `{"a":"${'\\'.repeat(8 * MIB)}`, /JSON/],
    [400, '"'.repeat(8 * MIB), /JSON/],
    [400, ']'.repeat(8 * MIB), /JSON/],
    [400, '{"a":1', /JSON/],
    [400, '', /JSON/],
    [400, 'null', /object/],
    [400, '"text"', /object/],
    [400, '5', /object/],
    [400, new Uint8Array([0xff, 0xfe, 0x7b, 0x7d]), /JSON/],
  ]
  for (const [status, body, message] of bad) {
    assert.match(await refused(await POST(post(/** @type {any} */ (body)), named()), status), message)
    assert.match(await refused(await POST(post(/** @type {any} */ (body))), status), message)
  }
  assert.equal(bodies.length, 0)
  const strange = {
    a: '"]}[{,\\"\\',
    b: `${'[{,'.repeat(500_000)}`,
    '\\"[': '\u0000\u2028',
    deep: JSON.parse(`${'['.repeat(900)}${']'.repeat(900)}`),
  }
  const good = [JSON.stringify(strange), `\uFEFF${JSON.stringify(strange)}`, '{"__proto__":{"polluted":1}}']
  for (const body of good) assert.equal((await POST(post(body), named())).status, 200)
  assert.deepEqual(bodies[0], strange)
  assert.deepEqual(bodies[1], strange)
  assert.equal(/** @type {any} */ ({}).polluted, undefined)
})

test('authorize may read the body, or a copy of it', async () => {
  const body = { id: 'x', messages: [], token: 'secret' }
  /** @type {unknown[]} */
  const seen = []
  /** @type {((request: Request) => Promise<unknown>)[]} */
  const readings = [
    (request) => request.json(),
    async (request) => JSON.parse(await request.text()),
    (request) => request.clone().json(),
    async (request) => JSON.parse(Buffer.from(await request.arrayBuffer()).toString()),
    async (request) => JSON.parse(await (await request.blob()).text()),
    async (request) => {
      await request.text()
      return request.json()
    },
  ]
  for (const [index, read] of readings.entries()) {
    const { POST } = routes({
      authorize: async (/** @type {Request} */ request) =>
        /** @type {any} */ (await read(request)).token === 'secret' ? 'ann' : null,
      generate: (/** @type {any} */ given) => {
        seen.push(given.body)
        return generate()
      },
    })
    const request = post(JSON.stringify(body))
    assert.equal((await POST(request, named())).status, 200, `reading ${index}`)
    assert.deepEqual(seen.pop(), body)
    assert.deepEqual(Object.keys(request), [])
    assert.equal(request.json, Request.prototype.json)
    assert.equal((await POST(post('{"token":"wrong"}'), named())).status, 403)
  }
  // What is used up behind our back is said to be so.
  const { POST } = routes({
    authorize: async (/** @type {Request} */ request) => {
      for await (const _ of request.body ?? []);
      return 'ann'
    },
  })
  assert.match(await refused(await POST(post('{}'), named()), 400), /read already/)
  const used = post('{}')
  await used.text()
  assert.match(await refused(await routes({}).POST(used, named()), 400), /read already/)
})

test('a body that breaks off is its sender’s error', async () => {
  const broken = () => {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(Buffer.from('{"id":"x",'))
      },
      pull: (controller) => controller.error(new Error('ECONNRESET')),
    })
    return new Request(
      'http://localhost/',
      /** @type {any} */ ({ method: 'POST', body: stream, duplex: 'half' }),
    )
  }
  assert.match(await refused(await routes({}).POST(broken(), named()), 400), /broke off/)
  assert.match(await refused(await routes({}).POST(broken()), 400), /broke off/)
  assert.match(await refused(await engine.acknowledge(broken(), 'x'), 400), /broke off/)
})

test('acknowledge takes 4 KiB, in every form', async () => {
  const { generation } = await produceAll(engine, 'acks', ['a'])
  const good = JSON.stringify({ cursor: `${generation}.1`, consumer: 'ann' })
  const padded = (/** @type {number} */ bytes) => good.padEnd(bytes)
  assert.equal((await engine.acknowledge(post(padded(4096)), 'acks')).status, 204)
  assert.match(await refused(await engine.acknowledge(post(padded(4097)), 'acks'), 413), /at most 4096 bytes/)
  await refused(await engine.acknowledge(post(JSON.stringify({ x: '漢'.repeat(2000) })), 'acks'), 413)
  const upload = new Upload(MIB, 100)
  await refused(await engine.acknowledge(upload.request(), 'acks'), 413)
  assert.ok(upload.sent <= 4200)
  assert.equal(upload.isCancelled, false)
  async function* pieces() {
    for (const byte of Buffer.from(padded(4096))) yield new Uint8Array([byte])
  }
  assert.equal((await engine.acknowledge(pieces(), 'acks')).status, 204)
  assert.equal((await engine.acknowledge({ body: JSON.parse(good) }, 'acks')).status, 204)
  assert.match(await refused(await engine.acknowledge(post(`[${'['.repeat(1500)}`), 'acks'), 400), /nested/)
})

test('over HTTP the refusal arrives, and a sender that vanishes is nobody’s error', async () => {
  /** @type {Promise<Response>[]} */
  const acknowledged = []
  const { url } = await serve((request) => {
    const response = engine.acknowledge(request, 'acks')
    acknowledged.push(response)
    return response
  })
  /** @type {Promise<Response>[]} */
  const posted = []
  const { POST } = routes({ maxBodyBytes: MIB })
  const hono = createAdaptorServer({
    fetch: (/** @type {Request} */ request) => {
      const response = POST(request, named())
      posted.push(response)
      return response
    },
  })
  await new Promise((resolve) => hono.listen(0, '127.0.0.1', () => resolve(undefined)))
  after(() => /** @type {import('node:http').Server} */ (hono).closeAllConnections())
  after(() => hono.close())
  const { port } = /** @type {import('node:net').AddressInfo} */ (hono.address())

  for (const [place, answers] of /** @type {const} */ ([
    [url, acknowledged],
    [`http://127.0.0.1:${port}`, posted],
  ])) {
    for (const length of [undefined, 8 * MIB]) {
      const { status, body } = await deadline(upload(place, 8 * MIB, length), 10_000, 'the refusal')
      assert.equal(status, 413)
      assert.equal(JSON.parse(body).code, 'ERR_INVALID_ARGUMENT')
    }
    const before = answers.length
    const vanishing = httpRequest(place, { method: 'POST' })
    vanishing.on('error', () => {})
    vanishing.write('{"cursor":')
    await until(() => answers.length > before)
    vanishing.destroy()
    const response = await deadline(/** @type {Promise<Response>} */ (answers.at(-1)), 20_000, 'an end')
    assert.equal(response.status, 400)
  }
  await turn()
})

/** Sends a body as a client does that listens meanwhile. @param {string} url @param {number} bytes @param {number} [length] */
function upload(url, bytes, length) {
  const headers = length === undefined ? undefined : { 'content-length': length }
  return new Promise((/** @type {(value: { status?: number, body: string }) => void} */ resolve, reject) => {
    const sending = httpRequest(url, { method: 'POST', headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text) => {
        body += text
      })
      response.on('end', () => {
        resolve({ status: response.statusCode, body })
        sending.destroy()
      })
    })
    sending.on('error', reject)
    const piece = Buffer.alloc(64 * KIB, ' ')
    let left = bytes
    const more = () => {
      while (left > 0) {
        left -= piece.length
        if (!sending.write(piece)) return void sending.once('drain', more)
      }
      sending.end()
    }
    more()
  })
}
