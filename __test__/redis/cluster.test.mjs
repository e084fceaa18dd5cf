// A cluster: streams on all of its servers, slots that move, servers that fail.

import assert from 'node:assert/strict'
import { after, before } from 'node:test'
import { startCluster } from '../support/cluster.mjs'
import {
  connections,
  errorOf,
  openEngine,
  openRedis,
  openWork,
  replay,
  test,
} from '../support/fault-scene.mjs'
import { checkHistory } from '../support/history.mjs'
import { numbered } from '../support/streams.mjs'
import { subscriptionServer } from '../support/subscriptions.mjs'
import { until } from '../support/wait.mjs'

const PASSWORD = 'correct-horse-battery'

/** @type {import('../support/cluster.mjs').Cluster} */
let cluster
before(async () => {
  cluster = await startCluster({ password: PASSWORD })
})
after(() => cluster?.close())

const metaOf = (/** @type {string} */ id) => `{tidemark:${id}}:meta`

/**
 * Producers and readers, here and in another process, until `finish`.
 * @param {import('node:test').TestContext} t
 * @param {string} name
 * @param {import('..').EngineOptions} [options]
 */
async function work(t, name, options) {
  const streams = Array.from({ length: 9 }, (_, index) => `${name}-${index}`)
  const scene = await openWork(t, streams, { url: cluster.url, ...options })
  const moves = () => scene.goesOn(10, 15_000)
  await moves()
  return { ...scene, streams, moves }
}

test('G1 G2 G3 G7: streams on all servers, readers in two processes, one connection to each server and one more', async (t) => {
  const scene = await work(t, 'all')
  const owners = await Promise.all(scene.streams.map((id) => cluster.owner(metaOf(id))))
  assert.equal(new Set(owners.map(({ server }) => server)).size, 3, 'the streams are on all servers')
  const counts = await Promise.all(cluster.servers.map(connections))
  t.diagnostic(JSON.stringify(counts))
  assert.deepEqual(
    counts.map(({ commands }) => commands),
    [2, 2, 2, 0, 0, 0],
    'each process has one connection for commands to each primary',
  )
  assert.equal(
    counts.reduce((sum, { subscribers }) => sum + subscribers, 0),
    2,
    'each process has one connection for subscriptions',
  )
  const listed = []
  for await (const { streamId } of scene.engine.streams()) listed.push(streamId)
  assert.deepEqual(listed.sort(), scene.streams)
  await scene.finish()
  assert.deepEqual(scene.engine.states, ['connecting', 'ready'])

  const other = openEngine(t, { url: cluster.url, keyPrefix: 'test-other' })
  const producer = await other.produce('stopped')
  await producer.append('chunk')
  assert.equal(await other.stop('stopped', 'enough'), 'stopping')
  await until(() => producer.signal.aborted, { message: 'the stop arrives' })
  assert.equal(await producer.complete(), 'stopped')
  assert.equal(await other.delete('stopped'), true)
  assert.equal(await other.status('stopped'), null)
})

test('G1 G2 G3: slots move while their streams are written and read', async (t) => {
  const scene = await work(t, 'move')
  for (const [index, id] of scene.streams.slice(0, 3).entries()) {
    const { slot, server } = await cluster.owner(metaOf(id))
    const to = cluster.otherThan(server)
    const move = cluster.move(slot, server, to)
    await move.begin()
    await move.migrate(':log')
    // The stream is torn: its writer waits, all others go on.
    const torn = scene.accepted()
    await until(() =>
      scene.accepted().every((chunks, other) => other === index || chunks > (torn[other] ?? 0) + 10),
    )
    const progress = (scene.accepted()[index] ?? 0) - (torn[index] ?? 0)
    assert.ok(progress <= 1, `${progress} accepted on their way`)
    await move.migrate()
    await move.end()
    await scene.moves()
    assert.equal((await cluster.owner(metaOf(id))).server, to)
  }
  await scene.finish()
  assert.deepEqual(scene.engine.states, ['connecting', 'ready'])
})

test('G2 G3: a stream is written on while its slot is about to move and when it is there in all but name', async (t) => {
  // So that no append has to renew it: that would need all keys of a stream, even those that do not exist yet.
  const engine = openEngine(t, { url: cluster.url, lease: '10m' })
  const producer = await engine.produce('way')
  await producer.append('first')
  const { slot, server } = await cluster.owner(metaOf('way'))
  const to = cluster.otherThan(server)
  const move = cluster.move(slot, server, to)
  await move.begin()
  await producer.append('where it was')
  await move.migrate(':log')
  const torn = producer.append('in between')
  await move.migrate()
  await torn
  await producer.append('where it will be')
  await to.admin.cmd('ASKING')
  const [[, fields]] = await to.admin.cmd('XREVRANGE', '{tidemark:way}:log', '+', '-', 'COUNT', 1)
  assert.ok(fields[1].includes('where it will be'))
  await move.end()
  await producer.append('where it is')
  assert.equal(await producer.complete(), 'complete')
  const chunks = ['first', 'where it was', 'in between', 'where it will be', 'where it is']
  checkHistory({ written: numbered(chunks), readers: [await replay(engine, 'way')] })
  await cluster.settled()
})

test('G1 G2 G3 G5 G7: a server dies, its replica takes over, and all go on', async (t) => {
  // The failover takes longer: nobody is taken for dead who could not renew meanwhile.
  const scene = await work(t, 'die', { lease: '2s' })
  const victim = (await cluster.owner(metaOf('die-0'))).server
  const begin = performance.now()
  await victim.stop('SIGKILL')
  await until(async () => (await cluster.owner(metaOf('die-0'))).server !== victim, {
    message: 'the replica has taken over',
  })
  const there = performance.now()
  await scene.moves()
  const again = Math.round(performance.now() - there)
  t.diagnostic(`failover ${Math.round(there - begin)} ms, writing again ${again} ms later`)
  await until(() => scene.engine.state === 'ready', { message: () => `ready, not ${scene.engine.states}` })
  await scene.finish()

  await victim.start()
  await cluster.settled()
  // Those of the tests' own engines: one connection for commands to each primary at the most, and one for subscriptions.
  await until(
    async () => {
      const counts = await Promise.all(cluster.servers.map(connections))
      const sum = (/** @type {'commands' | 'subscribers'} */ kind) =>
        counts.reduce((sum, each) => sum + each[kind], 0)
      return counts.every(({ commands }) => commands <= 2) && sum('commands') <= 6 && sum('subscribers') <= 2
    },
    { message: 'no connection is left over' },
  )
})

test('G1 G2 G3: a server hands over to its replica by plan', async (t) => {
  const scene = await work(t, 'plan')
  const { server } = await cluster.owner(metaOf('plan-0'))
  const replica = await cluster.replicaOf(server)
  await replica.admin.cmd('CLUSTER', 'FAILOVER')
  await until(async () => (await cluster.owner(metaOf('plan-0'))).server === replica)
  await scene.moves()
  await scene.finish()
  await cluster.settled()
})

test('G8: a server that takes over refuses the user at first', async (t) => {
  const rules = ['on', `>${PASSWORD}`, '~*', '&*', '+@all']
  const user = (/** @type {import('../support/redis-server.mjs').RedisServer} */ { admin }) =>
    admin.cmd('ACL', 'SETUSER', 'app', ...rules)
  const { server } = await cluster.owner(metaOf('late-0'))
  const replica = await cluster.replicaOf(server)
  await Promise.all(cluster.servers.filter((each) => each !== replica).map(user))
  const url = cluster.url.replace('//tidemark:', '//app:')
  const scene = await work(t, 'late', { url, connectTimeout: 500 })
  await replica.admin.cmd('CLUSTER', 'FAILOVER')
  await until(async () => (await cluster.owner(metaOf('late-0'))).server === replica)
  await until(() => scene.engine.state === 'degraded', {
    message: () => `degraded, not ${scene.engine.states}`,
  })
  const [first] = scene.writings
  const written = first?.written.length ?? 0
  await until(() => (first?.written.length ?? 0) > written + 30)
  await assert.rejects(scene.engine.status('late-0'), {
    code: 'ERR_CONNECTION',
    retryable: true,
    message: /refused the user name or the password/,
  })
  await user(replica)
  await until(() => scene.engine.state === 'ready', { message: () => `ready, not ${scene.engine.states}` })
  await scene.moves()
  await scene.finish()
  await cluster.settled()
})

test('G8: starts and readers wait for the server of their stream alone, and what belongs to others is made good', async (t) => {
  const coverage = (/** @type {string} */ wanted) =>
    Promise.all(
      cluster.servers.map(({ admin }) => admin.cmd('CONFIG', 'SET', 'cluster-require-full-coverage', wanted)),
    )
  await coverage('no')
  const keyPrefix = 'test-apart'
  // Of these the server that dies has some.
  const others = [
    `${keyPrefix}:{finished}:open`,
    ...Array.from({ length: 16 }, (_, n) => `${keyPrefix}:index:streams:${n}`),
  ]
  const victim = (await cluster.owner(others[0] ?? '')).server
  /** @type {import('../support/redis-server.mjs').RedisServer[]} */
  const down = []
  for (const server of cluster.servers) {
    const { role, master_port } = await server.admin.info('replication')
    if (role === 'slave' && master_port === String(victim.port)) down.push(server)
  }
  const names = []
  for (let n = 0; names.length < 40; n++) {
    const { server } = await cluster.owner(`{${keyPrefix}:${n}}:meta`)
    if (server !== victim) names.push(`${n}`)
  }
  const engine = openEngine(t, { url: cluster.url, keyPrefix })
  await engine.connect()
  down.push(victim)
  for (const server of down) await server.stop('SIGKILL')
  // One that has never been connected has no table yet, and no connection.
  const elsewhere = cluster.primaries.filter((server) => server.isRunning && server !== victim)
  const addresses = elsewhere.map(({ port }) => `127.0.0.1:${port}`)
  const [, credentials] = cluster.url.split('//')
  const seeds = `redis+cluster://${credentials?.split('@')[0]}@${addresses}`
  const fresh = openEngine(t, { url: seeds, keyPrefix })
  let longest = 0
  for (const [index, name] of names.entries()) {
    const begin = performance.now()
    const producer = await (index % 2 ? engine : fresh).produce(name)
    // Reading the table may take one try more.
    if (index > 1) longest = Math.max(longest, performance.now() - begin)
    await producer.append('chunk')
    if (index % 4 < 2) await producer.complete()
    if (index % 4 === 1) {
      const begin = performance.now()
      checkHistory({ written: numbered(['chunk']), readers: [await replay(fresh, name)] })
      longest = Math.max(longest, performance.now() - begin)
    }
    if (index % 8 === 0) assert.equal(await fresh.delete(name), true)
  }
  t.diagnostic(`the longest start, or read, took ${Math.round(longest)} ms`)
  assert.ok(longest < 1_000, `${longest} ms`)

  for (const server of down.reverse()) await server.start()
  await cluster.settled()
  await coverage('yes')
  const left = names.filter((_, index) => index % 8 !== 0).sort()
  /** @type {string[]} */
  let listed = []
  const all = async () => {
    listed = []
    for await (const { streamId } of engine.streams()) listed.push(streamId)
    return listed.sort().join() === left.join()
  }
  await until(all, { timeout: 15_000, message: () => `${listed} of ${left} are listed` })
  const live = names.filter((_, index) => index % 4 >= 2)
  const open = async () => {
    const { server } = await cluster.owner(others[0] ?? '')
    const members = await server.admin.cmd('ZRANGEBYSCORE', others[0], '-inf', '+inf')
    return members.map((/** @type {string} */ member) => member.split(' ')[1]).sort()
  }
  await until(async () => (await open()).join() === live.sort().join(), {
    message: 'those that are live are looked after',
  })
})

test('G10: what cannot be reached is said with the addresses and without the password', async (t) => {
  const alone = await openRedis(t)
  const wrong = 'wrong-horse-battery'
  for (const [url, words] of /** @type {[string, RegExp][]} */ ([
    [cluster.url.replace(PASSWORD, wrong), /refused the user name or the password/],
    [
      `redis+cluster://:${PASSWORD}@127.0.0.1:1,127.0.0.1:2`,
      /127.0.0.1:1: .*refused.*127.0.0.1:2: .*refused/i,
    ],
    [
      alone.url.replace('redis:', 'redis+cluster:'),
      /cluster support disabled; for a single server the URL begins with redis:/,
    ],
  ])) {
    const engine = openEngine(t, { url, connectTimeout: 500 })
    const error = await errorOf(engine.connect(), [PASSWORD, wrong])
    t.diagnostic(error.message)
    assert.equal(error.code, 'ERR_CONNECTION', String(error))
    assert.match(error.message, words)
  }
})

test('a server of a cluster that is taken for the only one says which URL it needs', async (t) => {
  const [first] = cluster.primaries
  const engine = openEngine(t, { url: first?.url })
  const attempts = Array.from({ length: 20 }, (_, index) => engine.status(`alone-${index}`))
  const refused = (await Promise.allSettled(attempts)).filter(({ status }) => status === 'rejected')
  assert.ok(refused.length > 0, 'most keys are on other servers')
  for (const { reason } of /** @type {PromiseRejectedResult[]} */ (refused)) {
    assert.equal(reason.code, 'ERR_STORE', String(reason))
    assert.match(reason.message, /MOVED .*redis\+cluster:\/\//)
  }
})

test('subscriptions wake workers, whatever slots their streams are in', async (t) => {
  const servers = [1, 2].map(() => subscriptionServer({ engine: openEngine(t, { url: cluster.url }) }))
  const [one, other] = /** @type {[typeof servers[0], typeof servers[0]]} */ (servers)
  if (one === undefined || other === undefined) throw new Error('two')
  await one.call('PUT', 'wakes', [])
  const config = { type: 'pull-wake', wake_stream: 'wakes', pattern: 'spread/*' }
  assert.equal((await one.sub('PUT', 'spread', config)).status, 201)
  const paths = Array.from({ length: 9 }, (_, index) => `spread/${index}`)
  await Promise.all(paths.map((path) => one.append(path)))
  const { wake_id, generation, token, streams } = await until(
    async () => {
      const { status, body } = await other.sub('POST', 'spread/claim', { worker: 'w' })
      return status === 200 && body
    },
    { timeout: 20_000 },
  )
  assert.ok(streams.length > 0)
  const acks = streams.map((/** @type {any} */ each) => ({ stream: each.path, offset: each.tail_offset }))
  const done = await one.sub('POST', 'spread/ack', { wake_id, generation, acks, done: true }, token)
  assert.equal(done.body.ok, true)
  assert.equal((await other.sub('DELETE', 'spread')).status, 204)
})
