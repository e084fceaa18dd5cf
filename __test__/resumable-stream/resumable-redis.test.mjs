// The drop-in for `resumable-stream` and the world around it: the environment, Redis, clients that are passed, processes.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import * as ioredis6 from 'ioredis'
import * as ioredis5 from 'ioredis-5'
import * as redis6 from 'redis'
import * as redis4 from 'redis-4'
import * as redis5 from 'redis-5'
import * as original from 'resumable-stream'
import * as drop from 'tidemark/resumable-stream'
import * as generic from 'tidemark/resumable-stream/generic'
import { targetOf } from '../../dist/resumable-stream/clients.js'
import { startChild } from '../support/child.mjs'
import { freePort } from '../support/free-port.mjs'
import { CLIENT_KINDS, RedisClients } from '../support/redis-clients.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { failureOf, HandSource, LocalPubSub, ready, TextReader, textOf } from '../support/resumable.mjs'
import { startSentinels } from '../support/sentinels.mjs'
import { TestStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const EXIT_MS = 1_000

const { createClient } = redis6
const { Redis } = ioredis6

/** @param {Record<string, string | undefined>} variables */
function environment(variables) {
  for (const name of ['TIDEMARK_URL', 'REDIS_URL', 'KV_URL']) {
    if (variables[name] === undefined) delete process.env[name]
    else process.env[name] = variables[name]
  }
}

describe('resumable-stream and the environment', () => {
  afterEach(() => environment({}))

  test('without a URL both throw at once, and in the same words', () => {
    for (const variables of [{}, { REDIS_URL: '' }, { REDIS_URL: '', KV_URL: '' }]) {
      environment(variables)
      for (const { createResumableStreamContext } of [original, drop]) {
        assert.throws(() => createResumableStreamContext({ waitUntil: null }), {
          name: 'Error',
          message: 'REDIS_URL environment variable is not set',
        })
      }
    }
  })

  test('a URL that cannot be used is named by its variable', () => {
    environment({ KV_URL: 'localhost:6379' })
    assert.throws(() => drop.createResumableStreamContext({ waitUntil: null }), { message: /KV_URL/ })
    environment({ REDIS_URL: 'http://user:sesame@host' })
    assert.throws(
      () => drop.createResumableStreamContext({ waitUntil: null }),
      (/** @type {Error} */ error) =>
        error.message.includes('REDIS_URL') && !error.message.includes('sesame'),
    )
  })

  test('REDIS_URL, then KV_URL, and TIDEMARK_URL before both', async () => {
    const [tidemark, redis, kv] = ['tidemark', 'redis', 'kv'].map((name) => `memory:${name}-${Math.random()}`)
    const states = []
    environment({ REDIS_URL: redis })
    await textOf(await drop.createResumableStreamContext({ waitUntil: null }).resumableStream('s', ready([])))
    for (const variables of [
      { REDIS_URL: redis },
      { REDIS_URL: redis, KV_URL: kv },
      { REDIS_URL: '', KV_URL: redis },
      { KV_URL: kv },
      { TIDEMARK_URL: tidemark, REDIS_URL: redis },
    ]) {
      environment(variables)
      states.push(await drop.createResumableStreamContext({ waitUntil: null }).hasExistingStream('s'))
    }
    assert.deepEqual(states, ['DONE', 'DONE', 'DONE', null, null])
  })

  test('generic without clients throws in the words of the original', () => {
    const client = createClient()
    for (const [options, missing] of /** @type {const} */ ([
      [{}, 'subscriber'],
      [{ publisher: client }, 'subscriber'],
      [{ subscriber: client }, 'publisher'],
    ])) {
      assert.throws(() => generic.createResumableStreamContext({ waitUntil: null, ...options }), {
        message:
          `Generic mode requires a ${missing} to be provided. ` +
          `Please pass a ${missing} option to createResumableStreamContext.`,
      })
    }
  })

  test('one client alone goes with the environment, as it does in the original', () => {
    const client = createClient()
    for (const options of [{ publisher: client }, { subscriber: client }]) {
      environment({})
      assert.throws(() => drop.createResumableStreamContext({ waitUntil: null, ...options }), {
        message: /REDIS_URL/,
      })
      environment({ REDIS_URL: 'memory:' })
      drop.createResumableStreamContext({ waitUntil: null, ...options })
    }
  })
})

describe('what a client says of its Redis', () => {
  const lazyConnect = true
  const pem = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----'
  /** @type {[label: string, client: object, url: string | undefined, more?: object][]} */
  const expected = []
  for (const { Redis, Cluster } of [ioredis5, ioredis6]) {
    const redis = (/** @type {any[]} */ ...args) => {
      const options = typeof args.at(-1) === 'object' ? args.pop() : {}
      return new Redis(...args, { ...options, lazyConnect })
    }
    const sentinels = [{ host: 'a' }, { host: 'b', port: 2 }]
    const cluster = new Cluster([{ host: 'a', port: 1 }, 'redis://b:2', 7003, 'c:9'], {
      lazyConnect,
      redisOptions: { password: 'x', tls: {} },
      keyPrefix: 'app:',
    })
    expected.push(
      ['nothing', redis(), 'redis://localhost:6379'],
      ['a URL', redis('rediss://u:p%40w@h:7000/3'), 'rediss://u:p%40w@h:7000/3'],
      ['IPv6', redis('redis://[::1]:7'), 'redis://[::1]:7'],
      ['a prefix', redis({ keyPrefix: 'app:' }), 'redis://localhost:6379', { keyPrefix: 'app:' }],
      [
        'TLS',
        redis({ host: 'h', tls: { ca: Buffer.from(pem), servername: 'h' } }),
        'rediss://h:6379',
        { tls: { ca: [Buffer.from(pem)], servername: 'h' } },
      ],
      [
        'any certificate',
        redis({ tls: { rejectUnauthorized: false } }),
        'rediss://localhost:6379',
        { tls: { rejectUnauthorized: false } },
      ],
      [
        'a client certificate',
        redis({ tls: { key: pem, cert: pem, passphrase: 'p' } }),
        'rediss://localhost:6379',
        { tls: { key: pem, cert: pem, passphrase: 'p' } },
      ],
      ['a certificate in another form', redis({ tls: { key: 'x', cert: 'y' } }), undefined],
      ['a certificate and key in one', redis({ tls: { pfx: 'x' } }), undefined],
      [
        'another name',
        redis({ host: 'h', tls: { servername: 'other' } }),
        'rediss://h:6379',
        { tls: { servername: 'other' } },
      ],
      ['a socket', redis({ path: '/tmp/a redis?.sock' }), 'redis+unix:///tmp/a%20redis%3F.sock'],
      [
        'a socket with everything',
        redis({ path: '/r.sock', username: 'u', password: 'p', db: 3 }),
        'redis+unix://u:p@/r.sock?db=3',
      ],
      ['addresses', redis({ host: 'h', family: 6 }), 'redis://h:6379?family=6'],
      ['addresses in a URL', redis('redis://h?family=0'), 'redis://h:6379'],
      [
        'sentinels',
        redis({ sentinels, name: 'm', sentinelPassword: 's&p', username: 'u', password: 'x', db: 2 }),
        'redis+sentinel://u:x@a:26379,b:2/m/2?sentinelPassword=s%26p',
      ],
      [
        'sentinels with TLS',
        redis({ sentinels, name: 'm', tls: {}, enableTLSForSentinelMode: true }),
        'rediss+sentinel://a:26379,b:2/m',
      ],
      ['sentinels without TLS', redis({ sentinels, name: 'm', tls: {} }), undefined],
      ['replicas', redis({ sentinels, name: 'm', role: 'slave' }), undefined],
      ['a cluster', cluster, 'rediss+cluster://:x@a:1,b:2,localhost:7003,c:9', { keyPrefix: 'app:' }],
    )
  }
  for (const redis of [redis4, redis5, redis6]) {
    const hidden = redis === redis4
    const cluster = redis.createCluster({
      rootNodes: [{ url: 'redis://a:1' }, { socket: { host: 'b', port: 2 } }],
      defaults: { username: 'u', password: 'q' },
    })
    expected.push(
      ['nothing', redis.createClient(), 'redis://localhost:6379'],
      ['a URL', redis.createClient({ url: 'rediss://u:p%40w@h:7000/3' }), 'rediss://u:p%40w@h:7000/3'],
      [
        'fields',
        redis.createClient({
          socket: { host: 'h', port: 1, tls: true, ca: pem },
          password: 'z',
          database: 4,
        }),
        'rediss://:z@h:1/4',
        { tls: { ca: [pem] } },
      ],
      [
        'any certificate',
        redis.createClient({ url: 'rediss://h', socket: { rejectUnauthorized: false } }),
        'rediss://h:6379',
        { tls: { rejectUnauthorized: false } },
      ],
      [
        'a socket',
        redis.createClient({ socket: { path: '/tmp/redis.sock' }, database: 2 }),
        'redis+unix:///tmp/redis.sock?db=2',
      ],
      ['addresses', redis.createClient({ socket: { host: 'h', family: 6 } }), 'redis://h:6379?family=6'],
      ['a cluster', cluster, hidden ? undefined : 'redis+cluster://u:q@a:1,b:2'],
    )
  }
  const credentialsProvider = { type: 'async-credentials-provider', credentials: async () => ({}) }
  const streaming = { ...credentialsProvider, type: 'streaming-credentials-provider' }
  expected.push(
    [
      'changing credentials',
      redis6.createClient({ credentialsProvider: /** @type {any} */ (streaming) }),
      undefined,
    ],
    ['something else', new LocalPubSub(), undefined],
  )

  test('an engine connects in the same way, or is not used', () => {
    for (const [label, client, url, more] of expected) {
      assert.deepEqual(
        targetOf(client) ?? {},
        url === undefined ? {} : { url, keyPrefix: '', ...more },
        label,
      )
    }
  })

  test('a provider of credentials is asked by the engine', async () => {
    const credentials = async () => ({ username: 'u', password: 'p' })
    for (const { createClient } of [redis5, redis6]) {
      const provider = /** @type {const} */ ({ type: 'async-credentials-provider', credentials })
      const clients = [
        createClient({ credentialsProvider: provider }),
        createClient({ credentialsProvider: provider }),
      ]
      const [one, two] = clients.map((client) => targetOf(client))
      assert.equal(one?.url, 'redis://localhost:6379')
      assert.deepEqual(await one?.credentials?.(), { username: 'u', password: 'p' })
      assert.equal(one?.credentials, two?.credentials, 'one function for one provider')
    }
  })

  test('G10: a client whose URL cannot be read is used itself, and nothing shows its password', () => {
    const cluster = redis6.createCluster({ rootNodes: [{ url: 'redis://u:sesame@h:port' }] })
    assert.equal(targetOf(cluster), undefined)
  })

  test('a client that cannot be replaced is used itself', async () => {
    environment({})
    const pubsub = new LocalPubSub()
    const ctx = drop.createResumableStreamContext({ waitUntil: null, publisher: pubsub, subscriber: pubsub })
    assert.equal(await textOf(await ctx.createNewResumableStream('s', ready(['x']))), 'x')
    await until(() => pubsub.values.get('resumable-stream:rs:sentinel:s') === 'DONE')
  })
})

describe('resumable-stream and Redis [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  const clients = new RedisClients()
  before(async () => {
    await store.start()
    await clients.open(store.adminUrl)
    environment({ REDIS_URL: store.adminUrl })
  })
  after(() => {
    environment({})
    clients.close()
  })

  test('100 contexts, made for each request, leave the connections where they were', async () => {
    const count = async () => (await store.redis.admin.clients()).length
    const context = () =>
      drop.createResumableStreamContext({ waitUntil: null, keyPrefix: `test-${Math.random()}` })
    await textOf(await context().createNewResumableStream('s', ready(['x'])))
    const before = await count()
    for (let request = 0; request < 100; request++) {
      const ctx =
        request % 2
          ? context()
          : drop.createResumableStreamContext({ waitUntil: null, ...clients.pair('redis-6') })
      assert.equal(await ctx.resumeExistingStream(`never ${request}`), undefined)
      if (request % 10 === 0) {
        const stream = await ctx.createNewResumableStream(`s ${request} ${Math.random()}`, ready(['x']))
        assert.equal(await textOf(stream), 'x')
      }
      if (request % 25 === 0) assert.equal(await count(), before)
    }
    assert.equal(await count(), before)
  })

  test('50 readers that have left cost Redis nothing', async () => {
    const ctx = drop.createResumableStreamContext({ waitUntil: null, keyPrefix: 'departed' })
    const source = new HandSource()
    const creator = new TextReader(await ctx.createNewResumableStream('s', source.make))
    source.write('1')
    await creator.next()
    for (let count = 0; count < 50; count++) {
      const reader = new TextReader(await ctx.resumeExistingStream('s'))
      assert.equal(await reader.next(), '1')
      await reader.cancel()
    }
    /** @type {string[]} */
    const published = []
    const end = await store.redis.admin.monitor(({ args }) => {
      if (args[0]?.toUpperCase() === 'PUBLISH') published.push(String(args[1]))
    })
    source.write('2')
    assert.equal(await creator.next(), '2')
    source.close()
    await creator.rest()
    await until(() => published.length >= 2, { message: 'the chunk and the end were published' })
    end()
    assert.ok(published.length <= 3, `${published.length} messages: ${published}`)
  })

  test('the producer dies in mid-stream: a resume replays what was written, and errors within the lease', async (t) => {
    const keyPrefix = store.prefix()
    const child = startChild(new URL('../children/resumable.mjs', import.meta.url), {
      args: ['live', keyPrefix],
      env: { REDIS_URL: store.url },
    })
    t.after(() => child.kill())
    await child.next('written')
    const ctx = drop.createResumableStreamContext({
      waitUntil: null,
      keyPrefix,
      engine: open({ keyPrefix: 'tidemark' }),
    })
    const before = await ctx.resumeExistingStream('live')
    await child.kill()
    const started = performance.now()
    const after = await ctx.resumeExistingStream('live')
    for (const stream of [before, after]) {
      const { text, error } = await failureOf(stream)
      assert.deepEqual([text, error.code, error.reason], ['half of the answer', 'ERR_INTERRUPTED', 'lease'])
    }
    const lasted = performance.now() - started
    assert.ok(lasted < 3_000, `${lasted} ms`)
    // Later, too, and at once; it can be made again.
    assert.equal(await ctx.hasExistingStream('live'), true)
    assert.equal(
      (await failureOf(await ctx.resumableStream('live', () => assert.fail('it exists')))).text,
      'half of the answer',
    )
    assert.equal(await textOf(await ctx.createNewResumableStream('live', ready(['all of it']))), 'all of it')
  })

  test('a Redis that is not there: a resume is an error in time, a creator gets its stream all the same', async () => {
    const engine = open({ url: `redis://127.0.0.1:${await freePort()}`, connectTimeout: 300 })
    /** @type {Promise<unknown>[]} */
    const promises = []
    const ctx = drop.createResumableStreamContext({ waitUntil: (promise) => promises.push(promise), engine })
    await assert.rejects(ctx.resumeExistingStream('s'), { code: 'ERR_CONNECTION' })
    await assert.rejects(ctx.hasExistingStream('s'), { code: 'ERR_CONNECTION' })
    assert.equal(await textOf(await ctx.createNewResumableStream('s', ready(['a', 'b']))), 'ab')
    assert.equal(await textOf(await ctx.resumableStream('s', ready(['c']))), 'c')
    await Promise.all(promises)
    assert.equal(promises.length, 2)
  })

  test('a Redis that goes away in mid-stream: the local client has the whole answer, a resume has it later', async (t) => {
    const redis = await startRedis({ aof: true })
    t.after(() => redis.close())
    const [here, there] = [open({ url: redis.url }), open({ url: redis.url })]
    const [producing, resuming] = [here, there].map((engine) =>
      drop.createResumableStreamContext({ waitUntil: null, engine, replayAfterDone: true }),
    )
    const source = new HandSource()
    const creator = new TextReader(await producing?.createNewResumableStream('s', source.make))
    source.write('one ')
    assert.equal(await creator.next(), 'one ')
    await redis.stop()
    source.write('two ')
    assert.equal(await creator.next(), 'two ')
    await redis.start()
    source.write('three').close()
    assert.equal(await creator.rest(), 'three')
    const resumed = await until(() => resuming?.resumeExistingStream('s'), { message: 'Redis is back' })
    assert.equal(await textOf(resumed), 'one two three')
  })

  for (const kind of CLIENT_KINDS) {
    test(`clients of ${kind} are left alone`, async () => {
      const { publisher, subscriber } = clients.pair(kind)
      const { admin } = store.redis
      const idOf = (/** @type {any} */ client) =>
        client.sendCommand && !client.defineCommand
          ? client.sendCommand(['CLIENT', 'ID'])
          : client.client('ID')
      const ids = [String(await idOf(publisher)), String(await idOf(subscriber))]
      const addresses = (await admin.clients())
        .filter(({ id }) => ids.includes(id ?? ''))
        .map(({ addr }) => addr)
      assert.equal(addresses.length, 2)
      /** @type {string[][]} */
      const commands = []
      const end = await admin.monitor(({ source, args }) => {
        if (addresses.includes(source)) commands.push(args)
      })
      const ctx = drop.createResumableStreamContext({
        waitUntil: null,
        publisher,
        subscriber,
        keyPrefix: store.prefix(),
      })
      const source = new HandSource()
      const stream = await ctx.createNewResumableStream('s', source.make)
      const resumed = await ctx.resumeExistingStream('s')
      source.write('text').close()
      assert.deepEqual([await textOf(stream), await textOf(resumed)], ['text', 'text'])
      // A command of theirs that the monitor has seen: it is up to date.
      await publisher.get('mark')
      await until(() => commands.some(([name]) => name?.toLowerCase() === 'get'), {
        message: 'the mark is seen',
      })
      end()
      assert.equal(commands.length, 1, JSON.stringify(commands))
    })
  }

  test('clients need not be connected, nor are they', async () => {
    const node = createClient({ url: store.adminUrl })
    const io = new Redis(store.adminUrl, { lazyConnect: true })
    for (const client of [node, io]) {
      const ctx = drop.createResumableStreamContext({
        waitUntil: null,
        publisher: client,
        subscriber: client,
        keyPrefix: store.prefix(),
      })
      assert.equal(await textOf(await ctx.createNewResumableStream('s', ready(['x']))), 'x')
    }
    assert.deepEqual([node.isOpen, io.status], [false, 'wait'])
  })

  test('user, password and database of a client are those of the streams', async (t) => {
    const password = 'p@ss:w/ord%#?'
    const redis = await startRedis({ password })
    t.after(() => redis.close())
    await redis.admin.cmd('ACL', 'SETUSER', 'bob', 'on', '>s e s@me', '~*', '&*', '+@all')
    await redis.admin.cmd('SELECT', 3)
    const { port } = redis
    for (const [label, client] of Object.entries({
      'redis, fields': createClient({ socket: { port, host: '127.0.0.1' }, password, database: 3 }),
      'redis, URL': createClient({
        url: `redis://bob:${encodeURIComponent('s e s@me')}@127.0.0.1:${port}/3`,
      }),
      'ioredis, fields': new Redis({ port, password, db: 3, lazyConnect: true }),
      'ioredis, URL': new Redis(`redis://:${encodeURIComponent(password)}@127.0.0.1:${port}/3`, {
        lazyConnect: true,
      }),
      'ioredis, user': new Redis({ port, username: 'bob', password: 's e s@me', db: 3, lazyConnect: true }),
      'ioredis, prefix': new Redis({ port, password, db: 3, keyPrefix: 'app:', lazyConnect: true }),
    })) {
      const keyPrefix = `test-${Math.random()}`
      const ctx = drop.createResumableStreamContext({
        waitUntil: null,
        publisher: client,
        subscriber: client,
        keyPrefix,
      })
      assert.equal(await textOf(await ctx.createNewResumableStream('s', ready(['x']))), 'x', label)
      const name = `${label.endsWith('prefix') ? 'app:' : ''}${keyPrefix}:rs:s`
      assert.equal(await redis.admin.cmd('EXISTS', `{tidemark:${name}}:meta`), 1, label)
    }
  })

  test('a client of sentinels: the streams are at the primary that they name', async (t) => {
    const password = 'p@ss'
    const scene = await startSentinels({ password, sentinelPassword: 's&p' })
    t.after(() => scene.close())
    const sentinels = scene.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }))
    const options = { sentinels, name: 'main', password, sentinelPassword: 's&p', db: 1, lazyConnect: true }
    const client = new Redis(options)
    const ctx = drop.createResumableStreamContext({ waitUntil: null, publisher: client, subscriber: client })
    assert.equal(await textOf(await ctx.createNewResumableStream('s', ready(['x']))), 'x')
    assert.equal(client.status, 'wait')
    const { admin } = scene.servers[0]
    await admin.cmd('SELECT', 1)
    assert.equal(await admin.cmd('EXISTS', '{tidemark:resumable-stream:rs:s}:meta'), 1)
  })

  for (const name of ['idle', 'used']) {
    test(`a process whose contexts are ${name} exits by itself`, async (t) => {
      const child = startChild(new URL('../children/resumable.mjs', import.meta.url), {
        args: [name, store.prefix()],
        env: { REDIS_URL: store.url },
      })
      t.after(() => child.kill())
      if (name === 'used') assert.equal((await child.next('state')).state, 'DONE')
      await child.next('end')
      assert.deepEqual(await child.exit(EXIT_MS), { code: 0, signal: null })
      assert.equal(child.output, '')
    })
  }
})
