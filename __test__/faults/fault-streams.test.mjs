// Logs over HTTP with two servers of which one dies, on a cluster whose slots move, and through a failover of sentinels.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { DurableStream, IdempotentProducer, stream } from '@durable-streams/client'
import { startCluster } from '../support/cluster.mjs'
import { openEngine, openRedis, test } from '../support/fault-scene.mjs'
import { checkHistory } from '../support/history.mjs'
import { getMore, startWriters, written } from '../support/log-writers.mjs'
import { createRandom } from '../support/seed.mjs'
import { startSentinels } from '../support/sentinels.mjs'
import { startServe } from '../support/serving.mjs'
import { deadline, until } from '../support/wait.mjs'

const BACKOFF = { initialDelay: 20, maxDelay: 200, multiplier: 1.5 }
const NAMES = ['anna', 'ben', 'carl']

/**
 * Reads a log to its end; what is gone is passed over, and another reader begins after it.
 * @param {import('tidemark').Log} log @param {string} name
 */
function startReader(log, name) {
  /** @type {import('../support/history.mjs').Reader[]} */
  const readers = [{ name, chunks: [], outcome: undefined }]
  const last = () => /** @type {import('../support/history.mjs').Reader} */ (readers.at(-1))
  const done = (async () => {
    for (let from = 'start'; ; ) {
      try {
        for await (const { seq, data, cursor } of log.read({ from })) {
          last().chunks.push({ seq, data })
          from = cursor
        }
        last().outcome = 'complete'
        return readers
      } catch (error) {
        const { code, resume } = /** @type {any} */ (error)
        if (code !== 'ERR_GAP') throw error
        last().outcome = 'gap'
        from = resume
        readers.push({
          name: `${name} again`,
          from: Number(resume.split('.')[1]),
          chunks: [],
          outcome: undefined,
        })
      }
    }
  })()
  done.catch(() => {})
  return {
    count: () => readers.reduce((sum, { chunks }) => sum + chunks.length, 0),
    done: () => deadline(done, 30_000, `${name} ends`),
  }
}

test('G1 G3 one of two servers is killed, again and again, while clients append and follow', async (t) => {
  const redis = await openRedis(t)
  const random = createRandom(21)
  const args = ['--url', redis.url, '--prefix', 'test-two', '--sse-ms', '700', '--long-poll-ms', '400']
  const servers = await Promise.all([startServe(args), startServe(args)])
  t.after(() => Promise.all(servers.map((server) => server.stop('SIGKILL'))))
  /** Any of them: whoever is dead refuses. @type {typeof fetch} */
  const anywhere = (input, init) => {
    const { address } = servers[random.int(0, 1)] ?? assert.fail()
    return fetch(new URL(new URL(String(input)).pathname + new URL(String(input)).search, address), init)
  }
  /** A producer leaves it to its `fetch` to try again. @type {typeof fetch} */
  const patient = async (input, init) => {
    for (;;) {
      const response = await anywhere(input, init).catch(() => null)
      if (response !== null && response.status < 500) return response
      await sleep(10)
    }
  }
  const options = {
    url: 'http://servers.test/v1/stream/shared',
    contentType: 'application/json',
    fetch: anywhere,
    backoffOptions: BACKOFF,
  }
  await DurableStream.create(options)
  /** @type {Error[]} */
  const errors = []
  /** @type {('sse' | 'long-poll')[]} */
  const modes = ['sse', 'long-poll', 'sse', 'long-poll']
  const readers = modes.map((live, index) => {
    /** @type {string[]} */
    const seen = []
    // A response that breaks in the middle ends; whoever reads goes on from where it was.
    const follow = async () => {
      for (let offset = '-1'; ; await sleep(20)) {
        const session = { ...options, live, offset, sseResilience: { minConnectionDuration: 0 } }
        const response = await stream(session).catch(() => null)
        if (response === null) continue
        response.subscribeJson(async ({ items, offset: next }) => {
          seen.push(.../** @type {string[]} */ (items))
          offset = next
        })
        await response.closed.catch(() => {})
        if (response.streamClosed) return
      }
    }
    return { name: `${live} ${index}`, seen, closed: follow() }
  })
  let isOver = false
  const writers = NAMES.map(async (name) => {
    const producer = new IdempotentProducer(new DurableStream(options), name, {
      fetch: patient,
      maxInFlight: 3,
      lingerMs: 2,
      maxBatchBytes: 60,
      onError: (error) => errors.push(error),
    })
    let count = 0
    for (; !isOver; count += 6) {
      for (let more = 0; more < 6; more++) producer.append(JSON.stringify(`${name} ${count + more}`))
      await producer.flush()
    }
    return { name, count, producer }
  })
  const gone = () => readers.map(({ seen }) => seen.length)
  for (let round = 0; round < 4; round++) {
    const before = gone()
    const more = random.int(20, 60)
    await until(() => gone().every((count, index) => count >= (before[index] ?? 0) + more), {
      timeout: 20_000,
      message: () => `${gone()} after ${before}, ${errors}`,
    })
    const victim = random.int(0, 1)
    await servers[victim]?.stop('SIGKILL')
    const between = gone()
    await until(() => gone().every((count, index) => count > (between[index] ?? 0)), { timeout: 20_000 })
    servers[victim] = await startServe(args)
  }
  isOver = true
  const done = await deadline(Promise.all(writers), 30_000, 'writers end')
  assert.deepEqual(errors, [])
  // Closed once, however often.
  const closes = await Promise.all([new DurableStream(options).close(), new DurableStream(options).close()])
  assert.equal(closes[0]?.finalOffset, closes[1]?.finalOffset)
  await deadline(Promise.all(readers.map(({ closed }) => closed)), 20_000, 'readers end')
  const all = done.reduce((sum, { count }) => sum + count, 0)
  await until(() => readers.every(({ seen }) => seen.length >= all), { message: () => `${gone()} of ${all}` })
  t.diagnostic(JSON.stringify(done.map(({ name, count }) => ({ name, count }))))
  checkHistory({
    written: written(done),
    readers: readers.map(({ name, seen }) => ({
      name,
      chunks: seen.map((data, index) => ({ seq: index + 1, data })),
      outcome: 'complete',
    })),
  })
})

test('G1 G3 a log’s slot moves in a cluster, and its server is replaced, while engines append', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.close())
  const random = createRandom(22)
  const engines = NAMES.map(() => openEngine(t, { url: cluster.url, connectTimeout: '20s' }))
  const logs = engines.map((engine) => engine.log('moved'))
  const [one] = logs
  assert.ok(one)
  await one.create()
  const readers = logs.map((log, index) => startReader(log, `reader ${index}`))
  const writing = startWriters(logs, NAMES, 4)
  const goOn = () => getMore(readers, random.int(20, 60))
  const key = '{tidemark:moved}:meta'
  await goOn()
  for (let round = 0; round < 2; round++) {
    const { slot, server } = await cluster.owner(key)
    const move = cluster.move(slot, server, cluster.otherThan(server))
    await move.begin()
    // Nothing can be written to what is in two places.
    await sleep(random.int(0, 200))
    await move.migrate()
    await move.end()
    await goOn()
  }
  const { server } = await cluster.owner(key)
  const replica = await cluster.replicaOf(server)
  await replica.admin.cmd('CLUSTER', 'FAILOVER')
  await until(async () => (await cluster.owner(key)).server === replica, { timeout: 20_000 })
  await goOn()
  // Both are in different slots.
  const fork = /** @type {import('tidemark').Engine} */ (engines[1]).log('elsewhere')
  const middle = (await one.page({ limit: 30 })).next
  assert.equal((await fork.createFrom('moved', { at: middle })).isNew, true)
  const writers = await writing.end()
  await Promise.all(logs.map((log) => log.close()))
  t.diagnostic(JSON.stringify(writers))
  const read = (await Promise.all(readers.map((reader) => reader.done()))).flat()
  checkHistory({ written: written(writers), readers: read })
  const forked = (await fork.page()).chunks.map((chunk) => chunk.text())
  assert.deepEqual(
    forked,
    read[0]?.chunks.slice(0, 30).map(({ data }) => data),
  )
})

test('G1 G3 sentinels replace the primary while an engine appends to a log that others follow', async (t) => {
  const sentinels = await startSentinels()
  t.after(() => sentinels.close())
  const random = createRandom(23)
  const url = sentinels.url
  const log = openEngine(t, { url, connectTimeout: '30s' }).log('failed-over')
  await log.create()
  const readers = ['here', 'there'].map((name) =>
    startReader(openEngine(t, { url, connectTimeout: '30s' }).log('failed-over'), name),
  )
  const writing = startWriters(
    NAMES.map(() => log),
    NAMES,
  )
  const goOn = () => getMore(readers, random.int(20, 60))
  await goOn()
  await sentinels.failover()
  await sentinels.becomes(sentinels.servers[1])
  await goOn()
  const writers = await writing.end()
  await Promise.all([log.close(), log.close()])
  const read = (await Promise.all(readers.map((reader) => reader.done()))).flat()
  t.diagnostic(JSON.stringify([writers, read.map(({ name, chunks }) => `${name} ${chunks.length}`)]))
  // What the old primary has accepted last may be lost: readers then find the hole, and never another chunk under a seq that was seen.
  checkHistory({ written: written(writers, false), readers: read })
})
