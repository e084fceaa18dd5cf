// The inspector's list: who reads a stream, who writes it, and how far consumers and groups are behind.

import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { describe, test } from 'node:test'
import { createEngine } from 'tidemark'
import { inspector } from 'tidemark/inspector'
import { startCluster } from '../support/cluster.mjs'
import { asker } from '../support/inspector.mjs'
import { userInfo } from '../support/redis-server.mjs'
import { eachStore } from '../support/stores.mjs'
import { Follower, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const HERE = `${hostname()}:${process.pid}`
const everybody = () => true

/** The list's row of a stream. @param {import('tidemark').Engine} engine @param {object} [options] of the inspector */
function rows(engine, options) {
  const { get } = asker(inspector({ engine, authorize: everybody, ...options }))
  return async (/** @type {string} */ id) => {
    const { list } = await get('/api/look?fresh=1')
    return list.rows.find((/** @type {any} */ { streamId }) => streamId === id)
  }
}

eachStore('readers in the inspector', (store) => {
  const open = useEngines(store)

  test('readers here, the process that writes, and the same on the page of the stream', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const producer = await engine.produce('chat')
    const row = rows(engine)
    const { readers, process, lag } = await row('chat')
    assert.deepEqual([readers, process, lag], [{ here: 0, elsewhere: 0 }, HERE, null])
    const followers = [1, 2].map(() => new Follower(engine.subscribe('chat')))
    await until(async () => (await row('chat')).readers.here === 2)
    const { get } = asker(inspector({ engine, authorize: everybody }))
    const { stream } = await get('/api/stream?id=chat')
    assert.deepEqual([stream.readers, stream.process], [{ here: 2, elsewhere: 0 }, HERE])
    await producer.complete()
    await Promise.all(followers.map((follower) => follower.end()))
    await until(async () => (await row('chat')).readers.here === 0)
    assert.equal((await row('chat')).process, null, 'nobody writes any more')
  })

  test('G10 an owner is not told the names of servers', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const producer = await engine.produce('chat', { owner: 'ann' })
    await producer.append('x')
    const { raw } = asker(inspector({ engine, authorize: () => ({ owner: 'ann' }) }))
    for (const path of ['/api/look', '/api/stream?id=chat']) {
      const text = await (await raw(path)).text()
      assert.match(text, /"process":null/)
      assert.ok(!text.includes(hostname()), text)
    }
  })

  test('the lag is that of the consumer or group that is furthest behind, and sorts the list', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const row = rows(engine)
    for (const id of ['followed', 'shared', 'alone']) {
      const producer = await engine.produce(id)
      for (let count = 0; count < 6; count++) producer.write('x')
      await producer.flush()
      if (id === 'followed') await engine.ack(id, { consumer: 'phone', cursor: `${producer.generation}.4` })
    }
    const consumer = engine.consume('shared', { group: 'workers', consumer: 'one', batch: 2 })
    const { value: item } = await consumer.next()
    // What is handed out and not acknowledged counts too.
    assert.equal((await row('shared')).lag, 6)
    await item?.ack()
    await until(async () => (await row('shared')).lag === 5)
    assert.deepEqual([(await row('followed')).lag, (await row('alone')).lag], [2, null])
    const { get } = asker(inspector({ engine, authorize: everybody }))
    const { list } = await get('/api/look?sort=lag')
    assert.deepEqual(
      list.rows.map((/** @type {any} */ { streamId }) => streamId),
      ['shared', 'followed', 'alone'],
    )
    await consumer.return()
  })

  describe('of other processes', { skip: store.kind === 'memory' }, () => {
    /** An engine with connections of its own, as another process has. @param {string} keyPrefix */
    const another = (keyPrefix) => open({ keyPrefix, url: `${store.url}?family=4` })

    test('that they read, and their names', async () => {
      const keyPrefix = store.prefix()
      const [here, there] = [open({ keyPrefix }), another(keyPrefix)]
      const producer = await there.produce('chat')
      await producer.append('x')
      const [row, rowThere] = [rows(here), rows(there)]
      await until(async () => (await row('chat')).process === HERE, { message: 'the node tells its name' })
      assert.deepEqual((await row('chat')).readers, { here: 0, elsewhere: 0 })
      const followers = [here, here, there].map((engine) => new Follower(engine.subscribe('chat')))
      await until(async () => (await row('chat')).readers.here === 2)
      // Who reads what it writes itself needs no messages.
      assert.deepEqual((await row('chat')).readers, { here: 2, elsewhere: 0 })
      await until(async () => (await rowThere('chat')).readers.elsewhere === 1)
      assert.deepEqual((await rowThere('chat')).readers, { here: 1, elsewhere: 1 })
      const { get } = asker(inspector({ engine: there, authorize: everybody }))
      await until(async () => (await get('/api/stream?id=chat')).stream.readers.elsewhere === 1)
      await producer.complete()
      await Promise.all(followers.map((follower) => follower.end()))
      await until(async () => (await rowThere('chat')).readers.elsewhere === 0)
    })

    test('G9 a survey of 1,000 streams is a few scripts', async () => {
      const engine = open({ keyPrefix: store.prefix() })
      await Promise.all(Array.from({ length: 1_000 }, (_, index) => engine.produce(`chat ${index}`)))
      const { get } = asker(inspector({ engine, authorize: everybody }))
      const { admin } = store.redis
      const sent = async () => {
        const stats = await admin.info('commandstats')
        const of = (/** @type {string} */ name) => Number(/calls=(\d+)/.exec(stats[name] ?? '')?.[1] ?? 0)
        return { scripts: of('cmdstat_evalsha'), counts: of('cmdstat_pubsub|numsub') || of('cmdstat_pubsub') }
      }
      let cost = { scripts: Number.POSITIVE_INFINITY, counts: Number.POSITIVE_INFINITY }
      // What has begun enters the index and renews its lease meanwhile, which are scripts too: one survey without them is enough.
      await until(
        async () => {
          const before = await sent()
          assert.equal((await get('/api/look?fresh=1')).list.total, 1_000)
          const after = await sent()
          cost = { scripts: after.scripts - before.scripts, counts: after.counts - before.counts }
          // At most 64 streams in each, of one of 16 parts of the index.
          return cost.scripts <= 40 && cost.counts <= 40
        },
        { message: () => JSON.stringify(cost) },
      )
    })
  })
})

test('readers of other processes in a cluster, on whichever server they listen', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.close())
  const seeds = cluster.addresses.split(',')
  const [here, ...others] = seeds.map((_, index) => {
    // Each with connections of its own.
    const turned = [...seeds.slice(index), ...seeds.slice(0, index)]
    return createEngine({ url: `redis+cluster://${userInfo()}${turned}`, keyPrefix: 'test-readers' })
  })
  t.after(() => Promise.all([here, ...others].map((engine) => engine?.close())))
  assert.ok(here)
  await (await here.produce('chat')).append('x')
  await here.produce('quiet')
  const row = rows(here)
  const followers = others.map((engine) => new Follower(engine.subscribe('chat')))
  await Promise.all(followers.map((follower) => follower.has(1)))
  await until(async () => (await row('chat')).readers.elsewhere === 2)
  assert.deepEqual((await row('quiet')).readers, { here: 0, elsewhere: 0 })
})
