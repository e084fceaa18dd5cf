// The handler beyond the conformance suite: who may, what is refused and leaves nothing behind, headers of our own, and the server.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { durableStreams } from 'tidemark/durable-streams'
import { startServe } from '../support/serving.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
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
    permission = new Response('who?', { status: 401 })
    assert.equal((await send(path)).status, 401)
    permission = undefined
    assert.equal((await send(path)).status, 403)
    assert.throws(() => durableStreams(/** @type {any} */ ({ engine })), {
      code: 'ERR_INVALID_ARGUMENT',
      field: 'options.authorize',
    })
    assert.throws(() => durableStreams({ engine, authorize: () => true, prefix: 'x' }), {
      field: 'options.prefix',
    })
    assert.throws(() => durableStreams(/** @type {any} */ ({ engine, authorize: () => true, other: 1 })), {
      field: 'options.other',
    })
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
    const injected = await send('/v1/stream/%22%3E%3Cscript%3E', { method: 'PUT', body: 'x', headers: TEXT })
    assert.equal(injected.headers.get('location'), `${HOST}/v1/stream/%22%3E%3Cscript%3E`)
  })

  test('bodies that are too large or malformed leave nothing behind', async () => {
    const engine = open()
    const send = client({ engine, maxBodyBytes: 3 << 20 })
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
    assert.equal(await length('bodies'), 0)
    const one = `"${'y'.repeat(2 << 20)}"`
    assert.equal(
      (await send('/v1/stream/bodies', { method: 'POST', headers: JSON_TYPE, body: one })).status,
      204,
    )
    assert.equal(await (await send('/v1/stream/bodies')).text(), `[${one}]`)
    // Values that are far larger than their text, or too deep to be walked through.
    /** @type {unknown[]} */
    const errors = []
    const usual = client({ engine, onError: (/** @type {unknown} */ error) => errors.push(error) })
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

test('tidemark serve: a token, pages of others, metrics, and an end in good order', async (t) => {
  const store = new TestStore('memory')
  const server = await startServe(['--url', store.url], { TIDEMARK_TOKEN: 'secret' })
  t.after(() => server.stop('SIGKILL'))
  const stream = `${server.address}/v1/stream/a`
  const headers = { Authorization: 'Bearer secret', ...TEXT }
  assert.equal((await fetch(stream, { method: 'PUT' })).status, 401)
  assert.equal(
    (await fetch(stream, { method: 'PUT', headers: { Authorization: 'Bearer secre!' } })).status,
    401,
  )
  assert.equal((await fetch(stream, { method: 'PUT', headers, body: 'x' })).status, 201)
  assert.equal((await fetch(`${server.address}/metrics`)).status, 401)
  assert.match(
    await (await fetch(`${server.address}/metrics`, { headers })).text(),
    /^tidemark_written_batches_total 1$/m,
  )
  const live = await fetch(`${stream}?offset=-1&live=sse`, { headers })
  const reading = live.text()
  assert.equal(await server.stop(), 0, server.errors())
  assert.match(await reading, /data:x/, 'not cut off')
})

test('tidemark serve: without a token only this machine is answered', async (t) => {
  const store = new TestStore('memory')
  const server = await startServe(['--url', store.url])
  t.after(() => server.stop('SIGKILL'))
  const stream = `${server.address}/v1/stream/a`
  assert.equal((await fetch(stream, { method: 'PUT' })).status, 201)
  assert.equal((await fetch(stream, { headers: { Origin: 'http://localhost:3000' } })).status, 200)
  assert.equal((await fetch(stream, { headers: { Origin: 'https://evil.example' } })).status, 403)
  // A name of somebody else's that leads here; fetch does not let its header be set.
  const socket = connect(Number(new URL(stream).port), '127.0.0.1')
  socket.end('GET /v1/stream/a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n')
  let answer = ''
  for await (const part of socket.setEncoding('utf8')) answer += part
  assert.match(answer, /^HTTP\/1\.1 403/)
  assert.equal(await server.stop('SIGINT'), 0)
  await assert.rejects(
    startServe(['--url', store.url, '--host', '0.0.0.0']),
    /needs --token-file, TIDEMARK_TOKEN in the environment, or --open/,
  )
})

test('tidemark serve: a token from a file, which is what counts', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-token-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'token')
  const store = new TestStore('memory')
  const args = ['--url', store.url, '--host', '0.0.0.0', '--token-file', file]
  await assert.rejects(startServe(args), /ended with 2: .*--token-file .* cannot be read: ENOENT/)
  for (const wrong of ['', '\nsecret', 'two words', 'sécret']) {
    await writeFile(file, wrong)
    await assert.rejects(startServe(args), /ended with 2: .*is not a token/, wrong)
  }
  await writeFile(file, 'from-file\r\nnot this\n')
  const server = await startServe(args, { TIDEMARK_TOKEN: 'from-environment' })
  t.after(() => server.stop('SIGKILL'))
  const { port } = new URL(server.address)
  const ask = (/** @type {string} */ token) =>
    fetch(`http://127.0.0.1:${port}/v1/stream/a`, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${token}` },
    })
  assert.equal((await ask('from-environment')).status, 401)
  assert.equal((await ask('from-file')).status, 201)
  assert.equal(await server.stop(), 0, server.errors())
})
