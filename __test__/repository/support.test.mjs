// What the tests stand on: the server, its client, the proxy, the child processes and the waiting.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startChild } from '../support/child.mjs'
import { startProxy } from '../support/proxy.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { Admin } from '../support/resp.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { deadline, until } from '../support/wait.mjs'

describe('redis server', () => {
  test('a restart keeps port and data with the append-only file, and only the port without', async () => {
    for (const aof of [true, false]) {
      const redis = await startRedis({ aof })
      const { port, pid } = redis
      await redis.admin.cmd('SET', 'key', 'value')
      await redis.restart()
      assert.equal(redis.port, port)
      assert.notEqual(redis.pid, pid)
      assert.equal(await redis.admin.cmd('GET', 'key'), aof ? 'value' : null)
      await redis.close()
    }
  })

  test('SIGKILL ends it, and a stopped one refuses connections', async () => {
    const redis = await startRedis()
    await redis.stop('SIGKILL')
    assert.throws(() => redis.pid, /not running/)
    await assert.rejects(redis.admin.cmd('PING'), /ECONNREFUSED/)
    await redis.start()
    assert.equal(await redis.admin.cmd('PING'), 'PONG')
    await redis.close()
  })

  test('a paused one keeps connections and answers after the pause', async () => {
    const redis = await startRedis()
    redis.pause()
    const answer = redis.admin.cmd('PING')
    await assert.rejects(deadline(answer, 50, 'an answer'), /not within/)
    redis.resume()
    assert.equal(await deadline(answer, 20_000, 'an answer'), 'PONG')
    redis.pause()
    await redis.close()
  })

  test('a password is asked for, and is in the url', async () => {
    const redis = await startRedis({ password: 'p@ss' })
    assert.equal(decodeURIComponent(new URL(redis.url).password), 'p@ss')
    assert.equal(await redis.admin.cmd('PING'), 'PONG')
    const stranger = new Admin({ port: redis.port })
    await assert.rejects(stranger.cmd('PING'), /NOAUTH/)
    stranger.close()
    await redis.close()
  })

  test('arguments that it refuses are reported in its own words', async () => {
    await assert.rejects(startRedis({ args: ['--no-such-option', 'x'] }), /exit code 1/)
  })

  test('it dies with a process that was killed', async () => {
    const support = new URL('../support/redis-server.mjs', import.meta.url).href
    const child = await script(`
      import { startRedis } from ${JSON.stringify(support)}
      const { port, folder } = await startRedis()
      process.send({ type: 'started', port, folder })
      setInterval(() => {}, 1000)`)
    const { port, folder } = await child.next('started')
    const admin = new Admin({ port })
    assert.equal(await admin.cmd('PING'), 'PONG')
    await child.kill()
    const refused = () =>
      admin.cmd('PING').then(
        () => false,
        (error) => error.code === 'ECONNREFUSED',
      )
    await until(refused, { message: 'the server is gone' })
    await until(() => !existsSync(folder), { message: 'its files are gone' })
  })
})

describe('client', () => {
  /** @type {Awaited<ReturnType<typeof startRedis>>} */
  let redis
  before(async () => {
    redis = await startRedis()
  })
  after(() => redis.close())

  test('every kind of reply, in the order of the commands', async () => {
    const { admin } = redis
    const big = 'ü'.repeat(200_000)
    const replies = await Promise.all([
      admin.cmd('SET', 'text', big),
      admin.cmd('GET', 'text'),
      admin.cmd('GET', 'nothing'),
      admin.cmd('RPUSH', 'list', 'a', Buffer.from('b'), 3),
      admin.cmd('LRANGE', 'list', 0, -1),
      admin.cmd('EVAL', "return {1, {'x', false}, {}, {err = 'ERR inside'}}", 0),
    ])
    assert.deepEqual(replies, [
      'OK',
      big,
      null,
      3,
      ['a', 'b', '3'],
      [1, ['x', null], [], new Error('ERR inside')],
    ])
    await assert.rejects(admin.cmd('INCR', 'text'), /not an integer/)
  })

  test('INFO, CLIENT LIST and PUBSUB CHANNELS', async () => {
    const subscriber = new Admin({ port: redis.port })
    await subscriber.cmd('CLIENT', 'SETNAME', 'subscriber')
    await subscriber.cmd('SUBSCRIBE', 'news')
    assert.deepEqual(await redis.admin.channels(), ['news'])
    const clients = await redis.admin.clients()
    assert.equal(clients.find(({ name }) => name === 'subscriber')?.sub, '1')
    assert.equal((await redis.admin.info('clients')).connected_clients, String(clients.length))
    subscriber.close()
    await until(async () => (await redis.admin.channels()).length === 0)
  })

  test('MONITOR tells commands of clients and of scripts, until it is ended', async () => {
    /** @type {{ source: string, args: string[] }[]} */
    const seen = []
    const end = await redis.admin.monitor((command) => seen.push(command))
    await redis.admin.cmd('SET', 'odd "key"\r\n\\', 'ü')
    await redis.admin.cmd('EVAL', "return redis.call('GET', KEYS[1])", 1, 'inner')
    await until(() => seen.some(({ source }) => source === 'lua'))
    assert.ok(seen.some(({ args }) => args.join(' ') === 'SET odd "key"\r\n\\ ü'))
    assert.deepEqual(seen.find(({ source }) => source === 'lua')?.args, ['GET', 'inner'])
    end()
    await until(async () => (await redis.admin.clients()).length === 1)
  })
})

describe('proxy', () => {
  /** @type {Awaited<ReturnType<typeof startRedis>>} */
  let redis
  before(async () => {
    redis = await startRedis()
  })
  after(() => redis.close())

  /** @param {(proxy: Awaited<ReturnType<typeof startProxy>>, client: Admin) => Promise<void>} use */
  const withProxy = async (use) => {
    const proxy = await startProxy({ target: redis.url })
    const client = new Admin({ port: Number(new URL(proxy.url).port) })
    try {
      assert.equal(await client.cmd('PING'), 'PONG')
      await use(proxy, client)
    } finally {
      client.close()
      await proxy.close()
    }
  }

  test('passes everything through, and keeps what the target url says', async () => {
    await withProxy(async (proxy, client) => {
      const big = 'x'.repeat(3_000_000)
      await client.cmd('SET', 'big', big)
      assert.equal(await client.cmd('GET', 'big'), big)
      assert.equal(proxy.connections, 1)
      client.close()
      await until(() => proxy.connections === 0)
    })
    const proxy = await startProxy({ target: 'rediss://user:secret@127.0.0.1:1/3' })
    assert.equal(proxy.url, `rediss://user:secret@127.0.0.1:${proxy.port}/3`)
    await proxy.close()
  })

  test('cut breaks what waits, and the next connection works', async () => {
    await withProxy(async (proxy, client) => {
      redis.pause()
      const lost = client.cmd('PING')
      lost.catch(() => {})
      proxy.cut()
      await assert.rejects(lost, /ECONNRESET|closed/)
      redis.resume()
      assert.equal(await client.cmd('PING'), 'PONG')
    })
  })

  test('delay holds both directions and keeps the order', async () => {
    await withProxy(async (proxy, client) => {
      proxy.delay(50)
      const start = performance.now()
      const slow = client.cmd('ECHO', '1')
      await until(() => performance.now() - start > 20)
      proxy.delay(0)
      assert.deepEqual(await Promise.all([slow, client.cmd('ECHO', '2')]), ['1', '2'])
      assert.ok(performance.now() - start >= 49)
    })
  })

  test('blackhole swallows old and new connections, and cuts them when it ends', async () => {
    await withProxy(async (proxy, client) => {
      proxy.blackhole(true)
      const old = client.cmd('INCR', 'counter')
      const fresh = new Admin({ port: proxy.port })
      const young = fresh.cmd('PING')
      for (const lost of [old, young]) await assert.rejects(deadline(lost, 50, 'an answer'), /not within/)
      assert.equal(proxy.connections, 2)
      proxy.blackhole(false)
      for (const lost of [old, young]) await assert.rejects(lost, /ECONNRESET|closed/)
      assert.equal(await client.cmd('GET', 'counter'), null)
      fresh.close()
    })
  })

  test('refuse turns new connections away and leaves the old', async () => {
    await withProxy(async (proxy, client) => {
      await proxy.refuse(true)
      await proxy.refuse(true)
      const stranger = new Admin({ port: proxy.port })
      await assert.rejects(stranger.cmd('PING'), /ECONNREFUSED/)
      assert.equal(await client.cmd('PING'), 'PONG')
      await proxy.refuse(false)
      assert.equal(await stranger.cmd('PING'), 'PONG')
      stranger.close()
    })
  })

  test('a target that is down breaks the connection', async () => {
    const proxy = await startProxy({ target: 1 })
    const client = new Admin({ port: proxy.port })
    await assert.rejects(client.cmd('PING'), /ECONNRESET|closed|EPIPE/)
    await proxy.close()
  })

  test('a reader that does not read slows the sender down', async () => {
    await withProxy(async (proxy, client) => {
      await client.cmd('SET', 'big', 'x'.repeat(30_000_000))
      const socket = createConnection({ port: proxy.port, host: '127.0.0.1' })
      socket.pause()
      socket.write('GET big\r\n')
      const waiting = async () => (await redis.admin.clients()).some(({ omem }) => Number(omem) > 1_000_000)
      await until(waiting, { message: 'the rest waits in the server' })
      socket.destroy()
    })
  })
})

describe('child', () => {
  test('messages by name, output, signals and the end', async () => {
    const child = await script(`
      process.on('message', ({ type, text }) => process.send({ type: 'echo', text: text + process.env.EXTRA }))
      console.log('hello')
      process.send({ type: 'first' })
      process.send({ type: 'ready' })`)
    await child.next('ready')
    child.send({ type: 'say', text: 'a' })
    assert.equal((await child.next('echo')).text, 'a!')
    assert.equal((await child.next('first')).type, 'first')
    await assert.rejects(child.next('nothing', 30), /not within 30 ms: message nothing[\s\S]*hello/)
    assert.deepEqual(await child.kill(), { code: null, signal: 'SIGKILL' })
    await assert.rejects(child.next('nothing'), /ended before its message nothing/)
  })

  test('the exit code, within a deadline', async () => {
    const child = await script("console.error('bad'); process.exitCode = 3")
    assert.deepEqual(await child.exit(), { code: 3, signal: null })
    assert.match(child.output, /bad/)
    const idle = await script('setInterval(() => {}, 1000)')
    await assert.rejects(idle.exit(200), /not within 200 ms: the child ends/)
    await idle.kill()
  })
})

describe('waiting', () => {
  test('until gives the value, survives throws, and names what it waited for', async () => {
    let calls = 0
    const value = await until(() => {
      calls += 1
      if (calls < 3) throw new Error('not yet')
      return calls
    })
    assert.equal(value, 3)
    const cause = new Error('why')
    const failing = () => {
      throw cause
    }
    await assert.rejects(until(failing, { timeout: 30, message: 'luck' }), {
      message: 'not within 30 ms: luck',
      cause,
    })
    await assert.rejects(
      until(() => new Promise(() => {}), { timeout: 30, message: 'luck' }),
      /luck/,
    )
  })

  test('deadline passes results and errors on', async () => {
    assert.equal(await deadline(Promise.resolve(1), 1_000, 'one'), 1)
    await assert.rejects(deadline(Promise.reject(new Error('own')), 1_000, 'one'), /own/)
  })
})

test('the same seed makes the same choices, another salt others', () => {
  const draw = (/** @type {number} */ salt) => {
    const random = createRandom(salt, 42)
    return [
      random.int(1, 1_000_000),
      random.pick('abcdefgh'.split('')),
      ...random.shuffle([1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ]
  }
  assert.deepEqual(draw(1), draw(1))
  assert.notDeepEqual(draw(1), draw(2))
  assert.deepEqual(draw(3).slice(2).sort(), [1, 2, 3, 4, 5, 6, 7, 8, 9])
  const random = createRandom(0, 7)
  const ends = new Set(Array.from({ length: 200 }, () => random.int(2, 4)))
  assert.deepEqual([...ends].sort(), [2, 3, 4])
})

/** @type {Set<string>} */
const kinds = new Set()
eachStore('each store', (store) => {
  test('has a url of its own and fresh prefixes', async () => {
    kinds.add(store.kind)
    assert.notEqual(store.prefix(), store.prefix())
    if (store.kind === 'redis') {
      assert.equal(store.url, store.redis.url)
      assert.equal(await store.redis.admin.cmd('PING'), 'PONG')
    } else {
      assert.match(store.url, new RegExp(`^${store.kind}:.+`))
      assert.throws(() => store.redis, /no running Redis/)
    }
  })
})
test('there are two stores', () => assert.deepEqual([...kinds], ['memory', 'redis']))

/** @type {string[]} */
const folders = []
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))))

/** Starts a module from its text. @param {string} text */
async function script(text) {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-child-'))
  folders.push(folder)
  const file = join(folder, 'script.mjs')
  await writeFile(file, text)
  return startChild(file, { env: { EXTRA: '!' } })
}
