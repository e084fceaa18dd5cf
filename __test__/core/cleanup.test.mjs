// Removing what is no longer needed: which streams, how it is told, and what it costs Redis.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createEngine } from 'tidemark'
import { checkHistory } from '../support/history.mjs'
import { populate, produceMany, timed } from '../support/many.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { startRemote } from '../support/remote.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, listed, numbered, produceAll, readAll, texts, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/** @typedef {import('tidemark').CleanupReport} CleanupReport */

/** @param {CleanupReport} report */
function counts({ scanned, removed, live, kept, healed }) {
  return { scanned, removed, live, kept, healed }
}

/**
 * The keys of a prefix, but for those that say that a process lives: they are there for a lease after its last producer.
 * @param {import('../support/redis-server.mjs').RedisServer} redis
 * @returns {Promise<string[]>}
 */
async function left(redis, prefix = 'tidemark') {
  const [, keys] = await redis.admin.cmd('SCAN', 0, 'MATCH', `*${prefix}*`, 'COUNT', 100_000)
  return keys.filter((/** @type {string} */ key) => !key.startsWith(`${prefix}:node:`))
}

eachStore('cleanup', (store) => {
  const open = useEngines(store)
  const fresh = () => open({ keyPrefix: store.prefix() })

  test('checklist 10: it removes finished streams, by age and outcome, and none that is live', async () => {
    const engine = fresh()
    assert.deepEqual(counts(await engine.cleanup()), { scanned: 0, removed: 0, live: 0, kept: 0, healed: 0 })
    await produceAll(engine, 'complete', texts(3))
    await (await engine.produce('failed')).fail('why')
    const live = await engine.produce('live')
    await live.append('one')
    const all = ['complete', 'failed', 'live']

    const young = await engine.cleanup()
    assert.deepEqual(counts(young), { scanned: 3, removed: 0, live: 1, kept: 2, healed: 0 })
    assert.equal(young.total, 3)
    const look = await engine.cleanup({ olderThan: 0, dryRun: true })
    assert.deepEqual(counts(look), { scanned: 3, removed: 2, live: 1, kept: 0, healed: 0 })
    assert.deepEqual([look.dryRun, young.dryRun], [true, false])
    assert.deepEqual(await listed(engine), all)

    const failed = await engine.cleanup({ olderThan: 0, outcomes: ['failed', 'stopped'] })
    assert.deepEqual(counts(failed), { scanned: 3, removed: 1, live: 1, kept: 1, healed: 0 })
    assert.deepEqual(await listed(engine), ['complete', 'live'])
    const rest = await engine.cleanup({ olderThan: 0 })
    assert.deepEqual(counts(rest), { scanned: 2, removed: 1, live: 1, kept: 0, healed: 0 })
    assert.ok(rest.durationMs > 0)
    assert.deepEqual(await listed(engine), ['live'])
    await live.append('two')
    await live.complete()
    checkHistory({ written: numbered(['one', 'two']), readers: [await readAll(engine, 'live')] })
  })

  test('checklist 10: a live stream is removed only by force, and everyone is told', async () => {
    const engine = fresh()
    const producer = await engine.produce('forced')
    const { signal } = producer
    const reader = follow(engine, 'forced')
    await producer.append('one')
    await reader.has(1)
    assert.equal((await engine.cleanup({ force: true })).live, 1, 'too young')
    assert.equal((await engine.cleanup({ olderThan: 0, force: true, dryRun: true })).removed, 1)
    assert.equal((await engine.cleanup({ olderThan: 0, force: true, outcomes: ['failed'] })).removed, 1)
    await reader.end()
    assert.deepEqual([reader.error?.code, reader.error?.reason], ['ERR_INTERRUPTED', 'deleted'])
    await until(() => signal.aborted)
    assert.equal(signal.reason.reason, 'deleted')
    assert.deepEqual(await listed(engine), [])
    checkHistory({ written: numbered(['one']), readers: [{ ...reader, to: 1 }] })
  })

  test('checklist 10: it shows progress after each batch, and can be aborted between two', async () => {
    const engine = fresh()
    await produceMany(engine, 50)
    /** @type {CleanupReport[]} */
    const progress = []
    const report = await engine.cleanup({
      olderThan: 0,
      batch: 8,
      dryRun: true,
      onProgress: (at) => progress.push(at),
    })
    assert.equal(report.removed, 50)
    assert.ok(progress.length >= 7, `${progress.length} batches`)
    let before = 0
    for (const { scanned, total } of progress) {
      assert.ok(scanned > before && scanned <= before + 8, `${before} and then ${scanned}`)
      assert.equal(total, 50)
      before = scanned
    }
    assert.equal(before, 50)

    const controller = new AbortController()
    let removed = 0
    const aborted = engine.cleanup({
      olderThan: 0,
      batch: 10,
      signal: controller.signal,
      onProgress: (at) => {
        removed = at.removed
        if (removed >= 20) controller.abort(new Error('enough'))
      },
    })
    await assert.rejects(aborted, { message: 'enough' })
    assert.ok(removed >= 20 && removed < 50)
    assert.equal((await listed(engine)).length, 50 - removed)
    await assert.rejects(engine.cleanup({ signal: AbortSignal.abort(new Error('before')) }), {
      message: 'before',
    })
    const broken = engine.cleanup({
      onProgress: () => {
        throw new Error('mine')
      },
    })
    await assert.rejects(broken, { message: 'mine' })
    assert.equal((await engine.cleanup({ olderThan: 0 })).removed, 50 - removed)
  })

  test('checklist 10: a stream that is started again meanwhile is not removed', async () => {
    const random = createRandom()
    const keyPrefix = store.prefix()
    const [engine, other] = [open({ keyPrefix }), open({ keyPrefix })]
    const names = await produceMany(engine, 60)
    let sweeping = true
    const sweeps = (async () => {
      let live = 0
      while (sweeping) live += (await other.cleanup({ olderThan: 0, batch: random.int(1, 20) })).live
      return live
    })()
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        names.map(async (name) => {
          const producer = await engine.produce(name)
          for (const text of texts(3)) await producer.append(text)
          assert.equal(producer.signal.aborted, false)
          assert.equal(await producer.complete(), 'complete')
        }),
      )
    }
    sweeping = false
    assert.ok((await sweeps) > 0, 'some were met live')
  })

  test('checklist 10: bad options are refused, naming the field', async () => {
    const engine = fresh()
    /** @type {[unknown, string][]} */
    const table = [
      [5, 'options'],
      [{ older: '1h' }, 'options.older'],
      [{ olderThan: '1w' }, 'options.olderThan'],
      [{ outcomes: [] }, 'options.outcomes'],
      [{ outcomes: 'complete' }, 'options.outcomes'],
      [{ outcomes: ['complete', 'active'] }, 'options.outcomes[1]'],
      [{ dryRun: 1 }, 'options.dryRun'],
      [{ force: 'yes' }, 'options.force'],
      [{ batch: 0 }, 'options.batch'],
      [{ batch: 1001 }, 'options.batch'],
      [{ signal: {} }, 'options.signal'],
      [{ onProgress: 1 }, 'options.onProgress'],
    ]
    for (const [options, field] of table) {
      await assert.rejects(engine.cleanup(/** @type {any} */ (options)), {
        code: 'ERR_INVALID_ARGUMENT',
        field,
      })
    }
  })
})

describe('cleanup in Redis', () => {
  test('checklist 10: a stream whose producer was killed counts as interrupted', async (t) => {
    const redis = await startRedis()
    t.after(() => redis.close())
    const options = { url: redis.url, lease: '1s' }
    const engine = createEngine(options)
    t.after(() => engine.close())
    const victim = await startRemote(t, options)
    await victim.ask('produce', { streamId: 'orphan' })
    assert.equal((await engine.cleanup({ olderThan: 0 })).live, 1)
    await victim.kill()
    await until(async () => (await engine.cleanup({ olderThan: 0, dryRun: true })).removed === 1)
    assert.equal((await engine.cleanup({ olderThan: 0, outcomes: ['complete', 'stopped'] })).kept, 1)
    assert.equal((await engine.cleanup({ olderThan: 0, outcomes: ['interrupted'] })).removed, 1)
    assert.equal(await engine.status('orphan'), null)
  })

  test('checklist 10: ids whose streams have expired leave the index', async (t) => {
    const redis = await startRedis()
    t.after(() => redis.close())
    const engine = createEngine({ url: redis.url })
    t.after(() => engine.close())
    const names = await produceMany(engine, 40)
    for (const name of names.slice(0, 30)) {
      const keys = ['meta', 'log', 'sealed'].map((part) => `{tidemark:${name}}:${part}`)
      await redis.admin.cmd('UNLINK', ...keys)
    }
    const index = () =>
      Promise.all(
        Array.from({ length: 16 }, (_, shard) => redis.admin.cmd('ZCARD', `tidemark:index:streams:${shard}`)),
      )
    const sum = (/** @type {number[]} */ sizes) => sizes.reduce((total, size) => total + size, 0)
    const look = await engine.cleanup({ dryRun: true })
    assert.deepEqual(counts(look), { scanned: 40, removed: 0, live: 0, kept: 10, healed: 30 })
    assert.equal(sum(await index()), 40)
    assert.deepEqual(counts(await engine.cleanup()), { ...counts(look) })
    assert.equal(sum(await index()), 10)
    assert.equal((await engine.cleanup({ olderThan: 0 })).removed, 10)
    assert.deepEqual(await left(redis), [])
  })

  test('checklist 4 and 10: 2,100 streams among 20,000 keys of others, and every command bounded', async (t) => {
    const redis = await startRedis()
    t.after(() => redis.close())
    await populate(redis, 20_000, 'foreign:')
    const engine = createEngine({ url: redis.url, keyPrefix: 'test-bounded' })
    t.after(() => engine.close())
    const names = await produceMany(engine, 2_100)
    const commands = new Map()
    let longest = 0
    const endMonitor = await redis.admin.monitor(({ args, source }) => {
      if (source === 'lua') return
      const name = args[0]?.toUpperCase() ?? ''
      commands.set(name, (commands.get(name) ?? 0) + 1)
      const count = name.endsWith('SCAN') ? Number(args[args.indexOf('COUNT') + 1]) : args.length
      longest = Math.max(longest, count)
    })
    const { result, ms, slowest } = await timed(redis, async () => {
      assert.deepEqual(await listed(engine), names.sort())
      return engine.cleanup({ olderThan: 0 })
    })
    endMonitor()
    assert.deepEqual([result.removed, result.healed], [2_100, 0])
    assert.ok(longest <= 256, `a command of ${longest} entries`)
    t.diagnostic(
      `listed and removed in ${Math.round(ms)} ms; the longest command: ${longest} entries, or ${slowest.ms} ms (${slowest.command})`,
    )
    assert.deepEqual(await left(redis, 'test-bounded'), [])
    const [, foreign] = await redis.admin.cmd('SCAN', 0, 'MATCH', 'foreign:*', 'COUNT', 100_000)
    assert.equal(foreign.length, 20_000, 'nothing else was touched')
    const index = ['ZSCAN', 'ZCARD', 'ZMSCORE', 'SSCAN', 'SCARD', 'SREM']
    const known = ['EVALSHA', ...index, 'CONFIG', 'SLOWLOG', 'PING']
    assert.deepEqual(
      [...commands.keys()].filter((name) => !known.includes(name)),
      [],
    )
    assert.ok(commands.get('EVALSHA') >= 2_100)
  })
})
