// Streams of every kind of life, many of each, and what must be left of them: nothing.

import assert from 'node:assert/strict'
import { startChild } from './child.mjs'
import { startRedis } from './redis-server.mjs'
import { until } from './wait.mjs'

const SCRIPT = new URL('../children/churn.mjs', import.meta.url)
/** As short as possible, so that everything expires soon. */
const OPTIONS = { lease: '1s', ttl: { active: '4s', done: '2s' }, ackIntervalMs: 20 }
/** The keys, and the ids in the index, of a trickle of twenty streams a second. */
const TRICKLE = 250
/** Streams that a killed process leaves behind: their ids stay a while longer than their keys. */
const LEFT_BEHIND = 500
/** A live stream that was deleted leaves a mark for its producer, for a minute. */
const MARK_MS = 60_000
const QUIET_MS = 60_000

/** Another process, and what it is told to do. */
class Worker {
  #child

  /** @param {string} url */
  constructor(url) {
    const env = { ENGINE: JSON.stringify({ url, ...OPTIONS }) }
    this.#child = startChild(SCRIPT, { env, execArgv: ['--expose-gc'] })
  }

  /** @param {string} type @param {object} [fields] @param {number} [ms] @returns {Promise<any>} */
  async order(type, fields, ms = QUIET_MS) {
    this.#child.send({ type, ...fields })
    const answer = this.#child.next(`${type} done`, ms)
    const failure = async () => {
      const { message } = await this.#child.next('failed', ms)
      throw new Error(message)
    }
    return Promise.race([answer, failure()])
  }

  async ready() {
    await this.#child.next('ready')
    return this
  }

  kill() {
    return this.#child.kill()
  }
}

/**
 * Lets them come and go, and fails unless Redis' keys, the process' memory and its handles are what they were.
 * @param {import('node:test').TestContext} t
 * @param {object} options
 * @param {number} options.warmUp of each kind, before anything is measured
 * @param {number} options.each of each kind in a round
 * @param {number} options.rounds
 * @param {number} options.killed processes that are killed in each round
 * @param {number} options.rssBytes and
 * @param {number} options.heapBytes by which memory may be higher after the last round than after the first one
 */
export async function churn(t, { warmUp, each, rounds, killed, rssBytes, heapBytes }) {
  const redis = await startRedis()
  t.after(() => redis.close())
  const worker = await new Worker(redis.url).ready()
  t.after(() => worker.kill())
  const size = () => redis.admin.cmd('DBSIZE')
  const marks = warmUp + each

  /** Once nothing is under way any more. */
  const settled = async () => {
    /** @type {any} */
    let sample
    const isQuiet = async () => {
      sample = await worker.order('sample')
      return sample.busy === 0
    }
    await until(isQuiet, {
      timeout: QUIET_MS,
      interval: 100,
      message: () => `nothing is held: ${JSON.stringify(sample)}`,
    })
    // Memory may be freed a moment later.
    const [first, second] = [sample, await worker.order('sample')]
    const { length: connections } = (await redis.admin.clients()).filter(({ user }) => user === 'tidemark')
    return { ...second, rss: Math.min(first.rss, second.rss), connections }
  }
  const shown = ({ rss = 0, heapUsed = 0, handles = {}, connections = 0 }) =>
    `${(rss / 2 ** 20).toFixed(1)} MiB, heap ${(heapUsed / 2 ** 20).toFixed(1)} MiB, ${connections} connections, ` +
    `handles ${JSON.stringify(handles)}`

  /** Streams whose process is killed, and whose end others see. */
  const kill = async () => {
    for (let count = 0; count < killed; count++) {
      const victim = await new Worker(redis.url).ready()
      const { ids } = await victim.order('leave', { count: LEFT_BEHIND })
      await victim.kill()
      await worker.order('bury', { ids })
    }
  }

  await worker.order('trickle', { on: true })
  await worker.order('run', { each: warmUp }, 10 * QUIET_MS)
  await kill()
  await worker.order('trickle', { on: false })
  const before = await settled()
  t.diagnostic(`before: ${shown(before)}`)
  /** @type {any[]} */
  const samples = []
  for (let round = 1; round <= rounds; round++) {
    await worker.order('trickle', { on: true })
    const { lives, ms } = await worker.order('run', { each }, 30 * QUIET_MS)
    await kill()
    // The rest of the other streams must go even while new ones are started.
    let [keys, ids] = [0, 0]
    const areGone = async () => {
      ;[keys, { ids }] = [await size(), await worker.order('indexed')]
      return keys <= TRICKLE + marks && ids <= TRICKLE + killed * LEFT_BEHIND
    }
    await until(areGone, {
      timeout: QUIET_MS,
      interval: 250,
      message: () => `the keys and the ids of ${lives} streams are gone: ${keys} keys, ${ids} ids`,
    })
    await worker.order('trickle', { on: false })
    const sample = await settled()
    samples.push(sample)
    t.diagnostic(`${lives} lives in ${ms} ms: ${keys} keys, ${ids} ids; ${shown(sample)}`)
  }
  const [first, last] = [samples[0] ?? before, samples.at(-1) ?? before]
  const [from, to] = rounds > 1 ? [first, last] : [before, last]
  assert.ok(to.rss - from.rss < rssBytes, `the process: ${shown(from)} → ${shown(to)}`)
  assert.ok(to.heapUsed - from.heapUsed < heapBytes, `the heap: ${shown(from)} → ${shown(to)}`)
  assert.deepEqual(last.handles, before.handles)
  assert.equal(last.connections, before.connections)
  // The rest expires by itself.
  const [, left] = await redis.admin.cmd('SCAN', 0, 'COUNT', 1_000_000)
  const ttls = await Promise.all(left.map((/** @type {string} */ key) => redis.admin.cmd('PTTL', key)))
  assert.deepEqual(
    left.filter((/** @type {string} */ _, /** @type {number} */ at) => ttls[at] === -1 || ttls[at] > MARK_MS),
    [],
    'keys without a TTL, or with a long one',
  )
  await worker.order('close').catch(() => {})
}
