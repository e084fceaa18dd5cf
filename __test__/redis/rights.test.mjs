// The rights that Redis has to give: one list, from which documentation, doctor and tests take them, and which the source
// is held to. What is refused is said once, and not tried for ever.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { createEngine } from '../../dist/index.js'
import { inspector } from '../../dist/inspector.js'
import { openRedis } from '../support/fault-scene.mjs'
import { RIGHTS, userRules } from '../support/rights.mjs'
import { readAll, texts } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const PASSWORD = 'of-bob'

const source = (/** @type {string} */ path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const files = (/** @type {string} */ folder, /** @type {string} */ end) =>
  readdirSync(new URL(`../../${folder}`, import.meta.url))
    .filter((name) => name.endsWith(end))
    .map((name) => [name, source(`${folder}/${name}`)])

/** Words in capitals that are no commands: arguments, and what servers answer. */
const NO_COMMANDS = new Set(
  [
    ['CLIENT', 'SCRIPT', 'MEMORY', 'CLUSTER', 'SENTINEL', 'XGROUP', 'XINFO', 'PUBSUB'],
    ['COUNT', 'MATCH', 'WITHSCORES', 'EX', 'GROUP', 'PX'],
    [
      'NOSCRIPT',
      'NOAUTH',
      'NOPERM',
      'LOADING',
      'READONLY',
      'MASTERDOWN',
      'BUSY',
      'TRYAGAIN',
      'CLUSTERDOWN',
      'CROSSSLOT',
    ],
    ['OOM', 'WRONGTYPE', 'NOREPLICAS', 'MISCONF', 'MOVED', 'ASK', 'KEY', 'CHANNEL', 'OLD'],
  ].flat(),
)

describe('the list of rights', () => {
  const listed = new Set(RIGHTS.map(({ right }) => right))
  /** Every part of the rights, in capitals. */
  const words = new Set(RIGHTS.flatMap(({ right }) => right.toUpperCase().split('|')))

  test('it has every command of every script', () => {
    const used = new Set()
    for (const [name, text] of files('src/store/redis/lua', '.lua')) {
      const code = text?.replace(/--.*$/gm, '') ?? ''
      // A command that is not written out where it is called could not be found here.
      const calls = code.match(/\b(?:call|pcall|try)\(/g) ?? []
      const named = [...code.matchAll(/\b(?:call|pcall|try)\(\s*'([A-Z]+)'(?:,\s*'([A-Z]+)')?/g)]
      assert.equal(named.length, calls.length, `${name}: a command that is not written out`)
      for (const [, command = '', part = ''] of named) {
        const right = [command, `${command}|${part}`].find((each) => listed.has(each.toLowerCase()))
        assert.ok(right, `${name}: ${command} ${part} is not in rights.txt`)
        used.add(right.toLowerCase())
      }
    }
    assert.ok(used.size > 25)
  })

  test('it has every command that is sent, and none that is not used', () => {
    const used = new Set()
    for (const [name, text] of ['src/redis', 'src/store/redis', 'src/legacy'].flatMap((folder) =>
      files(folder, '.rs'),
    )) {
      const code = text?.split('#[cfg(test)]')[0]?.replace(/\/\/.*$/gm, '') ?? ''
      for (const [, word = ''] of code.matchAll(/"([A-Z][A-Z-]+)"/g)) {
        assert.ok(
          words.has(word) || NO_COMMANDS.has(word),
          `${name}: "${word}" is in rights.txt nor known to be no command`,
        )
        used.add(word)
      }
    }
    const lua = files('src/store/redis/lua', '.lua').map(([, text]) => text)
    for (const { right } of RIGHTS) {
      const last = right.toUpperCase().split('|').at(-1) ?? ''
      // The client library's own.
      if (['SUBSCRIBE', 'UNSUBSCRIBE', 'SELECT'].includes(last)) continue
      assert.ok(used.has(last) || lua.some((text) => text?.includes(`'${last}'`)), `${right} is not used`)
    }
  })

  test('docs/operations.md gives exactly these', () => {
    const docs = source('docs/operations.md')
    const rights = (/** @type {string} */ text) =>
      [...text.matchAll(/\+([a-z|-]+)/g)].map(([, right]) => right)
    const of = (/** @type {string[]} */ ...needs) =>
      RIGHTS.filter(({ need }) => needs.includes(need))
        .map(({ right }) => right)
        .sort()
    const [, block = ''] = /```sh\nredis-cli (ACL SETUSER tidemark [^`]*)```/.exec(docs) ?? []
    assert.match(block, /resetchannels '~tidemark:\*' '~\{tidemark:\*' '&tidemark:\*' '&\{tidemark:\*'/)
    assert.deepEqual(rights(block).sort(), of('always', 'groups', 'memory', 'inspector', 'doctor'))
    for (const need of [
      'groups',
      'memory',
      'inspector',
      'doctor',
      'database',
      'sentinel',
      'sentinels',
      'cluster',
      'upgrade',
    ]) {
      const [, row = ''] = new RegExp(`^\\* ${need}: \`([^\`]*)\``, 'm').exec(docs) ?? []
      assert.deepEqual(rights(row).sort(), of(need), `the row of ${need}`)
    }
  })
})

/**
 * A server, and a user who lacks some rights.
 * @param {import('node:test').TestContext} t
 * @param {string[]} without
 */
async function lacking(t, without) {
  const redis = await openRedis(t)
  const set = (/** @type {string[]} */ lacks) =>
    redis.admin.cmd('ACL', 'SETUSER', 'bob', 'reset', ...userRules({ password: PASSWORD, without: lacks }))
  await set(without)
  /** How often bob was refused something. */
  const refusals = async () => {
    const entries = /** @type {any[][]} */ (await redis.admin.cmd('ACL', 'LOG', 128))
    return entries.reduce((sum, entry) => sum + Number(entry[entry.indexOf('count') + 1]), 0)
  }
  /** @type {(Error & { code?: string })[]} */
  const warnings = []
  const hear = (/** @type {Error} */ warning) => warnings.push(warning)
  process.on('warning', hear)
  t.after(() => process.off('warning', hear))
  const url = `redis://bob:${PASSWORD}@127.0.0.1:${redis.port}`
  const engine = createEngine({ url })
  t.after(() => engine.close())
  const own = () =>
    warnings.filter(({ code, message }) => code === 'TIDEMARK_RIGHTS' && message.includes(`:${redis.port} `))
  return { redis, set, refusals, warnings: own, engine, url }
}

test('G9: fast appends that are not allowed are given up, and that is said once', async (t) => {
  const { redis, engine, warnings, refusals } = await lacking(t, ['hincrby'])
  const chunks = texts(300)
  const producer = await engine.produce('slow')
  for (const chunk of chunks.slice(0, 10)) await producer.append(chunk)
  await until(() => warnings().length > 0, { message: 'it is said' })
  await redis.admin.cmd('CONFIG', 'RESETSTAT')
  const before = await refusals()
  for (const chunk of chunks.slice(10)) await producer.append(chunk)
  const other = await engine.produce('another')
  for (const chunk of texts(100)) await other.append(chunk)
  const { cmdstat_evalsha } = await redis.admin.info('commandstats')
  const scripts = Number(/calls=(\d+)/.exec(cmdstat_evalsha ?? '')?.[1])
  assert.ok(scripts < 420, `${scripts} scripts for 390 appends and a start`)
  assert.equal(await refusals(), before, 'it is not tried again')
  await producer.complete()
  await other.complete()
  assert.equal(warnings().length, 1)
  assert.match(
    warnings()[0]?.message ?? '',
    /does not allow .*short form of an append.*costs more.*tidemark doctor/,
  )
  assert.equal((await readAll(engine, 'slow')).chunks.length, 300)
})

test('G5: a consumer of a group is told that its stream may not be listened to', async (t) => {
  const { redis, engine } = await lacking(t, [])
  await redis.admin.cmd('ACL', 'SETUSER', 'bob', 'resetchannels', '&tidemark:*')
  const other = createEngine({ url: redis.url })
  t.after(() => other.close())
  const producer = await other.produce('unheard')
  await producer.append('one')
  const consumer = engine.consume('unheard', { group: 'workers', consumer: 'a' })
  const take = async () => {
    for await (const item of consumer) await item.ack()
  }
  await assert.rejects(deadline(take(), 20_000, 'it is told'), { code: 'ERR_STORE', message: /NOPERM/ })
})

test('G5: who may not listen to the queue of finished generations looks for those that are dead', async (t) => {
  const { redis, engine } = await lacking(t, [])
  await redis.admin.cmd('ACL', 'SETUSER', 'bob', 'resetchannels', '&{tidemark:*', '&tidemark:node:*')
  const other = createEngine({ url: redis.url, lease: '10m' })
  t.after(() => other.close())
  const next = engine.finished({ group: 'workers', consumer: 'a' }).next()
  await other.produce('dead')
  const [meta, notes] = ['{tidemark:dead}:meta', 'tidemark:{finished}:open']
  await until(async () => (await redis.admin.cmd('ZCARD', notes)) === 1)
  const fields = await redis.admin.cmd('HKEYS', meta)
  const producer = fields.find((/** @type {string} */ field) => field.startsWith('p:'))
  await redis.admin.cmd('HSET', meta, producer, '0 0 1 elsewhere')
  // As if the time to look at it had come.
  const [member] = await redis.admin.cmd('ZRANGEBYSCORE', notes, 0, '+inf')
  await redis.admin.cmd('ZADD', notes, 1, member)
  const { value } = await deadline(next, 30_000, 'the end of what is dead')
  assert.deepEqual([value?.streamId, value?.outcome], ['dead', 'interrupted'])
})

describe('what can be done without is done without, and said once', { concurrency: 4 }, () => {
  /** Rights, by what is said without them. @type {[string[], RegExp][]} */
  const spare = [
    [['client|setname'], /CLIENT SETNAME/],
    [['script|load'], /SCRIPT LOAD/],
    [['ping'], /PING/],
    [['unsubscribe'], /UNSUBSCRIBE/],
    [['zscore'], /index of streams.*streams\(\) and cleanup\(\)/],
    [['srem'], /index of streams.*cleanup\(\)/],
    [['zcard'], /open generations.*finished\(\)/],
    [['client|setname', 'script|load', 'ping', 'hincrby'], /./],
  ]
  for (const [without, words] of spare) {
    test(without.join(', '), async (t) => {
      const { engine, warnings, refusals } = await lacking(t, without)
      let count = 0
      const life = async () => {
        // So many appends at once go with a PING; for a reader that is there before its producer, Redis is listened to.
        const ids = Array.from({ length: 9 }, (_, index) => `life-${count}-${index}`)
        const readers = ids.map((id) => readAll(engine, id))
        const producers = await Promise.all(ids.map((id) => engine.produce(id)))
        for (const chunk of texts(10)) await Promise.all(producers.map((producer) => producer.append(chunk)))
        await Promise.all(producers.map((producer) => producer.complete()))
        for (const reader of await Promise.all(readers)) assert.equal(reader.chunks.length, 10)
        assert.equal(await engine.status(`nobody-${++count}`), null)
        await Promise.all(ids.map((id) => engine.delete(id)))
      }
      await life()
      await until(() => warnings().length >= without.length, { message: () => `all is said: ${warnings()}` })
      const before = await refusals()
      for (let times = 0; times < 5; times++) await life()
      assert.equal(await refusals(), before, 'nothing is tried again')
      assert.equal(warnings().length, without.length)
      for (const { message } of warnings()) {
        assert.match(message, words)
        assert.doesNotMatch(message, new RegExp(PASSWORD))
      }
    })
  }

  test('the keys beside the streams (ADR 47)', async (t) => {
    const { redis, engine, warnings, refusals } = await lacking(t, [])
    await redis.admin.cmd('ACL', 'SETUSER', 'bob', 'resetkeys', '~{tidemark:*', '~tidemark:node:*')
    let count = 0
    const life = async () => {
      const streamId = `life-${++count}`
      const producer = await engine.produce(streamId)
      for (const chunk of texts(3)) await producer.append(chunk)
      await producer.complete()
      const { chunks, outcome } = await readAll(engine, streamId)
      assert.deepEqual([chunks.length, outcome], [3, 'complete'])
    }
    await life()
    const said = () => warnings().map(({ message }) => message)
    const words = [/index or of finished/, /index of streams/, /open generations/, /queue of finished/]
    await until(() => words.every((each) => said().some((message) => each.test(message))), {
      message: () => `all is said: ${said()}`,
    })
    const before = await refusals()
    for (let times = 0; times < 5; times++) await life()
    assert.equal(await refusals(), before, 'nothing is tried again')
    assert.equal(said().length, words.length)
  })

  test('pubsub|numsub: the readers of other processes in the inspector', async (t) => {
    const { engine, warnings, refusals } = await lacking(t, ['pubsub|numsub'])
    await (await engine.produce('chat')).append('x')
    const inspect = inspector({ engine, authorize: () => true })
    const look = async () =>
      (await inspect(new Request('http://app.example/api/look?fresh=1'))).json().then(({ list }) => list.rows)
    assert.deepEqual(
      (await look()).map((/** @type {any} */ { readers }) => readers),
      [{ here: 0, elsewhere: null }],
    )
    await until(() => warnings().length > 0, { message: 'it is said' })
    assert.match(warnings()[0]?.message ?? '', /listeners.*other processes read/)
    const before = await refusals()
    for (let times = 0; times < 5; times++) await look()
    assert.equal(await refusals(), before, 'nothing is tried again')
  })

  test('zrangebyscore: whoever waits at the queue of finished generations', async (t) => {
    const { engine, warnings, refusals } = await lacking(t, ['zrangebyscore'])
    const queue = engine.finished({ group: 'g', consumer: 'c' })
    const next = queue.next()
    await until(() => warnings().length > 0, { message: 'it is said' })
    const producer = await engine.produce('finished')
    await producer.complete()
    assert.equal((await next).value.streamId, 'finished')
    const before = await refusals()
    // It is looked for every second.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    assert.equal(await refusals(), before)
    await queue.return?.()
  })
})

test('every right is tried, and every single one that is missing is found', async (t) => {
  const { openEngine } = await import('../../dist/core/engine.js')
  const { redis, set, url } = await lacking(t, [])
  const engine = openEngine({ url })
  t.after(() => engine.close())
  const lacks = async () => (await engine.rights())?.lacking.map(({ right }) => right)
  assert.deepEqual(await lacks(), [])
  for (const { need, right } of RIGHTS) {
    // Asked for at connections, or of other servers.
    if (['database', 'sentinel', 'sentinels', 'cluster'].includes(need)) continue
    await set([right])
    assert.deepEqual(await lacks(), [`+${right}`])
  }
  const names = ['~{tidemark:*', '~tidemark:*', '&{tidemark:*', '&tidemark:*', '~message-stream-*']
  for (const name of names) {
    const all = [...names, '~stop-stream:*'].filter((each) => each !== name)
    const rules = userRules({ password: PASSWORD }).filter((rule) => !/^[~&]/.test(rule))
    await redis.admin.cmd('ACL', 'SETUSER', 'bob', 'reset', ...rules, ...all)
    assert.deepEqual(await lacks(), [name])
  }
  assert.equal(await redis.admin.cmd('DBSIZE'), 0, 'it leaves nothing behind')
})
