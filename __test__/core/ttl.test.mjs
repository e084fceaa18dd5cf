// Items 9 and 17: how long a stream lives, who says so, and that nothing lives for ever.

import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const HOUR_MS = 3_600_000

eachStore('ttl', (store) => {
  const open = useEngines(store)

  afterEach(() => {
    delete process.env.TIDEMARK_TTL_ACTIVE_SECONDS
    delete process.env.TIDEMARK_TTL_DONE_SECONDS
  })

  /**
   * The TTLs, in seconds, of a stream while it is live and when it is done.
   * @param {import('tidemark').EngineOptions} [engineOptions]
   * @param {import('tidemark').ProduceOptions} [options]
   */
  async function ttls(engineOptions, options) {
    const engine = open(engineOptions)
    const streamId = `ttl ${Math.random()}`
    const producer = await engine.produce(streamId, options)
    const seconds = async () => Math.ceil(((await engine.status(streamId))?.ttlMs ?? 0) / 1000)
    const active = [await seconds()]
    await producer.append('x')
    active.push(await seconds())
    await producer.complete()
    assert.equal(active[0], active[1])
    return [active[0], await seconds()]
  }

  test('item 9 one hour by default, else what the engine or the stream says', async () => {
    assert.deepEqual(await ttls(), [3_600, 3_600])
    assert.deepEqual(await ttls({ ttl: { active: '10m', done: 90_000 } }), [600, 90])
    assert.deepEqual(await ttls({ ttl: { active: '10m' } }, { ttl: { done: '7d' } }), [600, 7 * 86_400])
    assert.deepEqual(await ttls({ ttl: { done: '10m' } }, { ttl: { active: '1s', done: '365d' } }), [
      1,
      365 * 86_400,
    ])
  })

  test('item 9 item 17 the environment says it where no option does', async () => {
    process.env.TIDEMARK_TTL_ACTIVE_SECONDS = '120'
    assert.deepEqual(await ttls(), [120, 3_600])
    process.env.TIDEMARK_TTL_DONE_SECONDS = '30'
    assert.deepEqual(await ttls(), [120, 30])
    assert.deepEqual(await ttls({ ttl: { active: '10s' } }, { ttl: { done: '20s' } }), [10, 20])
    process.env.TIDEMARK_TTL_ACTIVE_SECONDS = ''
    assert.deepEqual(await ttls(), [3_600, 30])
  })

  test('item 9 bad values are refused', async () => {
    for (const bad of [0, 999, '0.5s', '366d', 'hour', '', -1, Number.POSITIVE_INFINITY, null, {}, 1.5]) {
      for (const name of ['active', 'done']) {
        const refused = { code: 'ERR_INVALID_ARGUMENT', field: `options.ttl.${name}` }
        assert.throws(() => open({ ttl: { [name]: bad } }), refused)
        await assert.rejects(async () => open().produce('bad', { ttl: { [name]: bad } }), refused)
      }
    }
    for (const [bad, words] of /** @type {const} */ ([
      [3600, /'3600s' for seconds, '3600ms' for milliseconds/],
      [59_999, /'59999s' for seconds, '59999ms'/],
      [90, /'90s' for seconds, '90m' for minutes/],
    ])) {
      assert.throws(() => open({ ttl: { done: bad } }), { field: 'options.ttl.done', message: words })
      const producing = open().produce('bad', { ttl: { active: bad } })
      await assert.rejects(producing, { field: 'options.ttl.active', message: words })
    }
    assert.deepEqual(await ttls({ ttl: { active: 60_000, done: '59999ms' } }), [60, 60])
    // @ts-expect-error no object
    assert.throws(() => open({ ttl: 5_000 }), { field: 'options.ttl' })
    // @ts-expect-error no such TTL
    assert.throws(() => open({ ttl: { idle: 5_000 } }), { field: 'options.ttl.idle' })
    for (const name of ['TIDEMARK_TTL_ACTIVE_SECONDS', 'TIDEMARK_TTL_DONE_SECONDS']) {
      for (const bad of ['0', '-5', '1h', '1.5', '31536001', 'x']) {
        process.env[name] = bad
        assert.throws(() => open(), { code: 'ERR_INVALID_ARGUMENT', field: name })
      }
      delete process.env[name]
    }
  })

  test('a finished stream is gone after its TTL', async () => {
    const [engine, other] = [open({ ttl: { done: '1s' } }), open()]
    const written = performance.now()
    await produceAll(engine, 'short', texts(20))
    const replay = await readAll(other, 'short')
    checkHistory({ written: numbered(texts(20)), readers: [replay] })
    await until(async () => (await other.status('short')) === null, { message: 'it is gone' })
    assert.ok(performance.now() - written >= 990, 'not before its time')
    assert.equal((await readAll(other, 'short', { wait: 0 })).error?.code, 'ERR_NOT_FOUND')
    const resumed = await readAll(other, 'short', { from: replay.subscription.cursor, wait: 0 })
    assert.equal(resumed.error?.code, 'ERR_NOT_FOUND')
    for await (const { streamId } of other.streams()) assert.notEqual(streamId, 'short')
    // Whatever comes under this name is another stream.
    await produceAll(engine, 'short', ['new'])
    checkHistory({ written: numbered(['new']), readers: [await readAll(other, 'short')] })
    const stale = await readAll(other, 'short', { from: replay.subscription.cursor })
    assert.equal(stale.error?.code, 'ERR_GAP')
  })

  test('a live stream lives on as long as it is written to', async () => {
    const engine = open({ ttl: { active: '1s' } })
    const producer = await engine.produce('long')
    const reader = follow(open(), 'long')
    /** @type {string[]} */
    const chunks = []
    const started = performance.now()
    await until(
      async () => {
        chunks.push(`after ${Math.round(performance.now() - started)} ms, ${chunks.length}`)
        await producer.append(chunks.at(-1) ?? '')
        return performance.now() - started > 3_500
      },
      { interval: 150 },
    )
    const replayed = follow(open(), 'long')
    await producer.complete()
    checkHistory({ written: numbered(chunks), readers: [await reader.end(), await replayed.end()] })
  })

  test('a kept stop is forgotten after its time', async () => {
    const engine = open()
    assert.equal(await engine.stop('kept', { reason: 'early', keep: '1s' }), 'kept')
    const kept = performance.now()
    // Asking changes nothing, so the time is all there is to wait for.
    await until(() => performance.now() - kept > 1_300, { message: 'the time passes' })
    const producer = await engine.produce('kept')
    assert.equal(producer.signal.aborted, false)
    await producer.complete()
  })
})

describe('ttl of keys [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())

  test('item 17 no key without TTL, at any moment', async (t) => {
    const random = createRandom(17)
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix, lease: '1s' })
    /** @type {Map<string, number>} */
    const longest = new Map()
    let looking = true
    t.after(() => {
      looking = false
    })
    let looks = 0
    const watch = (async () => {
      while (looking) {
        const look = async (/** @type {string} */ key) => {
          const ttl = await admin.cmd('PTTL', key)
          assert.notEqual(ttl, -1, `${key} has no TTL`)
          const part = key.split(':').at(-1) ?? ''
          longest.set(part, Math.max(longest.get(part) ?? 0, ttl))
        }
        await Promise.all([...(await keysOf(admin, keyPrefix))].map(look))
        looks += 1
      }
    })()
    const life = async (/** @type {string} */ streamId) => {
      if (random.chance(0.3)) await engine.stop(streamId)
      for (let generation = random.int(1, 3); generation > 0; generation--) {
        const producer = await engine.produce(streamId, { ifActive: 'takeover' })
        for (let count = random.int(0, 40); count > 0; count--) {
          producer.write('x'.repeat(random.int(0, 3_000)))
          if (random.chance(0.2)) await turn()
        }
        await producer.flush()
        await random.pick([
          () => producer.complete(),
          () => producer.fail('no'),
          () => engine.stop(streamId).then(() => producer.complete()),
          () => engine.delete(streamId),
          () => {},
        ])()
      }
    }
    // They get in each other's way, which is what these errors say; no other is expected.
    const inTheWay = (/** @type {any} */ { code }) =>
      assert.match(code, /^ERR_(FENCED|ENDED|INTERRUPTED|STOPPED)$/)
    const lives = []
    for (let index = 0; index < 150; index++) {
      // Not all at once: the keys are looked at between them.
      if (index % 10 === 0) await until(() => looks > index / 10, { message: 'a look at the keys' })
      lives.push(life(`stream ${index % 20} ${random.int(0, 5)}`).catch(inTheWay))
    }
    await Promise.all(lives)
    looking = false
    await watch
    assert.ok((longest.get('meta') ?? 0) > 0 && (longest.get('log') ?? 0) > 0)
    assert.ok((longest.get('meta') ?? 0) <= HOUR_MS && (longest.get('log') ?? 0) <= HOUR_MS)
  })

  test('a stop of a stream that there is not is kept for 10 s, or for as long as it says', async () => {
    const { admin } = store.redis
    for (const [options, atMost] of /** @type {const} */ ([
      [{}, 10_000],
      [{ keep: '1h' }, HOUR_MS],
    ])) {
      const keyPrefix = store.prefix()
      assert.equal(await open({ keyPrefix }).stop('unknown', options), 'kept')
      const keys = [...(await keysOf(admin, keyPrefix))]
      const ttls = await Promise.all(keys.map((key) => admin.cmd('PTTL', key)))
      assert.ok(ttls.length > 0 && ttls.every((ttl) => ttl > atMost / 2 && ttl <= atMost), `${keys}: ${ttls}`)
    }
  })

  test('writes refresh the TTL past its half, not each time', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix, ttl: { active: '2s' } })
    const producer = await engine.produce('half')
    await producer.append('first')
    const key = `{${keyPrefix}:half}:meta`
    /** @type {number[]} */
    const before = []
    let last = await admin.cmd('PTTL', key)
    const started = performance.now()
    await until(
      async () => {
        const asked = performance.now()
        const left = await admin.cmd('PTTL', key)
        await producer.append('more')
        const now = await admin.cmd('PTTL', key)
        if (now > left + 100) before.push(left - (performance.now() - asked))
        last = Math.min(last, now)
        return performance.now() - started > 4_000
      },
      { interval: 20 },
    )
    assert.ok(before.length >= 2, 'it was refreshed')
    for (const left of before) assert.ok(left <= 1_000, `refreshed with ${left} ms left`)
    assert.ok(last > 500, `it went down to ${last} ms`)
    await producer.complete()
  })
})

/**
 * All keys that begin with a prefix.
 * @param {import('../support/resp.mjs').Admin} admin
 * @param {string} prefix
 */
async function keysOf(admin, prefix) {
  /** @type {Set<string>} */
  const keys = new Set()
  for (const pattern of [`${prefix}*`, `{${prefix}*`]) {
    for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
      const [next, page] = await admin.cmd('SCAN', cursor, 'MATCH', pattern, 'COUNT', 1_000)
      cursor = next
      for (const key of page) keys.add(key)
    }
  }
  return keys
}
