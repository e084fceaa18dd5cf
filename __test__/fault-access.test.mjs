// G10: what Redis refuses is said in its words, and without a password.

import assert from 'node:assert/strict'
import { errorOf as errorWithout, openEngine, openRedis, shown, test } from './children/fault-scene.mjs'
import { until } from './support/wait.mjs'

const SECRET = 'correct-horse-battery'
const WRONG = 'wrong-horse-battery'

/** @param {Promise<unknown>} promise */
const errorOf = (promise) => errorWithout(promise, [SECRET, WRONG])

test('G10: a wrong password is ERR_CONNECTION, without it', async (t) => {
  const redis = await openRedis(t, { password: SECRET })
  /** @type {string[]} */
  const reasons = []
  for (const [url, words] of /** @type {[string, RegExp][]} */ ([
    [redis.url.replace(SECRET, WRONG), /the server refused the user name or the password/],
    [redis.url.replace(`:${SECRET}@`, ''), /NOAUTH|authentication/i],
    [redis.url.replace(`:${SECRET}@`, `bob:${WRONG}@`), /the server refused the user name or the password/],
  ])) {
    const engine = openEngine(t, { url, connectTimeout: 500 })
    engine.on('state', (_, reason) => reasons.push(reason))
    const begin = performance.now()
    const errors = [
      await errorOf(engine.connect()),
      await errorOf(engine.produce('refused')),
      await errorOf(engine.status('refused')),
      await errorOf(engine.subscribe('refused', { wait: 0 }).next()),
    ]
    for (const error of errors) {
      assert.equal(error.code, 'ERR_CONNECTION', shown(error))
      assert.match(error.message, words)
      assert.match(error.message, new RegExp(`127.0.0.1:${redis.port}`))
    }
    t.diagnostic(`${Math.round(performance.now() - begin)} ms: ${errors[0].message}`)
  }
  assert.ok(
    reasons.some((reason) => reason !== ''),
    'the state says why',
  )
  assert.doesNotMatch(reasons.join('\n'), new RegExp(`${SECRET}|${WRONG}`))
  const engine = openEngine(t, { url: redis.url })
  await engine.connect()
  assert.equal(engine.state, 'ready')
})

test('G10: a missing right is ERR_STORE in the words of Redis', async (t) => {
  const redis = await openRedis(t)
  const url = (/** @type {string} */ user) => `redis://${user}:${SECRET}@127.0.0.1:${redis.port}`
  await redis.admin.cmd('ACL', 'SETUSER', 'noscripts', 'on', `>${SECRET}`, '~*', '&*', '+@all', '-@scripting')
  await redis.admin.cmd('ACL', 'SETUSER', 'nokeys', 'on', `>${SECRET}`, '~other:*', '&*', '+@all')
  await redis.admin.cmd('ACL', 'SETUSER', 'nochannels', 'on', `>${SECRET}`, '~*', 'resetchannels', '+@all')
  for (const user of ['noscripts', 'nokeys']) {
    const engine = openEngine(t, { url: url(user) })
    for (const operation of [
      () => engine.produce('refused'),
      () => engine.status('refused'),
      () => engine.stop('refused'),
      () => engine.subscribe('refused', { wait: 0 }).next(),
    ]) {
      const error = await errorOf(operation())
      assert.equal(error.code, 'ERR_STORE', `${user} ${operation}: ${shown(error)}`)
      assert.equal(error.retryable, false)
      assert.match(error.message, /NOPERM|permission/i)
    }
    assert.equal(engine.state, 'ready', 'a refusal is no lost connection')
  }
  const engine = openEngine(t, { url: url('nochannels') })
  const error = await errorOf(engine.subscribe('refused', { wait: 0 }).next())
  assert.equal(error.code, 'ERR_STORE', shown(error))
  assert.match(error.message, /NOPERM|permission/i)
})

test('a right that is taken away and given back', async (t) => {
  const redis = await openRedis(t)
  const right = (/** @type {string} */ rule) => redis.admin.cmd('ACL', 'SETUSER', 'default', rule)
  const engine = openEngine(t, { url: redis.url })
  const producer = await engine.produce('rights')
  await producer.append('allowed')
  await right('-evalsha')
  const error = await errorOf(producer.append('refused'))
  assert.equal(error.code, 'ERR_STORE')
  assert.match(error.message, /NOPERM|permission/i)
  await right('+evalsha')
  await until(async () => (await engine.status('rights'))?.lastSeq === 1)
})
