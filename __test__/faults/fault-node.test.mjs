// G5: a process shows that it lives for all of its producers together (ADR 38), and each of them is examined by itself all the same.

import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { Worker } from 'node:worker_threads'
import { openEngine, openRedis, test } from '../support/fault-scene.mjs'
import { now, startRemote } from '../support/remote.mjs'
import { createRandom, seed } from '../support/seed.mjs'
import { startSentinels } from '../support/sentinels.mjs'
import { starved } from '../support/starved.mjs'
import { follow, readAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/** Long enough for a process to be believed between two signs of life. */
const LEASE_MS = 5_000
const SLACK_MS = 2_000

/** @param {string} label @param {number} count */
const ids = (label, count) => Array.from({ length: count }, (_, index) => `${label} ${index}`)

/** @param {number} ms */
const pass = (ms, since = now()) => until(() => now() - since > ms, { timeout: 2 * ms + 5_000 })

/** Follows many, each of them in one of these engines. @param {import('tidemark').Engine[]} engines @param {string[]} streamIds */
async function followAll(engines, streamIds) {
  const random = createRandom()
  const readers = streamIds.map((id) => follow(random.pick(engines), id, { name: id }))
  await Promise.all(readers.map((reader) => reader.has(1)))
  return readers
}

/** Waits for the ends, and says how long after `since` each came. @param {import('../support/streams.mjs').Follower[]} readers */
function ends(readers, since = now()) {
  return Promise.all(
    readers.map(async (reader) => {
      await reader.end(30_000)
      assert.deepEqual([reader.error?.code, reader.error?.reason], ['ERR_INTERRUPTED', 'lease'], reader.name)
      assert.equal(reader.chunks.length, 1)
      return now() - since
    }),
  )
}

/** The keys of the nodes. @param {import('../support/redis-server.mjs').RedisServer} redis @returns {Promise<string[]>} */
async function nodes(redis) {
  const [, found] = await redis.admin.cmd('SCAN', '0', 'MATCH', '*:node:*', 'COUNT', '100000')
  return found
}

test('G5: a process with 1,000 streams is killed: all readers are told within lease + 2 s', async (t) => {
  t.diagnostic(`TIDEMARK_SEED=${seed}`)
  const redis = await openRedis(t)
  const options = { url: redis.url, lease: LEASE_MS }
  const victim = await startRemote(t, options)
  const streamIds = ids('killed', 1_000)
  await victim.ask('open', { streamIds })
  const survivor = openEngine(t, options)
  const other = await survivor.produce('other')
  await other.append('1')
  const readers = await followAll([survivor, openEngine(t, options)], streamIds)
  const spared = follow(openEngine(t, options), 'other')
  // Nothing but its node's key says now that it lives.
  await pass(1.5 * LEASE_MS)
  assert.deepEqual([...new Set(readers.map((reader) => reader.outcome))], [undefined])
  // A thousand looks and errors take their time where the machine has none to spare.
  const before = starved(redis.pid)
  const died = now()
  await victim.kill()
  const delays = await ends(readers, died)
  const waited = starved(redis.pid) - before
  const limit = LEASE_MS + SLACK_MS + waited
  t.diagnostic(`threads waited for a processor for ${waited.toFixed(0)} ms`)
  t.diagnostic(`from ${Math.min(...delays).toFixed(0)} to ${Math.max(...delays).toFixed(0)} ms`)
  assert.ok(Math.max(...delays) < limit, `${Math.max(...delays)} ms`)
  assert.equal(await other.complete(), 'complete')
  assert.equal((await spared.end()).outcome, 'complete')
})

// Each waits for a lease or two, so they wait together.
describe('G5: signs of life', { concurrency: true }, () => {
  test('G4 G5: a process stands still for longer than its lease, and comes back', async (t) => {
    const redis = await openRedis(t)
    const options = { url: redis.url, lease: LEASE_MS }
    const stalled = await startRemote(t, options)
    const [seen, unseen] = [ids('seen', 20), ids('unseen', 20)]
    await stalled.ask('open', { streamIds: [...seen, ...unseen] })
    const engine = openEngine(t, options)
    const readers = await followAll([engine], seen)
    const since = now()
    process.kill(/** @type {number} */ (stalled.child.pid), 'SIGSTOP')
    await ends(readers, since)
    await pass(LEASE_MS + SLACK_MS, since)
    const next = await engine.produce('seen 0')
    process.kill(/** @type {number} */ (stalled.child.pid), 'SIGCONT')
    // Those who were found dead are over, and change nothing; the others go on, as nobody has missed them.
    for (const streamId of ['seen 0', 'seen 1']) {
      const refused = stalled.ask('write', { streamId, chunks: ['late'] })
      await assert.rejects(refused, { code: /ERR_FENCED|ERR_ENDED|ERR_INTERRUPTED/ })
    }
    for (const streamId of unseen) {
      await stalled.ask('write', { streamId, chunks: ['2'] })
      assert.equal((await stalled.ask('complete', { streamId })).outcome, 'complete')
    }
    await next.append('next')
    await next.complete()
    const after = await readAll(engine, 'seen 0', { from: `${next.generation}.0`, after: 1 })
    assert.deepEqual(
      after.chunks.map(({ data }) => data),
      ['next'],
    )
  })

  test('G5: the key that shows that a process lives is lost again and again: all go on', async (t) => {
    const redis = await openRedis(t)
    const options = { url: redis.url, lease: LEASE_MS }
    const engine = openEngine(t, options)
    const streamIds = ids('lost', 50)
    const producers = await Promise.all(streamIds.map((id) => engine.produce(id)))
    await Promise.all(producers.map((producer) => producer.append('1')))
    const readers = await followAll([openEngine(t, options)], streamIds)
    const since = now()
    while (now() - since < 3 * LEASE_MS) {
      const keys = await nodes(redis)
      if (keys.length > 0) await redis.admin.cmd('DEL', ...keys)
      await pass(300)
    }
    const strangers = await Promise.all(streamIds.map((id) => openEngine(t, options).status(id)))
    assert.deepEqual([...new Set(strangers.map((status) => status?.state))], ['active'])
    await Promise.all(producers.map((producer) => producer.complete()))
    for (const reader of readers) assert.equal((await reader.end()).outcome, 'complete')
  })

  test('G5: a worker thread is ended: its streams are interrupted, and those of the other engines of the process go on', async (t) => {
    const redis = await openRedis(t)
    const options = { url: redis.url, lease: LEASE_MS }
    const [one, two] = [openEngine(t, options), openEngine(t, { ...options, lease: 2 * LEASE_MS })]
    const producers = [await one.produce('one'), await two.produce('two')]
    await Promise.all(producers.map((producer) => producer.append('1')))
    const worker = new Worker(new URL('../children/node-worker.mjs', import.meta.url), {
      workerData: { options, streamIds: ids('worker', 10) },
    })
    await new Promise((resolve) => worker.once('message', resolve))
    const readers = await followAll([one, two], ids('worker', 10))
    const others = await followAll([one, two], ['one', 'two'])
    await pass(1.5 * LEASE_MS)
    const ended = now()
    await worker.terminate()
    const delays = await ends(readers, ended)
    assert.ok(Math.max(...delays) < LEASE_MS + SLACK_MS, `${Math.max(...delays)} ms`)
    for (const producer of producers) assert.equal(await producer.complete(), 'complete')
    for (const reader of others) assert.equal((await reader.end()).outcome, 'complete')
  })

  test('G5: a process that has taken the place of a living one is killed: readers from before are told', async (t) => {
    const redis = await openRedis(t)
    const options = { url: redis.url, lease: LEASE_MS }
    const [first, reading] = [openEngine(t, options), openEngine(t, options)]
    const victim = await startRemote(t, options)
    const ways = /** @type {const} */ (['continue', 'takeover', 'share'])
    const producers = await Promise.all(
      ways.map((way) => first.produce(way, { ifActive: way === 'share' ? 'share' : 'error' })),
    )
    await Promise.all(producers.map((producer) => producer.append('1')))
    // For this one the first process goes on showing that it lives.
    const kept = await first.produce('kept')
    const readers = ways.map((way) => follow(reading, way, { name: way, follow: 'all' }))
    await Promise.all(readers.map((reader) => reader.has(1)))
    // The reader's process looks at the first one by now.
    await pass(LEASE_MS)
    for (const way of ways) {
      await victim.ask('produce', { streamId: way, options: { ifActive: way } })
      await victim.ask('write', { streamId: way, chunks: ['2'] })
    }
    await Promise.all(readers.map((reader) => reader.has(2)))
    await producers[2]?.complete()
    await pass(1.5 * LEASE_MS)
    const died = now()
    await victim.kill()
    for (const way of ways) {
      // As only a look by the reader's process can have changed it.
      await until(
        async () => (await redis.admin.cmd('HGET', `{tidemark:${way}}:meta`, 's')) === 'interrupted',
        {
          timeout: LEASE_MS + SLACK_MS,
          message: `the end of ${way}, ${now() - died} ms after the death`,
        },
      )
    }
    assert.ok(now() - died < LEASE_MS + SLACK_MS, `${now() - died} ms`)
    assert.equal(await kept.complete(), 'complete')
  })

  test('G5: a producer that cannot go on while its process lives: its readers are told', async (t) => {
    const redis = await openRedis(t)
    const options = { url: redis.url, lease: LEASE_MS }
    const engine = openEngine(t, options)
    const producer = await engine.produce('refused')
    const other = await engine.produce('other')
    await Promise.all([producer.append('1'), other.append('1')])
    const [reader] = await followAll([openEngine(t, options)], ['refused'])
    await pass(LEASE_MS / 2)
    const log = '{tidemark:refused}:log'
    await redis.admin.cmd('DEL', log)
    await redis.admin.cmd('SET', log, 'somebody else')
    const since = now()
    await assert.rejects(producer.append('2'))
    await reader?.end(LEASE_MS + SLACK_MS)
    assert.ok(now() - since < LEASE_MS + SLACK_MS)
    const status = await openEngine(t, options).status('refused')
    assert.equal(status?.state, 'interrupted')
    assert.equal(await other.complete(), 'complete')
  })

  test('G5: the primary fails over: quiet producers go on, and a dead process is noticed', async (t) => {
    const scene = await startSentinels()
    t.after(() => scene.close())
    const [primary, replica] = scene.servers
    const options = { url: scene.url, lease: LEASE_MS }
    const victim = await startRemote(t, options)
    const [kept, killed] = [ids('kept', 20), ids('killed', 20)]
    const [engine, reading] = [openEngine(t, options), openEngine(t, options)]
    await victim.ask('open', { streamIds: killed })
    const producers = await Promise.all(kept.map((id) => engine.produce(id)))
    await Promise.all(producers.map((producer) => producer.append('1')))
    const readers = await followAll([reading], kept)
    const lost = await followAll([reading], killed)
    await primary.stop('SIGKILL')
    await scene.becomes(replica)
    await until(() => engine.state === 'ready' && reading.state === 'ready', { timeout: 20_000 })
    await pass(2 * LEASE_MS)
    assert.deepEqual([...new Set([...readers, ...lost].map((reader) => reader.outcome))], [undefined])
    const died = now()
    await victim.kill()
    const delays = await ends(lost, died)
    assert.ok(Math.max(...delays) < LEASE_MS + SLACK_MS, `${Math.max(...delays)} ms`)
    await Promise.all(producers.map((producer) => producer.append('2')))
    await Promise.all(producers.map((producer) => producer.complete()))
    for (const reader of readers) assert.equal((await reader.end()).outcome, 'complete')
  })
})
