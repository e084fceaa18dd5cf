// TLS: to a server whose certificate a private authority has signed, and to nobody else.

import assert from 'node:assert/strict'
import { after, before } from 'node:test'
import { connections, errorOf, judge, openEngine, openRedis, replay, test } from './children/fault-scene.mjs'
import { histories, startReaders, Writing } from './children/fault-work.mjs'
import { certify } from './support/certificates.mjs'
import { freePort } from './support/free-port.mjs'
import { checkHistory } from './support/history.mjs'
import { createRandom } from './support/seed.mjs'
import { numbered, texts } from './support/streams.mjs'
import { until } from './support/wait.mjs'

const PASSWORD = 'correct-horse-battery'

/** @type {Awaited<ReturnType<typeof certify>>} */
let ours
before(async () => {
  ours = await certify()
})
after(() => ours?.close())

/** A server with TLS, and its URL. @param {import('node:test').TestContext} t */
async function openSecure(t) {
  const port = await freePort()
  const redis = await openRedis(t, { password: PASSWORD, args: ['--tls-port', `${port}`, ...ours.args] })
  return { redis, url: `rediss://:${PASSWORD}@127.0.0.1:${port}` }
}

test('rediss: with the authority that signed the certificate everything works', async (t) => {
  const { redis, url } = await openSecure(t)
  const engine = openEngine(t, { url, tls: { ca: ours.ca } })
  const producer = await engine.produce('chat')
  const reading = replay(engine, 'chat')
  const chunks = texts(100)
  for (const chunk of chunks) producer.write(chunk)
  assert.equal(await producer.complete(), 'complete')
  checkHistory({ written: numbered(chunks), readers: [await reading, await replay(engine, 'chat')] })
  assert.deepEqual(await connections(redis), { commands: 1, subscribers: 1 })

  const stopped = await engine.produce('stopped')
  await engine.stop('stopped')
  await until(() => stopped.signal.aborted)
  // Two authorities in one text, of which one is right.
  const theirs = await certify()
  t.after(theirs.close)
  await openEngine(t, { url, tls: { ca: theirs.ca + ours.ca } }).connect()
})

test('G8: for a while the server has a certificate that is not trusted', async (t) => {
  const { redis, url } = await openSecure(t)
  const theirs = await certify()
  t.after(theirs.close)
  const engine = openEngine(t, { url, tls: { ca: ours.ca }, connectTimeout: 500 })
  const random = createRandom()
  const readers = startReaders(engine, ['rotated'], { each: 2, name: 'near ', random, stay: null })
  const writing = new Writing(await engine.produce('rotated'), { random }).start()
  t.after(() => writing.settle(1_000).catch(() => {}))
  await until(() => writing.accepted > 20)
  const { admin } = redis
  await admin.cmd('CONFIG', 'SET', ...theirs.settings)
  await admin.cmd('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await admin.cmd('CLIENT', 'KILL', 'TYPE', 'normal')
  await until(() => engine.state === 'degraded')
  const written = writing.written.length
  await until(() => writing.written.length > written + 50)
  assert.match((await errorOf(engine.status('rotated'), [PASSWORD])).message, /certificate/)
  await admin.cmd('CONFIG', 'SET', ...ours.settings)
  await until(() => writing.accepted > written)
  await writing.finish()
  await judge(engine, [writing], await histories(readers, 10_000))
})

test('G10: a certificate that is not trusted is ERR_CONNECTION, says so, and shows no password', async (t) => {
  const { redis, url } = await openSecure(t)
  const theirs = await certify()
  t.after(theirs.close)
  const { ca } = ours
  for (const [options, words] of /** @type {[import('..').EngineOptions, RegExp][]} */ ([
    [{ url }, /certificate.*UnknownIssuer/],
    [{ url, tls: { ca: theirs.ca } }, /certificate/],
    [{ url: url.replace('127.0.0.1', 'localhost'), tls: { ca } }, /certificate.*not valid for.*name/i],
    [{ url: url.replace(/\d+$/, `${redis.port}`), tls: { ca } }, /./],
    [{ url: url.replace('rediss', 'redis') }, /./],
  ])) {
    const engine = openEngine(t, { ...options, connectTimeout: 500 })
    const error = await errorOf(engine.connect(), [PASSWORD])
    t.diagnostic(error.message)
    assert.equal(error.code, 'ERR_CONNECTION', String(error))
    assert.match(error.message, words)
    assert.match(error.message, /cannot reach (127\.0\.0\.1|localhost):\d+: /)
  }
})
