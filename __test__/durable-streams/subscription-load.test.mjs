// Many subscriptions: what all of them ask for together, what is read of them, and what Redis forgets of them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { signingKey } from '../support/signing-keys.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { claimed, LONG, PULL, receiver, subscriptionServer, woken } from '../support/subscriptions.mjs'
import { until } from '../support/wait.mjs'

/**
 * An engine, or a part of it, with other methods or parts; a method gets the one that it stands for first.
 * @template {object} T @param {T} target @param {Record<string, any>} others @returns {T}
 */
function instead(target, others) {
  return new Proxy(target, {
    get(_, name) {
      const value = Reflect.get(target, name)
      const bound = typeof value === 'function' ? value.bind(target) : value
      const other = Object.hasOwn(others, name) ? others[/** @type {string} */ (name)] : undefined
      return typeof other === 'function'
        ? (/** @type {any[]} */ ...args) => other(bound, ...args)
        : (other ?? bound)
    },
  })
}

eachStore('many subscriptions', (store) => {
  const open = useEngines(store)

  /** Two servers with the same streams. */
  const servers = () => {
    const keyPrefix = store.prefix()
    const both = [1, 2].map(() => subscriptionServer({ engine: open({ keyPrefix }) }))
    return { keyPrefix, both }
  }
  /** @typedef {import('../support/subscriptions.mjs').Server} Server */

  test('G9 an append that concerns many subscriptions looks at some of them at a time', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    let [looking, most] = [0, 0]
    const reminders = instead(/** @type {any} */ (engine).reminders, {
      async recall(recall, keys) {
        most = Math.max(most, ++looking)
        try {
          return await recall(keys)
        } finally {
          looking -= 1
        }
      },
    })
    const server = subscriptionServer({ engine: instead(engine, { reminders }) })
    await server.call('PUT', 'wakes', [])
    const count = 150
    for (let number = 0; number < count; number++) {
      assert.equal((await server.sub('PUT', `${number}`, { ...PULL, pattern: 'own/*' })).status, 201)
    }
    most = 0
    await server.append('own/1')
    await woken(server, count)
    assert.ok(most > 1 && most <= 70, `${most} at a time`)
  })

  test('G9 webhooks are sent, however fast streams grow that concern many subscriptions', async (t) => {
    const engine = open({ keyPrefix: store.prefix() })
    let isSlow = false
    const reminders = instead(/** @type {any} */ (engine).reminders, {
      async recall(recall, keys) {
        if (isSlow) await sleep(50)
        return recall(keys)
      },
    })
    const subscriptions = { keys: [signingKey()], allowLocalhost: true }
    const server = subscriptionServer({ engine: instead(engine, { reminders }), subscriptions })
    const { url, hooks } = await receiver(t, (hook) => hook.answer(202))
    await server.call('PUT', 'wakes', [])
    const count = 200
    const make = (/** @type {string} */ id, /** @type {object} */ config) => server.sub('PUT', id, config)
    await make('hook', { type: 'webhook', streams: ['own/hook'], webhook: { url } })
    await Promise.all(Array.from({ length: count }, (_, id) => make(`${id}`, { ...PULL, pattern: '**' })))
    await server.append('busy')
    await woken(server, count)
    isSlow = true
    let isOver = false
    const growing = (async () => {
      while (!isOver) await Promise.all([engine.log('busy').append([JSON.stringify({ n: 1 })]), sleep(10)])
    })()
    // Long enough for more to be asked for than can be done in the time that is left.
    await sleep(1000)
    await server.append('own/hook')
    const begin = performance.now()
    try {
      await until(() => hooks.length > 0, { timeout: 5000 })
    } finally {
      isOver = true
      await growing
    }
    t.diagnostic(`${Math.round(performance.now() - begin)} ms from the append to its webhook`)
  })

  test('G9 webhooks for which there is no room are sent once there is some', async (t) => {
    const engine = open({ keyPrefix: store.prefix() })
    const server = subscriptionServer({
      engine,
      subscriptions: { keys: [signingKey()], allowLocalhost: true },
    })
    const [atOnce, rounds] = [32, 5]
    /** From the answers to those before to each round's first webhook. @type {number[]} */
    const pauses = []
    let answeredAt = 0
    let waiting = /** @type {import('../support/subscriptions.mjs').Hook[]} */ ([])
    const { url, hooks } = await receiver(t, (hook) => {
      if (waiting.push(hook) === 1 && hooks.length > 1) pauses.push(performance.now() - answeredAt)
      if (waiting.length < atOnce) return
      answeredAt = performance.now()
      // What fails is due again after what has found no room. It fails a little later: then that waits already.
      for (const [index, each] of waiting.entries()) {
        if (index % 2 === 0) each.answer()
        else sleep(index / 4).then(() => each.answer(500))
      }
      waiting = []
    })
    const count = rounds * atOnce
    const make = (/** @type {number} */ id) =>
      server.sub('PUT', `${id}`, { type: 'webhook', streams: ['busy'], webhook: { url } })
    await Promise.all(Array.from({ length: count }, (_, id) => make(id)))
    await server.append('busy')
    await until(() => hooks.length >= count, { ...LONG, message: () => `${hooks.length} of ${count}` })
    t.diagnostic(`${pauses.map(Math.round)} ms between the rounds`)
    const median = pauses.sort((a, b) => a - b)[rounds >> 1] ?? Number.POSITIVE_INFINITY
    assert.ok(pauses.length === rounds - 1 && median < 500, `${median} ms between most rounds`)
  })

  test('G3 what is handed out is done, also if what others have made cannot be read', async (t) => {
    const engine = open({ keyPrefix: store.prefix() })
    const all = async () => {
      throw new Error('the list cannot be read')
    }
    const reminders = instead(/** @type {any} */ (engine).reminders, { all })
    const subscriptions = { keys: [signingKey()], allowLocalhost: true }
    const server = subscriptionServer({
      engine: instead(engine, { reminders }),
      subscriptions,
      onError: () => {},
    })
    const { url, hooks } = await receiver(t, (hook) => hook.answer(202))
    await server.sub('PUT', 'hook', { type: 'webhook', streams: ['own/hook'], webhook: { url } })
    await server.append('own/hook')
    await until(() => hooks.length > 0, LONG)
  })

  test('G9 whoever is done with many streams has their ends looked at once', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    let full = 0
    const counted = instead(engine, {
      tails(tails, paths) {
        if (paths.length === 256) full += 1
        return tails(paths)
      },
    })
    const server = subscriptionServer({ engine: counted })
    await server.call('PUT', 'wakes', [])
    const streams = Array.from({ length: 600 }, (_, number) => `many/${number}`)
    await server.sub('PUT', 's', { ...PULL, streams })
    await server.append('many/0')
    const { wake_id, generation, token, streams: held } = await claimed(server, 's')
    const acks = held.map((/** @type {any} */ each) => ({ stream: each.path, offset: each.tail_offset }))
    await server.append('many/1')
    full = 0
    const done = await server.sub('POST', 's/ack', { wake_id, generation, acks, done: true }, token)
    assert.deepEqual([done.body, full], [{ ok: true, next_wake: true }, 2])
  })

  test('G9 news are read without what is known', async () => {
    const keyPrefix = store.prefix()
    /** @type {string[][]} */
    const recalls = []
    const engine = open({ keyPrefix })
    const reminders = instead(/** @type {any} */ (engine).reminders, {
      recall(recall, keys) {
        recalls.push(keys)
        return recall(keys)
      },
    })
    const a = subscriptionServer({ engine: open({ keyPrefix }) })
    subscriptionServer({ engine: instead(engine, { reminders }) })
    const count = 200
    const make = async (/** @type {number} */ number) =>
      assert.equal((await a.sub('PUT', `${number}`, { ...PULL, streams: [`own/${number}`] })).status, 201)
    const read = (/** @type {number} */ number) =>
      until(() => recalls.flat().includes(`subscription ${number}`), LONG)
    await Promise.all(Array.from({ length: count }, (_, number) => make(number)))
    await make(count)
    // All of them are read together with the last.
    for (let number = 0; number <= count; number++) await read(number)
    recalls.length = 0
    await make(count + 1)
    await read(count + 1)
    // Whoever looks at one in its turn, recalls one.
    const some = recalls.filter(({ length }) => length > 1)
    assert.deepEqual(some, [], `were read for one more subscription beside ${count}`)
  })

  if (store.kind === 'redis') {
    test('G9 a claim asks for the ends of all streams at once', async () => {
      const [a] = /** @type {[Server]} */ (servers().both)
      const scripts = async () => {
        const { cmdstat_evalsha = '' } = await store.redis.admin.info('commandstats')
        return Number(/calls=(\d+)/.exec(cmdstat_evalsha)?.[1])
      }
      await a.call('PUT', 'wakes', [])
      const streams = Array.from({ length: 600 }, (_, number) => `many/${number}`)
      assert.equal((await a.sub('PUT', 'many', { ...PULL, streams })).status, 201)
      const before = await scripts()
      const { body } = await a.sub('POST', 'many/claim', { worker: 'w' })
      assert.equal(body.error.code, 'NO_PENDING_WORK')
      const during = (await scripts()) - before
      assert.ok(during < 40, `${during} scripts for a claim of ${streams.length} streams`)
    })

    test('G5 when Redis has evicted the times of subscriptions, none is forgotten', async () => {
      const { both, keyPrefix } = servers()
      const [a, b] = /** @type {[Server, Server]} */ (both)
      const times = `${keyPrefix}:{reminders}:due`
      const { admin } = store.redis
      const make = async (/** @type {Server} */ server, /** @type {string} */ id) =>
        assert.equal((await server.sub('PUT', id, { ...PULL, streams: [`own/${id}`] })).status, 201)
      await a.call('PUT', 'wakes', [])
      for (const id of ['old', 'other', 'gone']) await make(a, id)
      // The other server knows them once it wakes one of them.
      await b.append('own/other')
      await woken(a, 1)
      // Another one has put some of them back.
      for (const id of ['old', 'gone']) await admin.cmd('ZREM', times, `subscription ${id}`)
      await admin.cmd('DEL', `${keyPrefix}:{reminders}:of:subscription gone`)
      await make(a, 'new')
      await b.append('own/new')
      await woken(a, 2)
      await b.append('own/old')
      await woken(a, 3)
      // All are gone, some come back by themselves, and there are no news.
      await admin.cmd('DEL', times)
      const listed = async () => (await admin.cmd('ZRANGE', times, '0', '-1')).sort()
      const known = ['new', 'old', 'other'].map((id) => `subscription ${id}`)
      await until(async () => assert.deepEqual(await listed(), known) === undefined, { timeout: 60_000 })
    })
  }
})
