// Connecting like everybody else: the URLs that services and other clients print, sockets, address families, and users who
// are asked for.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { url } from '../../dist/options/url.js'
import { startCluster } from '../support/cluster.mjs'
import { connections, errorOf, openEngine, openProxy, openRedis, replay } from '../support/fault-scene.mjs'
import { userRules } from '../support/rights.mjs'
import { startSentinels } from '../support/sentinels.mjs'
import { until } from '../support/wait.mjs'

const SECRET = 'correct-horse-battery'

/** @param {import('node:test').TestContext} t the process' warnings of one kind, as they come @param {string} code */
function warningsOf(t, code) {
  /** @type {string[]} */
  const heard = []
  const hear = (/** @type {any} */ warning) => warning.code === code && heard.push(warning.message)
  process.on('warning', hear)
  t.after(() => process.off('warning', hear))
  return heard
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

/** A stream from its beginning to its end. @param {import('node:test').TestContext} t @param {import('..').EngineOptions} options */
async function life(t, options) {
  const engine = openEngine(t, { connectTimeout: 3_000, ...options })
  const id = `life-${Math.random()}`
  const producer = await engine.produce(id)
  const reading = replay(engine, id)
  await producer.append('chunk')
  assert.equal(await producer.complete(), 'complete')
  assert.equal((await reading).chunks.length, 1)
  return engine
}

describe('URLs', () => {
  test('every form that is in use is taken', () => {
    for (const [given, taken] of [
      // Railway, Heroku, Render, Upstash, Aiven, Azure, Redis Cloud, DigitalOcean, Vercel
      [
        'redis://default:p@redis.railway.internal:6379?family=0',
        'redis://default:p@redis.railway.internal:6379',
      ],
      ['redis://127.0.0.1:6379/0?family=6', 'redis://127.0.0.1:6379/0?family=6'],
      ['rediss://:p123abc@ec2-1-2-3-4.compute-1.amazonaws.com:20789', null],
      ['redis://red-abc123:6379', null],
      ['rediss://default:AbC=@x-y-12345.upstash.io:6379', null],
      ['rediss://default:AVNS_x@valkey-1.aivencloud.com:12345', null],
      [
        'valkeys://default:AVNS_x@v-1.aivencloud.com:12345',
        'rediss://default:AVNS_x@v-1.aivencloud.com:12345',
      ],
      ['valkey://h', 'redis://h'],
      ['rediss://:Ab+c%3D@name.redis.cache.windows.net:6380/0', null],
      ['redis://default:p@redis-1.c1.us-east-1-2.ec2.cloud.redislabs.com:1', null],
      ['rediss://default:p@db-x-do-user-1-0.db.ondigitalocean.com:25061', null],
      // users and passwords
      ['redis://user@h', null],
      ['redis://user:@h', null],
      ['redis://:@h', null],
      ['redis://@h', null],
      ['redis://:p@h', null],
      ['redis://:p@ss@h', null],
      ['redis://:100%@h', null],
      ['redis://h?password=a+b%26', 'redis://:a%2Bb%26@h'],
      ['redis://h/1?username=u&password=p', 'redis://u:p@h/1'],
      ['redis://u:p@h?password=q', 'redis://u:p@h'],
      // databases
      ['redis://h/', 'redis://h'],
      ['redis://h//', 'redis://h'],
      ['redis://h/2/', 'redis://h/2'],
      ['redis://h?db=2', 'redis://h/2'],
      ['redis://h/?db=2', 'redis://h/2'],
      ['redis://h/1?db=2', 'redis://h/1'],
      ['redis://h?db=', 'redis://h'],
      ['redis://h?db=0', 'redis://h'],
      // TLS
      ['redis://h?tls=true', 'rediss://h'],
      ['redis://h:6380?ssl=True', 'rediss://h:6380'],
      ['redis://h?tls=false', 'redis://h'],
      ['rediss://h?tls=false', 'rediss://h'],
      ['rediss://h?ssl_cert_reqs=none', 'rediss://h'],
      ['rediss://h?ssl_cert_reqs=CERT_REQUIRED', 'rediss://h'],
      // other clients'
      ['redis://h?protocol=3', 'redis://h'],
      ['redis://h?connectTimeout=10000&pool=5&whatever', 'redis://h'],
      ['redis://h?family=x', 'redis://h'],
      ['  redis://h \n', 'redis://h'],
      ['REDIS://H', 'redis://H'],
      // addresses
      ['redis://[::1]:6379', null],
      ['redis://[::1]', null],
      ['redis://u:p@[2001:db8::1]:7/2', null],
      // sockets
      ['/tmp/redis.sock', 'redis+unix:///tmp/redis.sock'],
      ['unix:///tmp/redis.sock', 'redis+unix:///tmp/redis.sock'],
      ['unix:///tmp/redis.sock?db=3', 'redis+unix:///tmp/redis.sock?db=3'],
      ['unix://u:p@/tmp/r%20s.sock', 'redis+unix://u:p@/tmp/r%20s.sock'],
      ['redis+unix:///tmp/redis.sock?password=p', 'redis+unix://:p@/tmp/redis.sock'],
      // the others
      ['redis+sentinel://a,b:1/main/?db=2&family=4', 'redis+sentinel://a,b:1/main/2?family=4'],
      ['redis+sentinel://a/main/?pool=2', 'redis+sentinel://a/main'],
      [
        'redis+sentinel://a/main?sentinelUsername=u&sentinelPassword=a+b%20',
        'redis+sentinel://a/main?sentinelUser=u&sentinelPassword=a%2Bb%20',
      ],
      ['redis+cluster://a,b:1/?tls=true&x=1', 'rediss+cluster://a,b:1'],
      ['redis+cluster://a?db=0', 'redis+cluster://a'],
    ]) {
      assert.equal(url(given, 'url'), taken ?? given)
      // What was taken once is taken as it is.
      assert.equal(url(taken ?? given, 'url'), taken ?? given)
    }
  })

  test('G10: what is passed over is said once, by names that everybody knows', async (t) => {
    const heard = warningsOf(t, 'TIDEMARK_URL')
    for (let times = 0; times < 3; times++) url('redis://h?pool=7&connectTimeout=10000', 'the first')
    url('redis://h?family=0&db=1&protocol=2&tls=true', 'nothing is passed over')
    // Passwords that were not percent-encoded.
    url(`redis://h/?${SECRET}=1@h`, 'the second')
    url(`redis://h?pool=1&${SECRET}`, 'the third')
    await settled()
    const warnings = heard.filter((message) => /^(the|nothing) /.test(message))
    assert.equal(warnings.length, 3, heard.join('\n'))
    assert.match(warnings[0] ?? '', /^the first: .*: pool, connectTimeout\. /)
    assert.match(warnings[1] ?? '', /^the second: .*: 1 that are not known\. /)
    assert.match(warnings[2] ?? '', /^the third: .*: pool, 1 more\. /)
    assert.ok(!warnings.join().includes(SECRET))
  })

  test('users, passwords and databases arrive', async (t) => {
    const redis = await openRedis(t)
    const at = `127.0.0.1:${redis.port}`
    const rules = (/** @type {string} */ password) =>
      userRules({ password }).filter((rule) => rule !== `>${password}`)
    await redis.admin.cmd('ACL', 'SETUSER', 'open', ...rules(''), 'nopass')
    await redis.admin.cmd('ACL', 'SETUSER', 'bob', ...rules(''), `>${SECRET}`, '>p@ss w/%+')
    for (const url of [
      `redis://${at}`,
      `redis://default@${at}`,
      `redis://default:@${at}/`,
      `redis://open@${at}?family=0`,
      `redis://open:@${at}`,
      `redis://bob:${SECRET}@${at}/0/`,
      `redis://bob:${encodeURIComponent('p@ss w/%+')}@${at}`,
      `redis://bob:p@ss%20w%2F%+@${at}`,
      `redis://${at}?username=bob&password=${SECRET}`,
      `valkey://bob:${SECRET}@${at}`,
    ]) {
      await life(t, { url })
    }
    const before = await redis.admin.cmd('DBSIZE')
    await life(t, { url: `redis://bob:${SECRET}@${at}?db=3` })
    await redis.admin.cmd('SELECT', 3)
    assert.ok((await redis.admin.cmd('DBSIZE')) > 0)
    await redis.admin.cmd('SELECT', 0)
    assert.equal(await redis.admin.cmd('DBSIZE'), before)
    const error = await errorOf(openEngine(t, { url: `redis://bob@${at}` }).connect(), [SECRET])
    assert.match(error.message, /refused the user name or the password/)
    const none = await errorOf(openEngine(t, { url: `redis://bob:${SECRET}@${at}/99` }).connect(), [SECRET])
    assert.match(none.message, /no database of the number that the URL names/)
    assert.equal(none.retryable, false)
  })
})

describe('addresses', () => {
  test('IPv6 literals, and names with one kind of address', async (t) => {
    const redis = await openRedis(t, { args: ['--bind', '127.0.0.1', '::1'] })
    const { port } = redis
    await life(t, { url: redis.adminUrl.replace('127.0.0.1', '[::1]') })
    await life(t, { url: `redis://[::1]:${port}?family=6` })
    await life(t, { url: `redis://127.0.0.1:${port}?family=4` })
    for (const [host, family, words] of [
      ['127.0.0.1', 6, /no IPv6 address/],
      ['[::1]', 4, /no IPv4 address/],
    ]) {
      const engine = openEngine(t, { url: `redis://${host}:${port}?family=${family}`, connectTimeout: 300 })
      const error = await errorOf(engine.connect(), [])
      assert.equal(error.code, 'ERR_CONNECTION')
      assert.match(error.message, /** @type {RegExp} */ (words))
    }
  })

  test('a Unix socket, by its path and as a URL', async (t) => {
    const redis = await openRedis(t, { password: SECRET, args: ['--unixsocket', 'redis.sock'] })
    const path = join(redis.folder, 'redis.sock')
    const user = `tidemark:${SECRET}@`
    const at = encodeURI(path)
    for (const url of [
      `unix://${user}${at}`,
      `redis+unix://${user}${at}`,
      `${at}?username=tidemark&password=${SECRET}`,
    ]) {
      await life(t, { url })
    }
    const engine = await life(t, { url: `unix://${user}${at}?db=2` })
    assert.ok((await engine.status('nobody')) === null)
    const error = await errorOf(openEngine(t, { url: `unix://${at}-gone`, connectTimeout: 300 }).connect(), [
      SECRET,
    ])
    assert.equal(error.code, 'ERR_CONNECTION')
    assert.ok(error.message.includes(`cannot reach ${path}-gone: `), error.message)
    // Restarts are survived there, too.
    const producer = await engine.produce('restarted')
    await redis.restart('SIGKILL')
    await producer.append('chunk')
    await producer.complete()
  })
})

describe('credentials that are asked for', () => {
  /** A server that has a new password whenever it is asked for. @param {import('../../').Credentials['username']} [username] */
  function rotating(username = 'tidemark') {
    /** @type {((password: string) => Promise<unknown>)} */
    let set = async () => {}
    let asked = 0
    return {
      get asked() {
        return asked
      },
      /** @param {(password: string) => Promise<unknown>} how */
      by(how) {
        set = how
      },
      credentials: async () => {
        const password = `${SECRET}-${++asked}`
        await set(password)
        return { username, password }
      },
    }
  }

  test('a function is asked at each connection, and after each loss again', async (t) => {
    const redis = await openRedis(t)
    const proxy = await openProxy(t, redis.adminUrl)
    const source = rotating()
    source.by((password) => redis.admin.cmd('ACL', 'SETUSER', 'tidemark', 'resetpass', `>${password}`))
    const engine = await life(t, { url: proxy.url, credentials: source.credentials })
    const producer = await engine.produce('rotated')
    const reading = replay(engine, 'rotated')
    const before = source.asked
    assert.ok(before >= 2, 'one connection for commands, one for messages')
    for (let cut = 0; cut < 3; cut++) {
      proxy.cut()
      await producer.append(`chunk ${cut}`)
    }
    await producer.complete()
    assert.equal((await reading).chunks.length, 3)
    assert.ok(source.asked >= before + 3, `asked ${source.asked} times`)
  })

  test('the user is that of the URL, if none is given; engines with one function share connections', async (t) => {
    const redis = await openRedis(t, { password: SECRET })
    const credentials = () => ({ password: SECRET })
    const url = `redis://tidemark@127.0.0.1:${redis.port}`
    const [one, two] = [await life(t, { url, credentials }), await life(t, { url, credentials })]
    await until(async () => (await connections(redis)).subscribers === 1)
    assert.deepEqual(await connections(redis), { commands: 1, subscribers: 1 })
    // The one that was asked so far leaves.
    await one?.close()
    for (const { id } of (await redis.admin.clients()).filter(({ user }) => user === 'tidemark')) {
      await redis.admin.cmd('CLIENT', 'KILL', 'ID', id ?? '')
    }
    const producer = await two.produce('after')
    await producer.append('chunk')
    await producer.complete()
  })

  test('G10: what it throws is ERR_CONNECTION without its words, and it is asked again', async (t) => {
    const redis = await openRedis(t, { password: SECRET })
    const url = `redis://127.0.0.1:${redis.port}`
    const thrown = Object.assign(new RangeError(`token ${SECRET}`), { code: 'E_TOKEN', stack: SECRET })
    for (const [credentials, words] of /** @type {[any, RegExp][]} */ ([
      [() => Promise.reject(thrown), /credentials has failed: RangeError \(E_TOKEN\)/],
      [
        () => {
          throw SECRET
        },
        /credentials has failed: an exception/,
      ],
      [() => undefined, /has given no password/],
      [() => ({ username: 'tidemark' }), /has given no password/],
      [async () => ({ username: 5, password: SECRET }), /user name that is no text/],
      [
        () => ({ username: 'tidemark', password: `${SECRET}-wrong` }),
        /refused the user name or the password/,
      ],
      [() => new Promise(() => {}), /no connection within/],
    ])) {
      const engine = openEngine(t, { url, credentials, connectTimeout: 300 })
      const error = await errorOf(engine.connect(), [SECRET])
      assert.equal(error.code, 'ERR_CONNECTION', String(error))
      assert.match(error.message, words)
      assert.equal(error.retryable, true)
    }
    let calls = 0
    const engine = openEngine(t, {
      url,
      credentials: () => {
        if (++calls < 3) throw thrown
        return { username: 'tidemark', password: SECRET }
      },
    })
    await engine.connect()
    assert.equal(calls, 3)
  })

  test('of the primary behind sentinels, and of every server of a cluster', async (t) => {
    const sentinels = await startSentinels({ password: SECRET })
    t.after(() => sentinels.close())
    const behind = rotating()
    behind.by(async (password) => {
      for (const { admin } of sentinels.servers) {
        await admin.cmd('ACL', 'SETUSER', 'tidemark', `>${password}`)
      }
    })
    const bare = (/** @type {string} */ url) => url.replace(/\/\/[^@]*@/, '//')
    await life(t, { url: bare(sentinels.url), credentials: behind.credentials })
    assert.ok(behind.asked >= 2)
    const cluster = await startCluster({ password: SECRET })
    t.after(() => cluster.close())
    const everywhere = rotating()
    everywhere.by(async (password) => {
      for (const { admin } of cluster.servers) await admin.cmd('ACL', 'SETUSER', 'tidemark', `>${password}`)
    })
    const engine = await life(t, { url: bare(cluster.url), credentials: everywhere.credentials })
    for (let count = 0; count < 20; count++) assert.equal(await engine.status(`on any server ${count}`), null)
    assert.ok(everywhere.asked >= 4)
  })
})
