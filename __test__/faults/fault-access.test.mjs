// G10: what Redis refuses is said in its words, and without a password.

import assert from 'node:assert/strict'
import { describe } from 'node:test'
import {
  checkWritings,
  errorOf as errorWithout,
  openEngine,
  openRedis,
  shown,
  test,
} from '../support/fault-scene.mjs'
import { histories, startReaders, Writing } from '../support/fault-work.mjs'
import { createRandom } from '../support/seed.mjs'
import { until } from '../support/wait.mjs'

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
    [`redis://127.0.0.1:${redis.port}`, /NOAUTH|authentication/i],
    [`redis://bob:${WRONG}@127.0.0.1:${redis.port}`, /the server refused the user name or the password/],
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
  const engine = openEngine(t, { url: redis.adminUrl })
  const producer = await engine.produce('rights')
  await producer.append('allowed')
  await right('-evalsha')
  const error = await errorOf(producer.append('refused'))
  assert.equal(error.code, 'ERR_STORE')
  assert.match(error.message, /NOPERM|permission/i)
  await right('+evalsha')
  await until(async () => (await engine.status('rights'))?.lastSeq === 1)
})

const RIGHTS = ['~*', '&*', '+@all']

/** @type {{ name: string, says: RegExp, lose: string[], mend: string[] }[]} */
const REFUSALS = [
  {
    name: 'its user is gone',
    says: /refused the user name/,
    lose: ['DELUSER'],
    mend: ['on', `>${SECRET}`, ...RIGHTS],
  },
  {
    name: 'its password is another',
    says: /the password/,
    lose: ['SETUSER', 'resetpass'],
    mend: [`>${SECRET}`],
  },
  { name: 'its user is off', says: /refused the user name/, lose: ['SETUSER', 'off'], mend: ['on'] },
  { name: 'its user has no rights yet', says: /NOPERM/, lose: ['SETUSER', '-@all'], mend: ['+@all'] },
  { name: 'its user has no keys yet', says: /NOPERM/, lose: ['SETUSER', 'resetkeys'], mend: ['~*'] },
  { name: 'its user has no channels yet', says: /NOPERM/, lose: ['SETUSER', 'resetchannels'], mend: ['&*'] },
]

describe('G8: an engine that has worked comes back, though for a while', { concurrency: true }, () => {
  for (const { name, says, lose, mend } of REFUSALS) {
    test(name, async (t) => {
      const redis = await openRedis(t)
      const { admin } = redis
      await admin.cmd('ACL', 'SETUSER', 'app', 'on', `>${SECRET}`, ...RIGHTS)
      const url = `redis://app:${SECRET}@127.0.0.1:${redis.port}`
      const engine = openEngine(t, { url, connectTimeout: 3_000 })
      const other = openEngine(t, { url: redis.url })
      /** @type {string[]} */
      const reasons = []
      engine.on('state', (state, reason) => reasons.push(`${state}: ${reason}`))
      const random = createRandom()
      const near = startReaders(engine, ['ours', 'theirs'], { each: 2, name: 'near ', random, stay: null })
      const far = startReaders(other, ['ours'], { each: 1, name: 'far ', random, stay: null })
      const ours = new Writing(await engine.produce('ours'), { random }).start()
      const theirs = new Writing(await other.produce('theirs'), { random }).start()
      const idle = await engine.produce('idle')
      t.after(() => Promise.allSettled([ours, theirs].map((writing) => writing.settle(1_000))))
      const readers = [...near.values(), ...far.values()].flat()
      await until(() => readers.every(({ chunks }) => chunks > 5))

      const [what = '', ...rules] = lose
      // The user's connections end with what it loses: on those that go on, a missing right is meant.
      await admin.cmd('MULTI')
      await admin.cmd('CLIENT', 'KILL', 'USER', 'app')
      await admin.cmd('ACL', what, 'app', ...rules)
      await admin.cmd('EXEC')
      await until(() => engine.state === 'degraded', { message: () => `degraded, not ${reasons}` })
      await until(() => reasons.some((reason) => reason.startsWith('degraded') && says.test(reason)), {
        message: () => `the reason: ${reasons}`,
      })
      const before = { accepted: ours.accepted, written: ours.written.length }
      // Said at once, with the reason of the last attempt to connect.
      const error = await until(async () => {
        const error = await errorOf(engine.status('ours'))
        return says.test(error.message) && error
      })
      assert.equal(error.code, 'ERR_CONNECTION', shown(error))
      assert.equal(error.retryable, true)
      await until(() => ours.written.length > before.written + 50)
      assert.deepEqual(ours.errors, [])
      assert.ok(ours.accepted <= before.accepted + 5, 'nothing is accepted meanwhile')

      await admin.cmd('ACL', 'SETUSER', 'app', ...mend)
      await until(() => engine.state === 'ready', { message: () => `ready, not ${reasons}` })
      await until(() => ours.accepted > before.written)
      await idle.append('after')
      assert.equal(await idle.complete(), 'complete')
      await Promise.all([ours.finish(), theirs.finish()])
      await checkWritings(other, [ours, theirs], await histories(near, 10_000), await histories(far, 10_000))
      t.diagnostic(reasons.join('; '))
      assert.doesNotMatch(reasons.join(), new RegExp(SECRET))
    })
  }
})

test('G8: an engine that has worked comes back to a server that was restarted and has its users set late', async (t) => {
  const redis = await openRedis(t, { aof: true })
  const add = () => redis.admin.cmd('ACL', 'SETUSER', 'app', 'on', `>${SECRET}`, ...RIGHTS)
  await add()
  const engine = openEngine(t, { url: `redis://app:${SECRET}@127.0.0.1:${redis.port}` })
  const random = createRandom()
  const readers = startReaders(engine, ['restart'], { each: 2, name: 'near ', random, stay: null })
  const writing = new Writing(await engine.produce('restart'), { random }).start()
  t.after(() => writing.settle(1_000).catch(() => {}))
  await until(() => writing.accepted > 20)
  await redis.restart()
  await until(() => engine.state === 'degraded')
  const written = writing.written.length
  await until(() => writing.written.length > written + 50)
  await add()
  await until(() => writing.accepted > written)
  await writing.finish()
  await checkWritings(engine, [writing], await histories(readers, 10_000))
})
