// Two servers share subscriptions, and one after the other is killed: while it tells a wake, while somebody works, at any time.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openRedis } from '../support/fault-scene.mjs'
import { createRandom, seed } from '../support/seed.mjs'
import { startServe } from '../support/serving.mjs'
import { keyFile } from '../support/signing-keys.mjs'
import { receiver } from '../support/subscriptions.mjs'
import { until } from '../support/wait.mjs'

const KILLS = 3
const STREAMS = ['work/a', 'work/b', 'work/c/d']
const SUBSCRIPTIONS = ['hooks', 'pull']
/** A wake that nobody tells any more is told again after 12 s, what nobody has noticed is found after 15 s. */
const LONG = { timeout: 60_000, interval: 50 }

/** @typedef {{ id: string, wake_id: string, generation: number, token: string, streams: any[] }} Held */

test(`G3 G4 G5 servers with subscriptions are killed: no wake is lost, and no cursor goes back (seed ${seed})`, {
  timeout: 150_000,
}, async (t) => {
  const random = createRandom(48)
  const redis = await openRedis(t)
  const options = [
    '--url',
    redis.url,
    '--prefix',
    `test-${randomUUID()}`,
    '--subscriptions',
    '--webhook-localhost',
  ]
  const keys = await keyFile(t)
  const start = () => startServe([...options, '--webhook-keys', keys])
  const servers = await Promise.all([start(), start()])

  /**
   * Asks a server; another one, if that was killed.
   * @param {string} method @param {string} path @param {unknown} [body] @param {string} [token]
   * @returns {Promise<{ status: number, body: any, offset: string | null }>}
   */
  const ask = async (method, path, body, token) => {
    for (let attempt = 0; ; attempt++) {
      try {
        const response = await fetch(`${random.pick(servers).address}/v1/stream/${path}`, {
          method,
          headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
          body: body === undefined ? null : JSON.stringify(body),
        })
        const text = await response.text()
        const offset = response.headers.get('stream-next-offset')
        return { status: response.status, body: text === '' ? null : JSON.parse(text), offset }
      } catch (error) {
        if (attempt > 100) throw error
        await sleep(20)
      }
    }
  }
  const sub = (/** @type {string} */ path, /** @type {unknown} */ body, /** @type {string} */ token = '') =>
    ask('POST', `__ds/subscriptions/${path}`, body, token)

  /** The last wake that was seen of each, and its token. @type {Map<string, Held>} */
  const last = new Map()
  let fenced = 0
  /** What comes with a new wake fences the one before. @param {Held} held */
  const begin = async (held) => {
    const before = last.get(held.id)
    if (before === undefined || before.generation < held.generation) last.set(held.id, held)
    if (before === undefined || before.generation >= held.generation) return
    const { wake_id, generation, token } = before
    const action = held.id === 'hooks' ? 'callback' : 'ack'
    const { status, body } = await sub(`${held.id}/${action}`, { wake_id, generation, done: true }, token)
    assert.deepEqual([status, body.error?.code], [409, 'FENCED'], `${held.id} ${generation}`)
    fenced += 1
  }
  /** Does some of the work, or all of it. @param {Held} held */
  const work = async ({ id, wake_id, generation, token, streams }) => {
    const pending = streams.filter(({ has_pending }) => has_pending)
    const acks = pending.map(({ path, tail_offset }) => ({ stream: path, offset: tail_offset }))
    const action = `${id}/${id === 'hooks' ? 'callback' : 'ack'}`
    if (random.chance(0.3)) await sub(action, { wake_id, generation, acks: acks.slice(0, 1) }, token)
    if (random.chance(0.2)) return
    await sub(action, { wake_id, generation, acks, done: true }, token)
  }

  let isCalm = false
  const { url, hooks } = await receiver(t, async (hook) => {
    const { subscription_id: id, callback_token: token, ...rest } = hook.body
    const held = { id, token, ...rest }
    await begin(held)
    const choice = isCalm ? 0.9 : random.next()
    if (choice < 0.15) return
    if (choice < 0.3) return hook.answer(503)
    if (choice < 0.6) {
      hook.answer(202)
      return work(held)
    }
    hook.answer(200, { done: true })
  })
  assert.equal((await ask('PUT', 'wakes', [])).status, 201)
  const common = { pattern: 'work/**', lease_ttl_ms: 1000 }
  await ask('PUT', '__ds/subscriptions/hooks', { ...common, type: 'webhook', webhook: { url } })
  await ask('PUT', '__ds/subscriptions/pull', { ...common, type: 'pull-wake', wake_stream: 'wakes' })

  let isOver = false
  const worker = async () => {
    while (!isOver) {
      const { status, body } = await sub('pull/claim', { worker: 'w' })
      if (status === 200) {
        const held = { id: 'pull', ...body }
        await begin(held)
        if (!isCalm && random.chance(0.2)) {
          const { wake_id, generation, token } = held
          await sub('pull/release', { wake_id, generation }, token)
        } else await work(held)
      } else assert.ok(status === 409 || status === 503, `${status} ${JSON.stringify(body)}`)
      await sleep(random.int(10, 100))
    }
  }
  /** The cursors that were seen. @type {Map<string, string>} */
  const cursors = new Map()
  const watch = async () => {
    for (const id of SUBSCRIPTIONS) {
      const { status, body } = await ask('GET', `__ds/subscriptions/${id}`)
      if (status !== 200) continue
      for (const { path, acked_offset: acked } of body.streams) {
        const name = `${id} ${path}`
        assert.ok(acked >= (cursors.get(name) ?? ''), `the cursor of ${name} went back to ${acked}`)
        cursors.set(name, acked)
      }
    }
  }
  const watcher = async () => {
    while (!isOver) {
      await watch()
      await sleep(30)
    }
  }
  const running = Promise.all([worker(), watcher()])
  running.catch(() => {})

  /** Appends somewhere, once. @type {Map<string, number>} */
  const counts = new Map()
  const append = async () => {
    const path = random.pick(STREAMS)
    const { status } = await ask('PUT', path, [{ first: true }])
    assert.ok(status === 201 || status === 200 || status === 409, String(status))
    assert.ok((await ask('POST', path, { n: 1 })).status < 300)
    counts.set(path, (counts.get(path) ?? 0) + 1)
  }
  for (let kill = 0; kill < KILLS; kill++) {
    const before = hooks.length
    await append()
    // In the middle of something.
    if (random.chance(0.5)) await until(() => hooks.length > before, { timeout: 20_000 })
    else await sleep(random.int(0, 50))
    const at = random.int(0, 1)
    const [other] = await Promise.all([servers[at]?.stop('SIGKILL'), append()])
    assert.equal(other, null)
    await append()
    servers[at] = await start()
  }
  isCalm = true
  for (const path of STREAMS) if (!counts.has(path)) await ask('PUT', path, [{ first: true }])
  for (const path of STREAMS) {
    const { offset } = await ask('GET', `${path}?offset=now`)
    for (const id of SUBSCRIPTIONS) {
      const name = `${id} ${path}`
      await until(() => cursors.get(name) === offset, {
        ...LONG,
        message: () => `${name} is at ${offset}, and not at ${cursors.get(name)}`,
      })
    }
  }
  isOver = true
  await running
  const events = (await ask('GET', 'wakes')).body
  const generations = events.map((/** @type {any} */ { generation }) => generation)
  assert.deepEqual(generations, [...new Set(generations)], 'each wake is written once')
  t.diagnostic(`${hooks.length} webhooks, ${events.length} wakes to pull, ${fenced} were fenced`)
  await Promise.all(servers.map(async (server) => assert.equal(await server.stop(), 0, server.errors())))
  await redis.checkRights()
})
