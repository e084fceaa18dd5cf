// Which streams there are: nobody who lives is missing from the lists, and nobody who is gone stays in them.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createRandom } from '../support/seed.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { listed, produceAll, texts, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const SHARDS = 16

eachStore('listing', (store) => {
  const open = useEngines(store)

  test('a stream is listed from its start on, whatever is asked about it at the same time', async () => {
    const random = createRandom()
    const keyPrefix = store.prefix()
    const [engine, other] = [open({ keyPrefix }), open({ keyPrefix })]
    /** @type {((id: string) => Promise<unknown>)[]} */
    const questions = [
      (id) => other.status(id),
      (id) => engine.status(id),
      (id) => other.delete(id),
      (id) => engine.delete(id),
      () => other.cleanup({ olderThan: 0, batch: 1_000 }),
      () => listed(other),
    ]
    let ends = 0
    for (let round = 0; round < 8; round++) {
      const ids = Array.from({ length: 250 }, (_, index) => `${round} ${index}`)
      await Promise.all(
        ids.flatMap((id) => {
          const index = random.int(0, 99)
          const question = questions[index < 4 ? 4 + (index % 2) : index % 4]
          const asking = question?.(id)
          return random.int(0, 1) ? [engine.produce(id), asking] : [asking, engine.produce(id)]
        }),
      )
      const left = []
      for (const id of ids) if ((await engine.status(id)) !== null) left.push(id)
      ends += ids.length - left.length
      const found = (await listed(other)).filter((id) => id.startsWith(`${round} `))
      assert.deepEqual(found, left.sort())
      for (const id of left) await engine.delete(id)
    }
    assert.deepEqual(await listed(engine), [])
    // An entry may have come just after its stream was deleted.
    await engine.cleanup()
    assert.equal((await engine.cleanup()).total, 0)
    assert.ok(ends < 1_900, `${ends} were deleted`)
  })

  test('ids of streams that have expired go while others come', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    // What is left of a live stream is left for long, what is left of these is not.
    const ttl = { active: '1h', done: '1s' }
    const names = texts(2_000, 'expiring')
    await Promise.all(names.map((name) => produceAll(engine, name, [name], { ttl })))
    const total = async () => (await engine.cleanup({ dryRun: true, batch: 1_000 })).total
    const first = await total()
    assert.ok(first > 0, `${first}`)
    let live = 0
    const some = async () => {
      const more = texts(20, `live ${live}`)
      await Promise.all(more.map((name) => engine.produce(name)))
      live += more.length
      return (await total()) <= live + 20
    }
    await until(some, { timeout: 15_000, message: () => `the index holds about ${live}` })
    assert.ok(live < 2_000, `${live} had to come`)
    await until(async () => (await listed(engine)).length === live, { message: 'those that live are listed' })
  })

  test('the count is that of streams', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    await produceAll(engine, 'finished', ['x'])
    await engine.produce('live')
    await engine.stop('kept')
    await engine.delete(await engine.produce('deleted').then(({ streamId }) => streamId))
    assert.equal((await engine.cleanup({ dryRun: true })).total, 2)
  })
})

describe('listing [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())

  const shards = Array.from({ length: SHARDS }, (_, shard) => shard)

  test('an entry lasts as long as anything can be left of its stream', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix, ttl: { active: '1m', done: '10m' } })
    const seconds = async () => {
      const scores = await Promise.all(
        shards.map((shard) => admin.cmd('ZSCORE', `${keyPrefix}:index:streams:${shard}`, 'one')),
      )
      const [sec] = await admin.cmd('TIME')
      return Math.round(Number(scores.find((score) => score !== null)) / 1000 - Number(sec))
    }
    const about = (/** @type {number} */ wanted) => async () => Math.abs((await seconds()) - wanted) <= 2
    const producer = await engine.produce('one')
    await until(about(11 * 60), { message: 'the end may come at the last moment' })
    await producer.complete()
    await until(about(10 * 60), { message: 'the end has come' })
    await engine.produce('one')
    await until(about(11 * 60), { message: 'it has begun anew' })
    const cards = await Promise.all(
      shards.map((shard) => admin.cmd('PTTL', `${keyPrefix}:index:streams:${shard}`)),
    )
    for (const left of cards) assert.ok(left === -2 || (left > 600_000 && left <= 661_000), `${left}`)
  })

  test('the sets of older versions are listed too, and dropped from', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix })
    await Promise.all(['old', 'both', 'new', 'gone'].map((name) => produceAll(engine, name, [])))
    await admin.cmd('DEL', `{${keyPrefix}:gone}:meta`)
    for (const shard of shards) {
      const [current, old] = [`${keyPrefix}:index:streams:${shard}`, `${keyPrefix}:index:${shard}`]
      if (await admin.cmd('ZSCORE', current, 'both')) await admin.cmd('SADD', old, 'both')
      for (const name of ['old', 'gone']) {
        if (await admin.cmd('ZREM', current, name)) await admin.cmd('SADD', old, name)
      }
      await admin.cmd('PEXPIRE', old, 60_000)
    }
    assert.deepEqual(await listed(engine), ['both', 'new', 'old'])
    await engine.delete('both')
    assert.deepEqual(await listed(engine), ['new', 'old'])
    const { healed, removed } = await engine.cleanup({ olderThan: 0 })
    assert.deepEqual({ healed, removed }, { healed: 1, removed: 2 })
    const left = await Promise.all(shards.map((shard) => admin.cmd('EXISTS', `${keyPrefix}:index:${shard}`)))
    assert.deepEqual(new Set(left), new Set([0]))
  })

  test('a start that was refused, or has joined, leaves nothing behind that is looked for later', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix })
    const ifActive = 'share'
    const producers = [await engine.produce('one'), await engine.produce('shared', { ifActive })]
    for (let round = 0; round < 10; round++) {
      await assert.rejects(engine.produce('one'), { code: 'ERR_ACTIVE' })
      producers.push(await engine.produce('shared', { ifActive }))
    }
    const key = `${keyPrefix}:{finished}:open`
    const generations = async () => {
      const members = await admin.cmd('ZRANGEBYSCORE', key, '-inf', '+inf')
      return members.map((/** @type {string} */ member) => member.split(' ')[0]).sort()
    }
    const alive = [...new Set(producers.map(({ generation }) => generation))].sort()
    assert.equal(alive.length, 2)
    await until(async () => (await generations()).join() === alive.join(), { message: 'two are open' })
  })

  test('a generation that is named after the one before it, because of the clocks, is looked after', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix })
    await produceAll(engine, 'one', [])
    await admin.cmd('HSET', `{${keyPrefix}:one}:meta`, 'g', '7ZZZZZZZZZ0000000000000000')
    const { generation } = await engine.produce('one')
    assert.match(generation, /^7ZZZZZZZZZ/)
    const noted = () => admin.cmd('ZRANGEBYSCORE', `${keyPrefix}:{finished}:open`, '-inf', '+inf')
    await until(async () => (await noted()).join() === `${generation} one`, { message: 'it is open' })
  })

  test('what is open is not forgotten for an engine with shorter TTLs', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const [long, short] = [open({ keyPrefix }), open({ keyPrefix, ttl: { active: '1s', done: '1s' } })]
    await long.produce('long')
    const key = `${keyPrefix}:{finished}:open`
    await until(async () => (await admin.cmd('ZCARD', key)) === 1)
    // Nobody has looked for ten minutes.
    const [member] = await admin.cmd('ZRANGEBYSCORE', key, '-inf', '+inf')
    await admin.cmd('ZADD', key, Date.now() - 600_000, member)
    await produceAll(short, 'short', [])
    await until(async () => (await admin.cmd('ZCARD', key)) === 1, { message: 'the end is announced' })
    assert.notEqual(await admin.cmd('ZSCORE', key, member), null)
  })

  test('consumers that have left the queue of finished answers leave no names behind', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix, ttl: { active: '1s', done: '1s' } })
    const key = `${keyPrefix}:{finished}:queue`
    const names = async () => {
      const consumers = await admin.cmd('XINFO', 'CONSUMERS', key, 'g save')
      return consumers.map((/** @type {string[]} */ fields) => fields[1])
    }
    for (const consumer of texts(10, 'gone')) {
      const queue = engine.finished({ group: 'save', consumer })
      const next = queue.next()
      await produceAll(engine, consumer, [])
      await (await next).value?.ack()
      await queue.return()
    }
    assert.equal((await names()).length, 10)
    // News makes it ask often; each time a few names may go.
    const queue = engine.finished({ group: 'save', consumer: 'here', batch: 1 })
    const reading = (async () => {
      for await (const item of queue) await item.ack()
    })()
    reading.catch(() => {})
    const alone = async () => {
      await Promise.all(texts(50).map((name) => produceAll(engine, name, [])))
      return (await names()).join() === 'here'
    }
    await until(alone, { timeout: 20_000, message: 'they are forgotten' })
    await queue.return()
    await reading
  })
})
