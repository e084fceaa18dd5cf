// `tidemark serve`: who is answered, and how it ends.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePort } from '../support/free-port.mjs'
import { startServe } from '../support/serving.mjs'
import { TestStore } from '../support/stores.mjs'
import { deadline, until } from '../support/wait.mjs'

const TEXT = { 'Content-Type': 'text/plain' }

test('tidemark serve: a token, pages of others, metrics, and an end in good order', async (t) => {
  const store = new TestStore('memory')
  const server = await startServe(['--url', store.url], { TIDEMARK_TOKEN: 'secret' })
  t.after(() => server.stop('SIGKILL'))
  const stream = `${server.address}/v1/stream/a`
  const headers = { Authorization: 'Bearer secret', ...TEXT }
  const refused = await fetch(stream, { method: 'PUT' })
  assert.equal(refused.status, 401)
  // Also a page of another origin can see what is missing.
  assert.equal(refused.headers.get('access-control-allow-origin'), '*')
  assert.equal(refused.headers.get('cross-origin-resource-policy'), 'cross-origin')
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

test('tidemark serve: at its end, who waits is answered and sent to another server', async (t) => {
  const store = new TestStore('memory')
  const server = await startServe(['--url', store.url])
  t.after(() => server.stop('SIGKILL'))
  const metrics = async () => (await fetch(`${server.address}/metrics`)).text()
  const polls = ['a', 'b', 'c'].map(async (id) => {
    const stream = `${server.address}/v1/stream/${id}`
    await fetch(stream, { method: 'PUT', headers: TEXT })
    return fetch(`${stream}?offset=now&live=long-poll`)
  })
  await until(async () => /^tidemark_readers 3$/m.test(await metrics()))
  const ended = server.stop()
  for (const { status, headers } of await deadline(Promise.all(polls), 20_000, 'answers')) {
    assert.deepEqual([status, headers.get('connection')], [204, 'close'])
  }
  assert.equal(await ended, 0)
  assert.equal(server.errors(), '')
})

test('tidemark serve: what is under way at its end and cannot be done is 503, without a word on stderr for each', async (t) => {
  const store = new TestStore('redis')
  await store.start()
  const server = await startServe(['--url', store.url])
  t.after(() => server.stop('SIGKILL'))
  const stream = `${server.address}/v1/stream/a`
  await fetch(stream, { method: 'PUT', headers: TEXT })
  t.after(() => store.redis.resume())
  store.redis.pause()
  const appends = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const headers = { ...TEXT, Expect: '100-continue' }
      const sent = request(stream, { method: 'POST', headers, agent: false })
      const answered = once(sent, 'response')
      sent.flushHeaders()
      await once(sent, 'continue')
      sent.end('x')
      return { answered }
    }),
  )
  const ended = server.stop()
  for (const { answered } of appends) {
    const [{ statusCode, headers }] = await deadline(answered, 20_000, 'an answer')
    assert.deepEqual([statusCode, headers['retry-after']], [503, '1'])
    assert.match(String(headers['access-control-expose-headers']), /\bRetry-After\b/)
  }
  assert.equal(await ended, 0)
  assert.doesNotMatch(server.errors(), /closed/)
})

test('tidemark serve: while the store is away its error is written once, not for each request', async (t) => {
  const port = await freePort()
  const server = await startServe(['--url', `redis://127.0.0.1:${port}`])
  t.after(() => server.stop('SIGKILL'))
  for (let count = 0; count < 5; count++) {
    const { status } = await fetch(`${server.address}/v1/stream/a`, { method: 'HEAD' })
    assert.equal(status, 503)
  }
  assert.equal(await server.stop(), 0)
  assert.equal(server.errors().match(/^tidemark: cannot reach/gm)?.length, 1, server.errors())
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
