// The mistakes of a first day, and the sentence that says what to do.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { openRedis } from '../support/fault-scene.mjs'
import { listening } from '../support/listening.mjs'
import { eachStore } from '../support/stores.mjs'
import { readAll, useEngines } from '../support/streams.mjs'

eachStore('advice', (store) => {
  const open = useEngines(store)

  test('a stream that there is not: how long was waited, and what may be wrong', async () => {
    const engine = open()
    const late = await readAll(engine, 'nope', { wait: '50ms' })
    assert.match(late.error?.message ?? '', /"nope" does not exist and did not appear within 50 ms \(wait\)/)
    assert.match(late.error?.message ?? '', /is the id right, and the engine's url and keyPrefix\?/)
    const cursor = '01M82E32S4EYSMNYABHA889SSS.1'
    const acked = engine.ack('nope', { consumer: 'c', cursor })
    await assert.rejects(acked, { code: 'ERR_NOT_FOUND', message: /keyPrefix/ })
    const items = engine.consume('nope', { group: 'g', consumer: 'c', wait: 0 })
    await assert.rejects(items.next(), { code: 'ERR_NOT_FOUND', message: /keyPrefix/ })
  })

  test('G10 an owner that was left out: pass it; another one: no more than that', async () => {
    const engine = open()
    const producer = await engine.produce('owned', { owner: 'ann' })
    const none = /belongs to another owner, and this call names none: pass \{ owner \}/
    await assert.rejects(engine.stop('owned'), { code: 'ERR_FORBIDDEN', message: none })
    await assert.rejects(engine.subscribe('owned').next(), { code: 'ERR_FORBIDDEN', message: none })
    const items = engine.consume('owned', { group: 'g', consumer: 'c' })
    await assert.rejects(items.next(), { code: 'ERR_FORBIDDEN', message: none })
    await assert.rejects(engine.produce('owned', { ifActive: 'takeover' }), { message: none })
    const other = /belongs to another owner$/
    await assert.rejects(engine.stop('owned', { owner: 'bob' }), { message: other })
    await assert.rejects(engine.subscribe('owned', { owner: 'bob' }).next(), { message: other })
    await producer.complete()
  })

  test("another stream's cursor", async () => {
    const engine = open()
    const { producer } = await written(engine, 'one')
    await written(engine, 'other')
    const { error } = await readAll(engine, 'other', { from: `${producer.generation}.1` })
    assert.equal(error?.code, 'ERR_GAP')
    assert.match(error.message, /generation is gone, or the cursor is another stream's/)
  })

  test('an object that is written', async () => {
    const producer = await open().produce('objects')
    const object = /** @type {any} */ ({ text: 'hi' })
    const advice =
      /must be a string or a Uint8Array, got an object \(JSON\.stringify it, or use tidemark\/schema\)/
    assert.throws(() => producer.write(object), { message: advice })
    await producer.complete()
  })
})

/** @param {import('tidemark').Engine} engine @param {string} id */
async function written(engine, id) {
  const producer = await engine.produce(id)
  await producer.append('hi')
  await producer.complete()
  return { producer }
}

/** Why there is no connection. @param {string} url */
async function failure(url) {
  const engine = createEngine({ url, connectTimeout: '1s' })
  try {
    const error = await engine.connect().catch((error) => error)
    assert.equal(error.code, 'ERR_CONNECTION')
    return error.message
  } finally {
    await engine.close()
  }
}

test('an address for HTTP is not one of Redis', () => {
  assert.throws(() => createEngine({ url: 'https://name.upstash.io' }), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /got https:\. A service that is asked over HTTP has an address for TCP too: Upstash .* rediss:/,
  })
})

test('a platform that has no native library: a code, and those that there are', () => {
  const script = `
    Object.defineProperty(process, 'platform', { value: 'freebsd' })
    const { createEngine } = require('tidemark')
    try { createEngine() } catch ({ code, message, stack, docs }) {
      console.log(JSON.stringify({ code, message, stack, docs }))
    }`
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' })
  assert.ok(stdout, stderr)
  const { code, message, stack, docs } = JSON.parse(stdout)
  assert.equal(code, 'ERR_PLATFORM')
  assert.match(message, /no native library for freebsd-x64|freebsd-arm64/)
  assert.match(message, /linux-x64, linux-arm64, darwin-x64/)
  assert.match(stack.match(/^ {4}at .*/m)?.[0], /\[eval\]/)
  assert.match(docs, /#err_platform$/)
})

test('a port at which no Redis server answers', async (t) => {
  const port = await listening(
    createServer((_, response) => response.end()),
    t,
  )
  const message = await failure(`redis://127.0.0.1:${port}`)
  assert.match(message, /what answers there is no Redis server, or not at this port$/)
})

test('a server that needs a password, and one that is no sentinel and no cluster', async (t) => {
  const secret = 'correct-horse'
  const { url, port } = await openRedis(t, { password: secret })
  assert.match(await failure(`redis://127.0.0.1:${port}`), /NOAUTH .* No password was given/)
  const alone = url.replace('redis:', 'redis+sentinel:')
  assert.match(
    await failure(`${alone}/main`),
    /is no sentinel; for a single server the URL begins with redis:/,
  )
  assert.match(
    await failure(url.replace('redis:', 'redis+cluster:')),
    /disabled; for a single server .* redis:/,
  )
})

for (const [mistake, options, words] of /** @type {[string, any, RegExp][]} */ ([
  [
    'a name that is nearly right',
    { keyPrefx: 'a' },
    /keyPrefx: is not known, only url, .*; did you mean keyPrefix\?$/,
  ],
  ['a name that is like no other', { colour: 'a' }, /colour: is not known, only url, .* are$/],
  [
    'a URL in the place of the options',
    'redis://localhost',
    /^options: must be an object of url, .*, got a string/,
  ],
  ['one TTL for both', { ttl: '1h' }, /ttl: must be an object of active, done, got "1h"/],
  ['a URL object', { url: new URL('redis://localhost') }, /url: must be text that begins .* got an object/],
  ['an empty prefix', { name: '' }, /name: must be .* got an empty one/],
])) {
  test(`a mistake in the options: ${mistake}`, () => {
    assert.throws(() => createEngine(options), { code: 'ERR_INVALID_ARGUMENT', message: words })
  })
}
