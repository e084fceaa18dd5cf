// The drop-in for `resumable-stream`: which Redis it takes from the environment, and from clients that are passed.

import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import * as ioredis6 from 'ioredis'
import * as ioredis5 from 'ioredis-5'
import * as redis6 from 'redis'
import * as redis4 from 'redis-4'
import * as redis5 from 'redis-5'
import * as original from 'resumable-stream'
import * as drop from 'tidemark/resumable-stream'
import * as generic from 'tidemark/resumable-stream/generic'
import { targetOf } from '../../dist/resumable-stream/clients.js'
import { environment, LocalPubSub, ready, textOf } from '../support/resumable.mjs'
import { until } from '../support/wait.mjs'

const { createClient } = redis6

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
