// What Redis gets to see: few commands, small ones, and few keys.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { startProxy } from '../support/proxy.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { TestStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

describe('commands [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())

  /**
   * Everything that Redis is told while `work` runs.
   * @param {() => Promise<unknown>} work
   */
  async function watched(work) {
    /** @type {{ source: string, args: string[] }[]} */
    const seen = []
    const end = await store.redis.admin.monitor((command) => seen.push(command))
    await work()
    const mark = `mark ${Math.random()}`
    await store.redis.admin.cmd('ECHO', mark)
    await until(() => seen.some(({ args }) => args[1] === mark), { message: 'the monitor is up to date' })
    end()
    const isOwn = ({ args = [''] }) => args[1] !== mark
    const named = (/** @type {{ args: string[] }} */ { args }) => (args[0] ?? '').toUpperCase()
    return {
      all: seen.filter(isOwn).map(named),
      scripts: scripts(seen.filter(isOwn)),
      sent: seen.filter((command) => isOwn(command) && command.source !== 'lua').map(named),
      inside: seen.filter(({ source }) => source === 'lua').map(named),
    }
  }

  /**
   * What each script did, as text, one line per command.
   * @param {{ source: string, args: string[] }[]} seen
   */
  function scripts(seen) {
    /** @type {string[]} */
    const done = []
    for (const { source, args } of seen) {
      if (source !== 'lua') done.push('')
      else done.push(`${done.pop()}${args.slice(0, 3).join(' ')}\n`)
    }
    return done.filter((commands) => commands !== '')
  }

  const isScript = (/** @type {string} */ name) => name === 'EVALSHA' || name === 'EVAL'

  test('item 4 no KEYS and nothing else without bound, whatever is done', async () => {
    const engine = open()
    const other = open()
    const { all } = await watched(async () => {
      for (let generation = 0; generation < 3; generation++) {
        const producer = await engine.produce('everything')
        const readers = [follow(engine, 'everything'), follow(other, 'everything', { from: 'now' })]
        await writeAll(producer, texts(100))
        await producer.flush()
        for await (const { streamId } of engine.streams()) await other.status(streamId)
        if (generation === 1) await other.stop('everything')
        if (generation === 2) await producer.fail('no')
        else await producer.complete()
        for (const reader of readers) await reader.end()
      }
      await engine.stop('another')
      await engine.delete('everything')
    })
    const unbounded = ['KEYS', 'SMEMBERS', 'FLUSHDB', 'FLUSHALL', 'XREAD', 'BLPOP', 'SORT', 'LRANGE']
    for (const name of unbounded) assert.ok(!all.includes(name), name)
    assert.ok(all.includes('ZSCAN') && all.includes('XADD') && all.includes('PUBLISH'))
  })

  test('item 5 a stream of 1,000 chunks is at most 3 keys', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix })
    const producer = await engine.produce('keys')
    const streamKeys = async () => {
      const [, keys] = await admin.cmd('SCAN', '0', 'MATCH', `{${keyPrefix}*`, 'COUNT', 100_000)
      return keys
    }
    const chunks = texts(1_000)
    for (const chunk of chunks) await producer.append(chunk)
    assert.ok((await streamKeys()).length <= 3, String(await streamKeys()))
    await producer.complete()
    assert.ok((await streamKeys()).length <= 3, String(await streamKeys()))
    // Beside the index there is nothing once the end has been announced.
    const others = async () => {
      const [, keys] = await admin.cmd('SCAN', '0', 'MATCH', `${keyPrefix}*`, 'COUNT', 100_000)
      return keys.map((/** @type {string} */ key) => key.replace(/\d+$/, ''))
    }
    await until(async () => (await others()).length === 1, { message: 'the end is announced' })
    assert.deepEqual(await others(), [`${keyPrefix}:index:streams:`])
    // The index knows when nothing of the stream can be left, and forgets it then.
    const shards = Array.from({ length: 16 }, (_, shard) => `${keyPrefix}:index:streams:${shard}`)
    const scores = await Promise.all(shards.map((key) => admin.cmd('ZSCORE', key, 'keys')))
    const left = Number(scores.find((score) => score !== null)) - Date.now()
    assert.ok(left > 0 && left < 3 * 60 * 60 * 1000, `${left} ms`)
    checkHistory({ written: numbered(chunks), readers: [await readAll(open({ keyPrefix }), 'keys')] })
    await engine.delete('keys')
    assert.deepEqual(await streamKeys(), [])
  })

  test('G9 the live message of a long chunk says only that it is there', async () => {
    const engine = open()
    const producer = await engine.produce('long')
    for (const text of texts(3)) await producer.append(text)
    const { scripts } = await watched(() => producer.append('x'.repeat(20_000)))
    const published = scripts.flatMap((done) => done.split('\n')).filter((line) => /^s?publish/i.test(line))
    assert.ok(
      published.length > 0 && published.every((line) => line.length < 1_000),
      `${scripts}`.slice(0, 2_000),
    )
    await producer.complete()
  })

  test('the queue of finished generations is kept for twice the longer TTL', async () => {
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix, ttl: { active: '2h', done: '1h' } })
    const queue = `${keyPrefix}:{finished}:queue`
    const answers = engine.finished({ group: 'g', consumer: 'c' })
    const next = answers.next()
    await until(() => store.redis.admin.cmd('EXISTS', queue), { message: 'the queue has begun' })
    await produceAll(engine, 'finished', ['a'])
    await (await next).value?.ack()
    await answers.return?.()
    const left = await store.redis.admin.cmd('PTTL', queue)
    assert.ok(left > 3.9 * 60 * 60 * 1000 && left <= 4 * 60 * 60 * 1000, `${left} ms`)
  })

  test('G9 a reader that waits for the next generation asks for nothing', async () => {
    const [engine, other] = [open(), open()]
    const producer = await engine.produce('between')
    const reader = follow(other, 'between', { follow: 'all' })
    await reader.has(0)
    await producer.append('first')
    await reader.has(1)
    await producer.complete()
    // Two looks of its own make it find that the generation is over; then there is nothing to look for.
    await until(async () => (await watched(() => other.status('between'))).sent.length === 1, {
      timeout: 20_000,
      message: 'nothing is asked for',
    })
    const { sent } = await watched(async () => {
      for (let round = 0; round < 20; round++) {
        await other.status('between')
        await setTimeout(50)
      }
    })
    assert.ok(sent.length <= 24, `${sent}`)
    await produceAll(engine, 'between', ['second'])
    await reader.has(2)
  })

  test('item 15 a batch is stored and published by one script, in one round trip', async () => {
    const engine = open()
    const producer = await engine.produce('one script')
    await producer.append('warm')
    const { sent, inside } = await watched(() => producer.append('chunk'))
    assert.equal(sent.filter(isScript).length, 1)
    assert.deepEqual(
      sent.filter((name) => !isScript(name)),
      [],
    )
    for (const name of ['XADD', 'PUBLISH']) {
      assert.equal(inside.filter((each) => each === name).length, 1, `${name} in the script`)
    }
    await producer.complete()
  })

  test('an ordinary answer is one script each for its beginning, its batches, its reader and its end (ADR 47)', async () => {
    const keyPrefix = store.prefix()
    const [engine, elsewhere] = [open({ keyPrefix }), open({ keyPrefix })]
    // What is done once: connections, scripts, the node's own key.
    await produceAll(engine, 'warm', ['x'])
    await readAll(elsewhere, 'warm')
    const chunks = texts(10)
    const { sent, scripts } = await watched(async () => {
      const producer = await engine.produce('ordinary')
      await producer.append(chunks[0] ?? '')
      const reader = follow(elsewhere, 'ordinary')
      await reader.has(1)
      for (const chunk of chunks.slice(1)) await producer.append(chunk)
      await producer.complete()
      await reader.end()
      checkHistory({ written: numbered(chunks), readers: [reader] })
    })
    // What a process does for all of its streams every few seconds may come in between.
    const own = scripts.filter((commands) => !/^(HMGET|HSET \S+:node:)/.test(commands))
    // The reader's is two if its server did not listen yet when its page was asked for (ADR 61).
    assert.ok([3, 4].includes(own.length - chunks.length), own.join('\n'))
    // Nor is anything sent besides, but for the reader's channel.
    const others = new Set(sent.filter((name) => !isScript(name)))
    for (const name of ['PING', 'SUBSCRIBE', 'UNSUBSCRIBE']) others.delete(name)
    assert.deepEqual([...others], [])
  })

  test('a proxy that hides the slots of a cluster is found out, and nothing is lost (ADR 47)', async () => {
    // A cluster of one server behaves so to a client that does not know that it is one.
    const redis = await startRedis({ portBelow: 20_000, args: ['--cluster-enabled', 'yes'] })
    await redis.admin.cmd('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
    await until(async () => /cluster_state:ok/.test(await redis.admin.cmd('CLUSTER', 'INFO')), {
      message: 'the cluster is up',
    })
    const engine = open({ url: redis.url })
    const names = texts(6, 'hidden')
    const producers = await Promise.all(names.map((name) => engine.produce(name)))
    for (let turn = 0; turn < 5; turn++) {
      await Promise.all(producers.map((producer) => producer.append(`${turn}`)))
    }
    await Promise.all(producers.map((producer) => producer.complete()))
    const written = numbered(texts(5, '').map((_, turn) => `${turn}`))
    for (const name of names) checkHistory({ written, readers: [await readAll(engine, name)] })
    const listed = async () => {
      const ids = []
      for await (const { streamId } of engine.streams()) ids.push(streamId)
      return ids.sort()
    }
    await until(async () => (await listed()).length === names.length, { message: 'all are in the index' })
    assert.deepEqual(await listed(), [...names].sort())
    await engine.close()
    await redis.close()
  })

  test('a PING goes with many chunks that are published on this machine, and with no others (ADR 19)', async () => {
    // The same server under a name that does not say where it is.
    const elsewhere = store.url.replace('127.0.0.1', '127.1')
    assert.notEqual(elsewhere, store.url)
    for (const url of [store.url, elsewhere]) {
      const engine = open({ url })
      const ids = Array.from({ length: 12 }, (_, index) => `pings ${index} ${url}`)
      const producers = await Promise.all(ids.map((id) => engine.produce(id)))
      const warm = await Promise.all(producers.map((producer) => producer.append('warm')))
      assert.equal(warm.length, producers.length)
      const alone = await watched(async () => {
        for (let count = 0; count < 5; count++) await producers[0]?.append('alone')
      })
      assert.equal(alone.sent.filter((name) => name === 'PING').length, 0, url)
      assert.equal(alone.sent.filter(isScript).length, 5, `${alone.sent}`)
      const together = await watched(() =>
        Promise.all(producers.map((producer) => producer.append('together'))),
      )
      assert.equal(together.sent.filter((name) => name === 'PING').length, url === store.url ? 1 : 0, url)
      await Promise.all(producers.map((producer) => producer.complete()))
    }
  })

  test('readers in the process of the only producer need no message of Redis (ADR 48)', async () => {
    const engine = open()
    await produceAll(engine, 'warm', ['x'])
    const chunks = texts(10)
    const { sent } = await watched(async () => {
      const producer = await engine.produce('beside')
      const reader = follow(engine, 'beside')
      for (const chunk of chunks) await producer.append(chunk)
      await producer.complete()
      await reader.end()
      checkHistory({ written: numbered(chunks), readers: [reader] })
    })
    assert.equal(sent.filter((name) => name === 'SUBSCRIBE').length, 0, `${sent}`)
  })

  test('item 6 chunks are written in batches, and never wait for Redis', async () => {
    const proxy = await startProxy({ target: store.url })
    const [engine, reader] = [open({ url: proxy.url }), open()]
    const producer = await engine.produce('batches')
    const chunks = texts(5_000)
    proxy.delay(50)
    const { sent } = await watched(async () => {
      // All in one turn, in which no answer of Redis can come.
      for (const chunk of chunks) assert.equal(producer.write(chunk), true)
      await producer.flush()
    })
    const scripts = sent.filter(isScript).length
    assert.ok(scripts <= 30, `${scripts} scripts for 5,000 chunks`)
    proxy.delay(0)
    await producer.complete()
    checkHistory({ written: numbered(chunks), readers: [await readAll(reader, 'batches')] })
    await engine.close()
    await until(() => proxy.connections === 0, { message: 'its connections are closed' })
    await proxy.close()
  })

  test('seals and leases travel without chunks, so that none waits for them (ADR 20)', async () => {
    const keyPrefix = store.prefix()
    // A third of it is how long fast appends go on.
    const engine = open({ keyPrefix, lease: 1_000 })
    const chunks = texts(1_000)
    const producer = await engine.produce('tended')
    await producer.append(chunks[0] ?? '')
    const watching = await watched(async () => {
      for (const chunk of chunks.slice(1)) {
        await producer.append(chunk)
        // The pace of a model, more or less; the moment in between is what upkeep is for.
        await setTimeout(1)
      }
    })
    await producer.complete()
    const adds = (/** @type {string} */ part) => (/** @type {string} */ commands) =>
      commands.includes(`XADD {${keyPrefix}:tended}:${part} `)
    const seals = watching.scripts.filter(adds('sealed'))
    const whole = watching.scripts.filter((commands) => !commands.includes('HINCRBY'))
    const [bare, full] = [whole.filter((each) => !adds('log')(each)), whole.filter(adds('log'))]
    assert.ok(seals.length >= 2, `${seals.length} seals`)
    const counts = `${bare.length} whole appends without chunks, ${full.length} with`
    assert.ok(bare.length >= 4, counts)
    // A machine that was busy just then may have had no moment.
    assert.ok(full.length < bare.length, counts)
    checkHistory({ written: numbered(chunks), readers: [await readAll(open({ keyPrefix }), 'tended')] })
  })

  test('G7 G9 one page is read ahead of a reader that takes its chunks, no further one, and none twice', async () => {
    const engine = open()
    // Noise, which stays as long when it is sealed: some 13 chunks are a page, and 3 what JavaScript holds unread.
    const chunks = Array.from({ length: 60 }, () => randomBytes(20_000).toString('base64'))
    await produceAll(engine, 'ahead', chunks)
    /** @type {string[]} */
    const received = []
    let ahead = 0
    let pages = 0
    const end = await store.redis.admin.monitor(({ args }) => {
      const after = args.indexOf('after')
      const isPage = isScript(args[0] ?? '') && args[3]?.endsWith(':ahead}:meta') && after > 0
      if (!isPage) return
      pages++
      ahead = Math.max(ahead, Number(args[after + 2]) - received.length)
    })
    for await (const chunk of engine.subscribe('ahead')) {
      received.push(chunk.text())
      await engine.status('ahead')
    }
    end()
    assert.deepEqual(received, chunks)
    assert.ok(ahead > 7, `at most ${ahead} chunks ahead`)
    assert.ok(ahead < 2 * 16, `${ahead} chunks ahead`)
    assert.ok(pages < 12, `${pages} pages of some 13 chunks`)
  })

  test('G7 one command connection and one subscriber, however many engines, streams and readers', async () => {
    const redis = await startRedis()
    const engines = Array.from({ length: 5 }, () => open({ url: redis.url }))
    const names = texts(20, 'stream')
    const producers = await Promise.all(
      names.map((name, index) => engines[index % 5]?.produce(name) ?? Promise.reject()),
    )
    const readers = names.flatMap((name) => engines.map((engine) => follow(engine, name, { name })))
    for (const producer of producers) await writeAll(producer, texts(10, producer.streamId))
    for (const reader of readers) await reader.has(10)
    const clients = (await redis.admin.clients()).filter(({ cmd }) => cmd !== 'client|list')
    assert.equal(clients.length, 2, JSON.stringify(clients))
    await Promise.all(producers.map((producer) => producer.complete()))
    for (const name of names) {
      const own = readers.filter((reader) => reader.name === name)
      for (const reader of own) await reader.end()
      checkHistory({ written: numbered(texts(10, name)), readers: own })
    }
    await Promise.all(engines.map((engine) => engine.close()))
    await until(async () => (await redis.admin.clients()).length === 1, { message: 'no connection is left' })
    await redis.close()
  })

  test('item 13 what Redis refuses comes back to the caller', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix })
    const producer = await engine.produce('refused')
    await producer.append('good')
    // A log that is no log any more: every write to it is refused.
    await admin.cmd('SET', `{${keyPrefix}:refused}:log`, 'broken', 'PX', 60_000)
    const refused = { code: 'ERR_STORE', name: 'StoreError', retryable: false }
    await assert.rejects(producer.append('bad'), refused)
    await until(() => producer.signal.aborted, { message: 'the signal fires' })
    assert.equal(producer.signal.reason.code, 'ERR_STORE')
    assert.throws(() => producer.write('worse'), refused)
    await assert.rejects(producer.complete(), refused)
    const { error } = await readAll(engine, 'refused')
    assert.equal(error?.code, 'ERR_STORE')
    await admin.cmd('SET', `{${keyPrefix}:nothing}:meta`, 'broken', 'PX', 60_000)
    for (const call of [
      () => engine.produce('nothing'),
      () => engine.status('nothing'),
      () => engine.stop('nothing'),
    ]) {
      await assert.rejects(call(), { code: 'ERR_STORE', message: /WRONGTYPE/ })
    }
    await produceAll(engine, 'fine', ['as before'])
    checkHistory({ written: numbered(['as before']), readers: [await readAll(engine, 'fine')] })
  })
})
