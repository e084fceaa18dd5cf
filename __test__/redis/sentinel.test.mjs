// The primary that sentinels watch is replaced: by its death, by plan, by a freeze. Everybody follows.

import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { cli, lines } from '../support/cli.mjs'
import { checkWritings, connections, errorOf, openEngine, openWork, test } from '../support/fault-scene.mjs'
import { histories, startReaders, Writing } from '../support/fault-work.mjs'
import { createRandom } from '../support/seed.mjs'
import { startSentinels } from '../support/sentinels.mjs'
import { until } from '../support/wait.mjs'

const STREAMS = ['sentinel-0', 'sentinel-1', 'sentinel-2', 'sentinel-3']

/** @param {import('node:test').TestContext} t @param {Parameters<typeof startSentinels>[0]} [options] */
async function openSentinels(t, options) {
  const sentinels = await startSentinels(options)
  t.after(() => sentinels.close())
  return sentinels
}

/**
 * @type {{
 *   name: string,
 *   fail: (scene: import('../support/sentinels.mjs').Sentinels, accepted: () => number[]) => Promise<void>
 * }[]}
 */
const FAILOVERS = [
  {
    name: 'killed, with accepted writes that its replica has not got',
    async fail({ servers: [primary, replica] }, accepted) {
      await replica.admin.cmd('REPLICAOF', '127.0.0.1', '1')
      const [kept = 0] = accepted()
      await until(() => (accepted()[0] ?? 0) > kept + 20, { message: 'accepted chunks that will be lost' })
      await primary.stop('SIGKILL')
    },
  },
  { name: 'replaced by plan', fail: (scene) => scene.failover() },
  {
    name: 'frozen, replaced and back',
    async fail(scene) {
      const [primary, replica] = scene.servers
      primary.pause()
      await scene.becomes(replica)
      await sleep(500)
      primary.resume()
    },
  },
]

// Each waits for its sentinels, so they wait together.
describe('G1 G2 G3 G7: all follow when the primary is', { concurrency: true }, () => {
  for (const { name, fail } of FAILOVERS) {
    test(name, async (t) => {
      const scene = await openSentinels(t)
      const [, replica] = scene.servers
      const { engine, accepted, goesOn, finish } = await openWork(t, STREAMS, { url: scene.url })
      await goesOn(30)

      const begin = performance.now()
      await fail(scene, accepted)
      await scene.becomes(replica)
      const there = performance.now()
      await goesOn(20)
      t.diagnostic(
        `failover ${Math.round(there - begin)} ms, writing again ${Math.round(performance.now() - there)} ms later`,
      )
      await until(() => engine.state === 'ready', { message: () => `ready, not ${engine.states}` })
      await until(
        async () => {
          const { commands, subscribers } = await connections(replica)
          return commands === 2 && subscribers === 2
        },
        { message: 'both processes have both connections at the new primary' },
      )
      await finish()
    })
  }
})

test('G8: the primary that takes over refuses the user at first', async (t) => {
  const scene = await openSentinels(t)
  const [primary, replica] = scene.servers
  const user = (/** @type {import('../support/redis-server.mjs').RedisServer} */ { admin }) =>
    admin.cmd('ACL', 'SETUSER', 'app', 'on', '>correct-horse', '~*', '&*', '+@all')
  await user(primary)
  const url = scene.url.replace(/\/\/[^@]*@/, '//app:correct-horse@')
  const engine = openEngine(t, { url, connectTimeout: 500 })
  const random = createRandom()
  const readers = startReaders(engine, ['late'], { each: 2, name: 'near ', random, stay: null })
  const writing = new Writing(await engine.produce('late'), { random }).start()
  t.after(() => writing.settle(1_000).catch(() => {}))
  await until(() => writing.accepted > 20)
  await primary.stop('SIGKILL')
  await scene.becomes(replica)
  const written = writing.written.length
  await until(() => writing.written.length > written + 50)
  const error = await errorOf(engine.status('late'), ['correct-horse'])
  assert.match(error.message, /refused the user name or the password/)
  assert.equal(error.retryable, true)
  await user(replica)
  await until(() => writing.accepted > written)
  await writing.finish()
  await checkWritings(engine, [writing], await histories(readers, 15_000))
})

test('G10: what sentinels refuse is said with their addresses and without passwords', async (t) => {
  const password = 'correct-horse'
  const sentinelPassword = 'battery-staple'
  const scene = await openSentinels(t, { password, sentinelPassword })
  const withPassword = `${scene.url}?sentinelPassword=${sentinelPassword}`
  const good = openEngine(t, { url: withPassword })
  await good.produce('chat')
  for (const [url, words] of /** @type {[string, RegExp][]} */ ([
    [scene.url, /NOAUTH|authentication/i],
    [withPassword.replace(sentinelPassword, 'wrong-horse'), /refused the user name or the password/],
    [withPassword.replace(password, 'wrong-horse'), /refused the user name or the password/],
    [withPassword.replace('/main', '/other'), /does not know "other"/],
  ])) {
    const engine = openEngine(t, { url, connectTimeout: 500 })
    const error = await errorOf(engine.connect(), [password, sentinelPassword, 'wrong-horse'])
    assert.equal(error.code, 'ERR_CONNECTION', String(error))
    assert.match(error.message, words)
    assert.ok(error.message.includes(`cannot reach ${scene.addresses}: `), error.message)
    t.diagnostic(error.message)
  }
  /** @param {string} rule */
  const grant = (rule) =>
    Promise.all(scene.sentinels.map(({ admin }) => admin.cmd('ACL', 'SETUSER', 'default', rule)))
  await grant('-sentinel|master')
  const { code, stdout } = await cli(['doctor', '--json'], { TIDEMARK_URL: withPassword })
  const missing = lines(stdout).filter(({ check, status }) => check === 'rights' && status !== 'ok')
  assert.deepEqual(
    missing.map(({ advice }) => /^ACL SETUSER <user> (.*), on 127/.exec(advice)?.[1]),
    ['+sentinel|master'],
    stdout,
  )
  assert.equal(code, missing[0].status === 'failure' ? 1 : 0)
  await grant('+@all')
  await Promise.all(scene.sentinels.map((sentinel) => sentinel.stop('SIGKILL')))
  assert.equal((await good.status('chat'))?.state, 'active', 'they are not needed while all is well')
  // Another database is another connection.
  const url = withPassword.replace('/main', '/main/1')
  const engine = openEngine(t, { url, connectTimeout: 500 })
  const error = await errorOf(engine.connect(), [password, sentinelPassword])
  assert.match(error.message, /refused/)
  assert.equal(error.retryable, true)
})
