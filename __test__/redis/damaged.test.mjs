// A record that makes no sense, or somebody else's key in its place, is of no concern to the others.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { checkHistory } from '../support/history.mjs'
import { TestStore } from '../support/stores.mjs'
import { listed, numbered, produceAll, readAll, texts, useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const BINARY = `redis.call('HSET', KEYS[1], ARGV[1], '\\255\\254')`

/** What is done to a record. @type {Record<string, (key: string) => (string | number)[][]>} */
const RECORDS = {
  'a text': (key) => [['SET', key, 'not yours', 'PX', 60_000]],
  'a list': (key) => [
    ['DEL', key],
    ['RPUSH', key, 'not', 'yours'],
    ['PEXPIRE', key, 60_000],
  ],
  'a stream': (key) => [
    ['DEL', key],
    ['XADD', key, '*', 'f', 'not yours'],
    ['PEXPIRE', key, 60_000],
  ],
  'no number': (key) => [['HSET', key, 'o', 'first']],
  'no whole number': (key) => [['HSET', key, 'q', '1e3']],
  'no time': (key) => [['HSET', key, 'u', '-1']],
  'not even a number': (key) => [['HSET', key, 'td', 'nan']],
  'too large a number': (key) => [['HSET', key, 'ta', '9'.repeat(30)]],
  'an unknown state': (key) => [['HSET', key, 's', 'weird']],
  'no generation': (key) => [['HDEL', key, 'g']],
  'no bytes': (key) => [['HDEL', key, 'n']],
  'a bad number of the quick': (key) => [['HSET', key, 'h', 'garbage']],
  'the quick number of nobody': (key) => [['HSET', key, 'h', '137438953472', 'hp', 'nobody']],
  'a broken predecessor': (key) => [['HSET', key, 'pg', 'g', 'po', 'x', 'pb', '0', 'py', '0', 'pt', '']],
  'more bytes saved than written': (key) => [['HSET', key, 'z', '999999']],
}

/** What cannot be shown, though it can be told whether it has ended. @type {typeof RECORDS} */
const TEXTS = {
  'no text': (key) => [['EVAL', BINARY, 1, key, 'd']],
  'no owner': (key) => [['EVAL', BINARY, 1, key, 'w']],
}

/** What is done beside it; the stream is still one. @type {Record<string, (tag: string) => (string | number)[][]>} */
const PARTS = {
  'a broken producer': (tag) => [['HSET', `${tag}:meta`, 'p:nobody', 'not yours', 'p:', '', 'p:x', '1 2 3']],
  'a broken suspicion': (tag) => [['HSET', `${tag}:meta`, 'j', 'not yours', 'v', 'x', 'l', 'x']],
  ...Object.fromEntries(
    ['log', 'sealed', 'cursors', 'groups'].flatMap((part) => [
      [`a text for ${part}`, (tag) => [['SET', `${tag}:${part}`, 'not yours', 'PX', 60_000]]],
      [
        `a sorted set for ${part}`,
        (tag) => [
          ['DEL', `${tag}:${part}`],
          ['ZADD', `${tag}:${part}`, 1, 'not yours'],
          ['PEXPIRE', `${tag}:${part}`, 60_000],
        ],
      ],
    ]),
  ),
}

describe('damaged [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())

  /** @param {(string | number)[][]} commands */
  async function run(commands) {
    for (const [name = '', ...args] of commands) await store.redis.admin.cmd(String(name), ...args)
  }

  /** Its producer is dead, and elsewhere. @param {string} tag */
  async function kill(tag) {
    const { admin } = store.redis
    const fields = await admin.cmd('HKEYS', `{${tag}}:meta`)
    const producer = fields.find((/** @type {string} */ field) => field.startsWith('p:'))
    const entry = await admin.cmd('HGET', `{${tag}}:meta`, producer)
    await admin.cmd('HSET', `{${tag}}:meta`, producer, entry.replace(/^(\d+ \d+) .*/, '$1 1 elsewhere'))
  }

  for (const state of ['finished', 'live', 'dead']) {
    test(`lists, clean-ups and deletions get along with damaged streams: ${state}`, async () => {
      const keyPrefix = store.prefix()
      const engine = open({ keyPrefix, lease: '10m' })
      const make = async (/** @type {string} */ name) => {
        const producer = await engine.produce(name)
        for (const text of texts(3)) producer.write(text)
        await producer.flush()
        if (state === 'finished') await producer.complete()
        if (state === 'dead') await kill(`${keyPrefix}:${name}`)
      }
      const [bad, hurt, fine] = [Object.keys(RECORDS), Object.keys(PARTS), texts(20, 'fine')]
      const unreadable = Object.keys(TEXTS)
      await Promise.all([...bad, ...unreadable, ...hurt, ...fine].map(make))
      for (const [name, how] of Object.entries({ ...RECORDS, ...TEXTS })) {
        await run(how(`{${keyPrefix}:${name}}:meta`))
      }
      for (const name of hurt) await run(PARTS[name]?.(`{${keyPrefix}:${name}}`) ?? [])

      const sound = [...hurt, ...fine].sort()
      assert.deepEqual(await listed(engine), sound)
      for await (const status of engine.streams()) {
        const wanted = { finished: 'complete', live: 'active', dead: 'interrupted' }
        assert.equal(status.state, wanted[/** @type {'live'} */ (state)], status.streamId)
      }
      for (const name of [...bad, ...unreadable]) {
        await assert.rejects(engine.status(name), { code: 'ERR_STORE', retryable: false, message: /damaged/ })
      }
      const all = bad.length + unreadable.length + sound.length
      assert.equal((await engine.sampleMemory({ streams: 64 })).streams.length, all)
      const look = await engine.cleanup({ olderThan: 0, force: true, dryRun: true })
      assert.deepEqual([look.scanned, look.removed, look.damaged], [all, all - bad.length, bad.length])
      const report = await engine.cleanup({ olderThan: 0, batch: 7 })
      const removed = state === 'live' ? 0 : all - bad.length
      assert.deepEqual(
        [report.removed, report.live, report.damaged],
        [removed, all - bad.length - removed, bad.length],
      )
      for (const name of state === 'live' ? [...bad, ...unreadable, ...hurt] : bad) {
        assert.equal(await engine.delete(name), true, name)
        assert.equal(await engine.status(name), null, name)
        assert.equal(await engine.delete(name), false, name)
        await produceAll(open({ keyPrefix }), name, ['anew'])
        const replay = await readAll(engine, name)
        checkHistory({ written: numbered(['anew']), readers: [replay] })
      }
      assert.equal((await engine.cleanup({ olderThan: 0, force: true })).damaged, 0)
      assert.deepEqual(await listed(engine), [])
    })
  }

  test('something else in the place of the index is nothing, and goes with the next start', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix })
    const names = texts(64)
    await Promise.all(names.map((name) => produceAll(engine, name, [])))
    for (const shard of [0, 7, 15]) {
      await admin.cmd('SET', `${keyPrefix}:index:streams:${shard}`, 'not yours')
      await admin.cmd('SET', `${keyPrefix}:index:${shard}`, 'not yours', 'PX', 60_000)
    }
    const left = await listed(engine)
    assert.ok(left.length > 32 && left.length < 64, `${left.length}`)
    assert.equal((await engine.cleanup()).total, left.length)
    await Promise.all(names.map((name) => produceAll(engine, name, [])))
    await until(async () => (await listed(engine)).length === 64, { message: 'all are listed again' })
    for (const shard of [0, 7, 15]) {
      assert.ok((await admin.cmd('PTTL', `${keyPrefix}:index:streams:${shard}`)) > 0)
    }
  })

  test('finished answers are handed out, whatever else is in their queue', async () => {
    const { admin } = store.redis
    const keyPrefix = store.prefix()
    const engine = open({ keyPrefix, lease: '10m' })
    const [queue, notes] = [`${keyPrefix}:{finished}:queue`, `${keyPrefix}:{finished}:open`]
    const finished = engine.finished({ group: 'save', consumer: 'one', claimIdleMs: 200, maxDeliveries: 2 })
    const first = finished.next()
    await until(() => admin.cmd('EXISTS', queue))
    await admin.cmd('XADD', queue, '*', 'not', 'yours')
    await admin.cmd('XADD', queue, '*', 's', 'x', 'c', 'no cursor', 'o', 'complete', 'r', '')
    await produceAll(engine, 'first', [])
    const item = (await deadline(first, 15_000, 'the first end')).value
    assert.equal(item?.streamId, 'first')
    await item?.ack()

    // Neither does what is noted keep anything from being announced.
    await engine.produce('damaged')
    await until(() => admin.cmd('EXISTS', notes))
    await admin.cmd('ZADD', notes, 1, 'nonsense', 1, 'more nonsense')
    await admin.cmd('SET', `{${keyPrefix}:damaged}:meta`, 'not yours', 'PX', 60_000)
    const dead = await engine.produce('dead')
    await kill(`${keyPrefix}:dead`)
    assert.equal(dead.signal.aborted, false)
    // As if the time to look at them had come.
    for (const member of await admin.cmd('ZRANGEBYSCORE', notes, 2, '+inf')) {
      await admin.cmd('ZADD', notes, 1, member)
    }
    const second = (await deadline(finished.next(), 15_000, 'the end of what is dead')).value
    assert.deepEqual([second?.streamId, second?.outcome], ['dead', 'interrupted'])
    await second?.ack()
    const names = async () => {
      const members = await admin.cmd('ZRANGEBYSCORE', notes, '-inf', '+inf')
      return members.filter((/** @type {string} */ member) => !/^\w{26} [^d]/.test(member))
    }
    await until(async () => (await names()).length === 0, { timeout: 15_000, message: 'they are forgotten' })

    await admin.cmd('SET', notes, 'not yours')
    await produceAll(engine, 'third', [])
    const third = (await deadline(finished.next(), 15_000, 'the third end')).value
    assert.equal(third?.streamId, 'third')
    await third?.ack()
    await finished.return()
    assert.notEqual(await admin.cmd('TYPE', notes), 'string')
  })
})
