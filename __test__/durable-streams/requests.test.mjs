// The handler beyond the conformance suite: who may, what is refused and leaves nothing behind, and headers of our own.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { durableStreams } from 'tidemark/durable-streams'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const HOST = 'http://streams.test'
const TEXT = { 'Content-Type': 'text/plain' }
const JSON_TYPE = { 'Content-Type': 'application/json' }

/** What a test sends. @typedef {{ method?: string, headers?: Record<string, string>, body?: any, signal?: AbortSignal }} Sent */

/** @param {Omit<import('tidemark/durable-streams').DurableStreamsOptions, 'authorize'> & { authorize?: any }} options */
function client(options) {
  const handle = durableStreams({ authorize: () => true, ...options })
  return (/** @type {string} */ path, /** @type {Sent} */ init = {}) =>
    handle(new Request(`${HOST}${path}`, /** @type {any} */ ({ ...init, duplex: 'half' })))
}

eachStore('durable streams', (store) => {
  const open = useEngines(store)

  test('authorize is asked before anything is done, with what is to be done', async () => {
    const engine = open()
    /** @type {string[]} */
    const asked = []
    /** @type {any} */
    let permission = false
    const send = client({
      engine,
      prefix: '/api/streams/',
      authorize: (/** @type {Request} */ _, /** @type {string} */ id, /** @type {string} */ action) => {
        asked.push(`${action} ${id}`)
        return permission
      },
    })
    const path = '/api/streams/runs%2Fa b'
    for (const [init, action] of /** @type {[Sent, string][]} */ ([
      [{ method: 'PUT', headers: TEXT }, 'create'],
      [{ method: 'PUT', headers: { ...TEXT, 'Stream-Closed': 'true' } }, 'create'],
      [{ method: 'POST', headers: TEXT, body: 'x' }, 'append'],
      [{ method: 'POST', headers: { 'Stream-Closed': 'true' } }, 'close'],
      [{ method: 'POST', headers: { ...TEXT, 'Stream-Closed': 'true' }, body: 'x' }, 'append'],
      // Nobody knows yet whether there is something in it.
      [
        { method: 'POST', headers: { ...TEXT, 'Stream-Closed': 'true' }, body: new Blob(['x']).stream() },
        'append',
      ],
      [{ method: 'POST', headers: { 'Stream-Closed': 'no' } }, 'append'],
      [{}, 'read'],
      [{ method: 'HEAD' }, 'read'],
      [{ method: 'DELETE' }, 'delete'],
    ])) {
      const { status } = await send(path, init)
      assert.deepEqual([status, asked.pop()], [403, `${action} runs/a b`])
    }
    assert.equal(await engine.status('runs/a b'), null)
    // Whoever may append and not close does not close with an append.
    permission = true
    await send(path, { method: 'PUT', headers: TEXT })
    permission = undefined
    const appending = client({
      engine,
      prefix: '/api/streams/',
      authorize: (/** @type {Request} */ _, /** @type {string} */ __, /** @type {string} */ action) =>
        action === 'append',
    })
    const closing = { method: 'POST', headers: { ...TEXT, 'Stream-Closed': 'true' }, body: 'x' }
    assert.equal((await appending(path, closing)).status, 403)
    assert.equal((await appending(path, { ...closing, body: new Blob([]).stream() })).status, 403)
    assert.equal((await engine.status('runs/a b'))?.lastSeq, 0)
    assert.equal((await appending(path, { ...closing, headers: TEXT })).status, 204)
    permission = new Response('who?', { status: 401 })
    assert.equal((await send(path)).status, 401)
    for (permission of [undefined, null, 'yes', {}, 0]) assert.equal((await send(path)).status, 403)
    assert.throws(() => durableStreams(/** @type {any} */ ({ engine })), {
      code: 'ERR_INVALID_ARGUMENT',
      field: 'options.authorize',
    })
    for (const prefix of ['x', '/a b/', '/ä/', '/a/../', '//host/', '/a?/', `/${'x'.repeat(1024)}/`]) {
      assert.throws(() => durableStreams({ engine, authorize: () => true, prefix }), {
        field: 'options.prefix',
      })
    }
    for (const field of ['signal', 'onError', 'maxBodyBytes']) {
      const options = /** @type {any} */ ({ engine, authorize: () => true, [field]: null })
      assert.throws(() => durableStreams(options), { field: `options.${field}` })
    }
    assert.throws(() => durableStreams(/** @type {any} */ ({ engine, authorize: () => true, other: 1 })), {
      field: 'options.other',
      message: /only engine, authorize, prefix, .* are/,
    })
    assert.throws(() => durableStreams(/** @type {any} */ (undefined)), { field: 'options.engine' })
  })

  test('G10 a stream belongs to the owner that authorize names', async () => {
    const engine = open()
    const as = (/** @type {string} */ owner) => client({ engine, authorize: () => ({ owner }) })
    const [anna, ben] = [as('anna'), as('ben')]
    assert.equal((await anna('/v1/stream/mine', { method: 'PUT', headers: TEXT, body: 'a' })).status, 201)
    for (const init of [
      {},
      { method: 'HEAD' },
      { method: 'DELETE' },
      { method: 'POST', headers: TEXT, body: 'b' },
      { method: 'PUT', headers: TEXT },
    ]) {
      assert.equal((await ben('/v1/stream/mine', init)).status, 403, init.method)
    }
    assert.equal(await (await anna('/v1/stream/mine')).text(), 'a')
  })

  test('ids: encoded slashes belong to them; dots between slashes, control characters and broken escapes are refused', async () => {
    const engine = open()
    const send = client({ engine })
    assert.equal((await send('/v1/stream/a%2Fb', { method: 'PUT' })).status, 201)
    assert.notEqual(await engine.status('a/b'), null)
    assert.equal((await send('/v1/stream/a/b', { method: 'PUT' })).status, 200)
    for (const id of [
      '',
      '%00',
      'a%0Ab',
      'a%2F..%2Fb',
      '..%2Fb',
      '.%2Fb',
      'a%2F.',
      '%E0%A4%A',
      '%7F',
      'x'.repeat(513),
    ]) {
      const answer = await send(`/v1/stream/${id}`, { method: 'PUT' })
      assert.equal(answer.status, 400, id)
      assert.equal((await answer.json()).code, 'bad_id')
    }
    assert.equal((await send('/v1/stream/__ds/x', { method: 'PUT' })).status, 404)
    assert.equal(
      (await send('/v1/stream/../../etc', { method: 'PUT' })).status,
      404,
      'the URL has no dots left',
    )
    assert.equal((await send('/elsewhere', { method: 'PUT' })).status, 404)
    const html = { 'Content-Type': 'text/html' }
    await send('/v1/stream/page', { method: 'PUT', headers: html, body: '<script>alert(1)</script>' })
    for (const query of ['', '?offset=-1&live=long-poll']) {
      const { headers } = await send(`/v1/stream/page${query}`)
      assert.deepEqual(
        ['content-type', 'content-security-policy', 'x-content-type-options'].map((name) =>
          headers.get(name),
        ),
        ['text/html', 'sandbox', 'nosniff'],
      )
    }
    const injected = await send('/v1/stream/%22%3E%3Cscript%3E', { method: 'PUT', body: 'x', headers: TEXT })
    assert.equal(injected.headers.get('location'), `${HOST}/v1/stream/%22%3E%3Cscript%3E`)
  })

  test('bodies that are too large or malformed leave nothing behind', async () => {
    const engine = open()
    /** @type {unknown[]} */
    const errors = []
    const onError = (/** @type {unknown} */ error) => errors.push(error)
    const send = client({ engine, maxBodyBytes: 3 << 20, onError })
    const length = async (/** @type {string} */ id) => (await engine.status(id))?.lastSeq
    await send('/v1/stream/bodies', { method: 'PUT', headers: JSON_TYPE })
    const many = JSON.stringify(Array.from({ length: 3 }, () => 'x'.repeat(500_000)))
    for (const [body, status] of /** @type {[any, number][]} */ ([
      ['{"a":', 400],
      ['', 400],
      ['[]', 400],
      [new Uint8Array([0x22, 0xff, 0x22]), 400],
      [`"${'x'.repeat(4 << 20)}"`, 413],
      [many, 413],
      // More than can be appended at once as it was sent, whatever its messages have.
      [`[1,${' '.repeat(1 << 20)}2]`, 413],
    ])) {
      const answer = await send('/v1/stream/bodies', { method: 'POST', headers: JSON_TYPE, body })
      assert.equal(answer.status, status, String(body).slice(0, 20))
      assert.match((await answer.json()).code, /^(bad_json|empty|too_large)$/)
    }
    // Of unknown length: refused while it comes.
    let sent = 0
    const endless = new ReadableStream({
      pull(controller) {
        sent += 1 << 20
        controller.enqueue(new Uint8Array(1 << 20))
      },
    })
    assert.equal(
      (await send('/v1/stream/bodies', { method: 'POST', headers: JSON_TYPE, body: endless })).status,
      413,
    )
    assert.ok(sent < 20 << 20)
    const broken = () =>
      new ReadableStream({
        start: (controller) => controller.enqueue(Buffer.from('"half')),
        pull: (controller) => controller.error(new Error('the client is gone')),
      })
    const half = await send('/v1/stream/bodies', { method: 'POST', headers: JSON_TYPE, body: broken() })
    assert.deepEqual([half.status, (await half.json()).code], [400, 'bad_body'])
    const control = client({ engine, onError, subscriptions: {} })
    const subscribed = await control('/v1/stream/__ds/subscriptions/s', { method: 'PUT', body: broken() })
    assert.deepEqual([subscribed.status, (await subscribed.json()).error.code], [400, 'INVALID_REQUEST'])
    assert.equal(await length('bodies'), 0)
    assert.deepEqual(errors, [], 'none of this is the server’s fault')
    const one = `"${'y'.repeat(2 << 20)}"`
    assert.equal(
      (await send('/v1/stream/bodies', { method: 'POST', headers: JSON_TYPE, body: one })).status,
      204,
    )
    assert.equal(await (await send('/v1/stream/bodies')).text(), `[${one}]`)
    // Values that are far larger than their text, or too deep to be walked through.
    const usual = client({ engine, onError })
    for (const [body, status] of /** @type {const} */ ([
      [`[[${'{},'.repeat(1_000_000)}{}]]`, 413],
      [`${'['.repeat(20_000)}${']'.repeat(20_000)}`, 400],
    ])) {
      for (const [method, id] of /** @type {const} */ ([
        ['POST', 'bodies'],
        ['PUT', 'heavy'],
      ])) {
        const answer = await usual(`/v1/stream/${id}`, { method, headers: JSON_TYPE, body })
        assert.equal(answer.status, status)
        assert.match((await answer.json()).code, /^(bad_json|too_large)$/)
      }
    }
    assert.deepEqual(errors, [])
    assert.equal(await length('bodies'), 1)
    assert.equal(await engine.status('heavy'), null)
    assert.equal(
      (await send('/v1/stream/made', { method: 'PUT', headers: JSON_TYPE, body: '{' })).status,
      400,
    )
    assert.equal(await engine.status('made'), null)
  })

  test('messages are kept as they were sent, each for itself', async () => {
    const send = client({ engine: open() })
    const sent = [
      '12345678901234567890',
      '1e400',
      '{"a":1,"a":2}',
      '"]},[{\\\\\\""',
      '[1, [2], "\\\\"]',
      '[]',
      '-0',
      '{"text":"ü\\ud800,"}',
      'null',
      '[['.repeat(400) + ']]'.repeat(400),
    ]
    const append = async (/** @type {string} */ body) =>
      send('/v1/stream/kept', { method: 'POST', headers: JSON_TYPE, body })
    await send('/v1/stream/kept', { method: 'PUT', headers: JSON_TYPE, body: ` [ ${sent.join(' ,\n')}\t] ` })
    const read = async () => (await send('/v1/stream/kept')).text()
    assert.equal(await read(), `[${sent.join(',')}]`)
    for (const [index, message] of sent.entries()) {
      // One that is an array has to be in another one.
      assert.equal(
        (await append(index % 2 === 0 && message[0] !== '[' ? message : `[${message}]`)).status,
        204,
      )
    }
    assert.equal(await read(), `[${[...sent, ...sent].join(',')}]`)
    const events = await send('/v1/stream/kept?offset=-1&live=sse')
    const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader()
    const { value = '' } = (await reader?.read()) ?? {}
    assert.equal(/^event: data\ndata:(.*)\n\n/.exec(value)?.[1], `[${[...sent, ...sent].join(',')}]`)
    await reader?.cancel()
  })

  test('a PUT with a large body that closes is repeated without harm, and is another one without the closing', async () => {
    const body = 'z'.repeat(2 << 20)
    const closing = { ...TEXT, 'Stream-Closed': 'true' }
    const put = async (/** @type {Record<string, string>} */ headers) => {
      const answer = await client({ engine: open() })('/v1/stream/whole', { method: 'PUT', headers, body })
      return [answer.status, answer.headers.get('stream-closed')]
    }
    assert.deepEqual(await put(closing), [201, 'true'])
    assert.deepEqual(await put(closing), [200, 'true'])
    assert.equal((await put(TEXT))[0], 409)
    assert.equal((await open().status('whole'))?.lastSeq, 1)
    // It closes none that is there.
    const send = client({ engine: open() })
    await send('/v1/stream/open', { method: 'PUT', headers: TEXT })
    assert.equal((await send('/v1/stream/open', { method: 'PUT', headers: closing })).status, 409)
    assert.equal((await open().status('open'))?.state, 'active')
  })

  test('producer headers go together, and are numbers', async () => {
    const engine = open()
    const send = client({ engine })
    await send('/v1/stream/p', { method: 'PUT', headers: TEXT })
    const whole = { 'Producer-Id': 'p', 'Producer-Epoch': '0', 'Producer-Seq': '0' }
    for (const headers of [
      { 'Producer-Id': 'p' },
      { 'Producer-Epoch': '0', 'Producer-Seq': '0' },
      { ...whole, 'Producer-Id': '' },
      { ...whole, 'Producer-Seq': '-1' },
      { ...whole, 'Producer-Seq': '1e3' },
      { ...whole, 'Producer-Epoch': '9007199254740992' },
      { ...whole, 'Producer-Id': 'x'.repeat(257) },
    ]) {
      const answer = await send('/v1/stream/p', {
        method: 'POST',
        headers: { ...TEXT, ...headers },
        body: 'x',
      })
      assert.deepEqual(
        [answer.status, (await answer.json()).code],
        [400, 'bad_producer'],
        JSON.stringify(headers),
      )
    }
    const last = { ...whole, 'Producer-Epoch': '9007199254740991' }
    assert.equal(
      (await send('/v1/stream/p', { method: 'POST', headers: { ...TEXT, ...last }, body: 'x' })).status,
      200,
    )
    const absent = await send('/v1/stream/absent', {
      method: 'POST',
      headers: { ...TEXT, 'Producer-Id': 'p' },
      body: 'x',
    })
    assert.equal(absent.status, 404, 'what is wrong with the stream comes first')
    assert.equal((await engine.status('p'))?.lastSeq, 1)
  })

  test('a lifetime is a whole number of seconds, or a time that there is', async () => {
    const engine = open()
    const send = client({ engine })
    const put = async (/** @type {Record<string, string>} */ headers) =>
      (await send('/v1/stream/lifetime', { method: 'PUT', headers })).status
    for (const ttl of ['', '-1', '+1', '01', '1.0', '1e3', '1, 1', '9'.repeat(11)])
      assert.equal(await put({ 'Stream-TTL': ttl }), 400, ttl)
    for (const time of [
      '',
      '2030',
      '2030-02-30T00:00:00Z',
      '2030-13-01T00:00:00Z',
      '2030-01-01T00:00:00+99:99',
      '2030-01-01T24:00:00Z',
    ])
      assert.equal(await put({ 'Stream-Expires-At': time }), 400, time)
    assert.equal(await engine.status('lifetime'), null)
    assert.equal(await put({ 'Stream-Expires-At': '2036-02-29T23:59:59.5+01:00' }), 201)
    const { headers } = await send('/v1/stream/lifetime', { method: 'HEAD' })
    assert.equal(headers.get('stream-expires-at'), '2036-02-29T22:59:59.500Z')
    // Of a log that was not made over HTTP.
    await engine.log('short', { ttl: '1500ms' }).create()
    const short = await send('/v1/stream/short', { method: 'HEAD' })
    assert.equal(short.headers.get('stream-ttl'), '2')
  })

  test('an offset is this stream’s own', async () => {
    const engine = open()
    const send = client({ engine })
    const made = await send('/v1/stream/one', { method: 'PUT', headers: TEXT, body: 'a' })
    await send('/v1/stream/two', { method: 'PUT', headers: TEXT, body: 'b' })
    const offset = made.headers.get('stream-next-offset') ?? ''
    assert.match(offset, /^[0-9A-Z]{26}_\d{16}$/)
    assert.equal((await send(`/v1/stream/two?offset=${offset}`)).status, 410)
    for (const bad of ['', 'x', '../..', `${offset}0`, '%0d%0aX-Injected:1', '1']) {
      assert.equal((await send(`/v1/stream/one?offset=${bad}`)).status, 400, bad)
    }
    assert.equal((await send('/v1/stream/one?offset=-1&offset=-1')).status, 400)
    await send('/v1/stream/one', { method: 'DELETE' })
    const again = await send('/v1/stream/one', { method: 'PUT', headers: TEXT })
    assert.ok((again.headers.get('stream-next-offset') ?? '') > offset)
    assert.equal((await send(`/v1/stream/one?offset=${offset}`)).status, 410)
  })

  test('the stream of a producer can be read, with how it ended, and not written', async () => {
    const engine = open()
    const send = client({ engine })
    const producer = await engine.produce('answer')
    await producer.append('Hello ')
    await producer.append('world')
    const open_ = await send('/v1/stream/answer')
    assert.deepEqual([await open_.text(), open_.headers.get('stream-closed')], ['Hello world', null])
    assert.equal((await send('/v1/stream/answer', { method: 'POST', headers: TEXT, body: 'x' })).status, 409)
    await engine.stop('answer', { reason: 'enough' })
    await producer.complete()
    const closed = await send('/v1/stream/answer')
    assert.deepEqual(
      [closed.headers.get('stream-closed'), closed.headers.get('stream-outcome')],
      ['true', 'stopped'],
    )
  })

  test('G6 whoever writes is told of a stop', async () => {
    const engine = open()
    const send = client({ engine })
    await send('/v1/stream/stop', { method: 'PUT', headers: TEXT })
    await engine.stop('stop', { reason: 'no\r\nmore' })
    const answer = await send('/v1/stream/stop', { method: 'POST', headers: TEXT, body: 'x' })
    assert.deepEqual([answer.status, answer.headers.get('stream-stop')], [204, 'no%0D%0Amore'])
  })

  test('live reading ends in good order when the server goes down, when the stream is deleted and when its client leaves', async () => {
    const engine = open()
    const down = new AbortController()
    const send = client({ engine, signal: down.signal })
    const text = async (/** @type {Promise<Response>} */ answer) => (await answer).text()
    for (const id of ['down', 'deleted'])
      await send(`/v1/stream/${id}`, { method: 'PUT', headers: TEXT, body: 'a' })
    const deleted = text(send('/v1/stream/deleted?offset=-1&live=sse'))
    await until(() => engine.metrics().readers === 1)
    await send('/v1/stream/deleted', { method: 'DELETE' })
    assert.match(
      await deadline(deleted, 10_000, 'it ends'),
      /^event: data\ndata:a\n\nevent: control\n.*upToDate/,
    )
    const leaving = new AbortController()
    const polled = send('/v1/stream/down?offset=now&live=long-poll', { signal: leaving.signal })
    await until(() => engine.metrics().readers === 1)
    leaving.abort()
    assert.equal((await deadline(polled, 10_000, 'it ends')).status, 204)
    await until(() => engine.metrics().readers === 0)
    const stream = text(send('/v1/stream/down?offset=-1&live=sse'))
    await until(() => engine.metrics().readers === 1)
    down.abort()
    await deadline(stream, 10_000, 'it ends')
    await until(() => engine.metrics().readers === 0)
  })
})
