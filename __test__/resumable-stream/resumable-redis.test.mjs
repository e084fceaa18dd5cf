// The drop-in for `resumable-stream` on Redis: connections, commands, outages, clients that are passed, processes.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import * as drop from 'tidemark/resumable-stream'
import { startChild } from '../support/child.mjs'
import { freePort } from '../support/free-port.mjs'
import { CLIENT_KINDS, RedisClients } from '../support/redis-clients.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { environment, failureOf, HandSource, ready, TextReader, textOf } from '../support/resumable.mjs'
import { startSentinels } from '../support/sentinels.mjs'
import { TestStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const EXIT_MS = 1_000

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
