// What whoever runs the program is told of what happens in it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import diagnostics from 'node:diagnostics_channel'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { createEngine } from 'tidemark'
import { test as faultTest, openProxy, openRedis } from '../support/fault-scene.mjs'
import { readAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/** @typedef {import('..').LogEntry} Entry */

/** Collects the entries of an engine. @param {import('..').LogLevel} [level] */
function collector(level = 'debug') {
  /** @type {Entry[]} */
  const entries = []
  const says = (/** @type {RegExp} */ text) => entries.find(({ message }) => text.test(message))
  return { entries, says, log: { level, write: (/** @type {Entry} */ entry) => void entries.push(entry) } }
}

faultTest(
  'connections, stops, takeovers, losses and clean-ups are told, with stream, generation and cause',
  async (t) => {
    const redis = await openRedis(t)
    const proxy = await openProxy(t, redis.url)
    const { entries, says, log } = collector()
    const engine = createEngine({ url: proxy.url, keyPrefix: 'test-log', log, lease: '2s' })
    const other = createEngine({ url: redis.url, keyPrefix: 'test-log' })
    t.after(() => Promise.all([engine.close(), other.close()]))
    const secret = 'owner-secret'
    const producer = await engine.produce('told', { owner: secret, metadata: { secret } })
    await producer.append('payload-secret')
    await until(() => says(/producer started/))
    assert.equal(says(/producer started/)?.streamId, 'told')
    assert.equal(says(/producer started/)?.generation, producer.generation)
    assert.ok(says(/^connected/)?.server?.includes('127.0.0.1'))
    proxy.cut()
    await until(() => says(/connection lost/))
    assert.equal(typeof says(/connection lost/)?.cause, 'string')
    await until(() => engine.state === 'ready')
    await redis.admin.cmd('FLUSHALL')
    await producer.append('payload-secret again')
    await until(() => says(/was put back/))
    const next = await other.produce('told', { owner: secret, ifActive: 'takeover' })
    await until(() => says(/cut off/))
    assert.equal(says(/cut off/)?.code, 'ERR_FENCED')
    await next.complete()
    await engine.stop('told', 'enough', { owner: secret })
    await until(() => says(/stop requested/))
    await engine.delete('told')
    await until(() => says(/deleted/))
    for (const entry of entries) {
      assert.ok(Math.abs(entry.time - Date.now()) < 60_000)
      assert.ok(['error', 'warn', 'info', 'debug'].includes(entry.level))
      assert.doesNotMatch(JSON.stringify(entry), /secret|payload/)
      assert.equal('id' in entry, false)
    }
  },
)

faultTest('G5 a lease that lapses is told to whoever listens', async (t) => {
  const redis = await openRedis(t)
  const { says, log } = collector('info')
  const reader = createEngine({ url: redis.url, keyPrefix: 'test-log', log })
  t.after(() => reader.close())
  const writer = `
    import { createEngine } from 'tidemark'
    const engine = createEngine({ url: '${redis.url}', keyPrefix: 'test-log', lease: '1s' })
    await (await engine.produce('dies')).append('last words')
    process.kill(process.pid, 'SIGKILL')`
  await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', writer]).catch(() => {})
  const replay = await readAll(reader, 'dies')
  assert.equal(replay.error?.reason, 'lease')
  await until(() => says(/lease has lapsed/))
  assert.equal(says(/lease has lapsed/)?.streamId, 'dies')
})

test('an entry is told once, whichever engines there are, and at no lighter level than asked for', async () => {
  const { entries, log } = collector('info')
  const urls = [randomUUID(), randomUUID()].map((name) => `memory:${name}`)
  const engines = urls.map((url) => createEngine({ url, log }))
  const published = /** @type {unknown[]} */ ([])
  const listen = (/** @type {unknown} */ entry) => void published.push(entry)
  diagnostics.subscribe('tidemark:log', listen)
  for (const engine of engines) await engine.delete('nothing')
  await until(() => published.length === 2)
  diagnostics.unsubscribe('tidemark:log', listen)
  assert.deepEqual(published, entries)
  assert.deepEqual([...new Set(entries.map(({ level }) => level))], ['info'])
  await Promise.all(engines.map((engine) => engine.close()))
})

test('a logger that throws harms nobody', async () => {
  const write = () => {
    throw new Error('disk full')
  }
  const warned = new Promise((resolve) => process.once('warning', resolve))
  const engine = createEngine({ url: `memory:${randomUUID()}`, log: { write } })
  assert.equal(await engine.delete('nothing'), false)
  assert.match(String(await warned), /log\.write has thrown: Error: disk full/)
  const producer = await engine.produce('goes on')
  await producer.append('x')
  await producer.complete()
  await engine.close()
})

test('TIDEMARK_LOG writes lines to stderr; without it, and without anybody who listens, there are none', async () => {
  const program = `
    import { createEngine } from 'tidemark'
    const engine = createEngine({ url: 'memory:' })
    const producer = await engine.produce('a "stream"')
    await producer.complete()
    await engine.close()`
  const run = async (/** @type {string} */ level) => {
    const env = { ...process.env, TIDEMARK_LOG: level }
    return promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], { env })
  }
  const { stderr } = await run('debug')
  assert.match(
    stderr,
    /^\d{4}-\d\d-\d\dT[\d:.]+Z tidemark debug producer started .*streamId="a \\"stream\\""/m,
  )
  assert.equal((await run('')).stderr, '')
  assert.equal((await run('warn')).stderr, '')
  await assert.rejects(run('loud'), /TIDEMARK_LOG: must be 'off' or 'error'/)
})

test('log is checked', () => {
  for (const [field, log] of /** @type {[string, any][]} */ ([
    ['options.log', true],
    ['options.log.level', { level: 'loud' }],
    ['options.log.write', { write: 'stderr' }],
  ])) {
    assert.throws(() => createEngine({ url: 'memory:', log }), { code: 'ERR_INVALID_ARGUMENT', field }, field)
  }
})
