// The setup of a fault test, which ends with its test, and the checks at its end.

import assert from 'node:assert/strict'
import { test as testOf } from 'node:test'
import { inspect } from 'node:util'
import { createEngine } from '../../dist/index.js'
import { startChild } from './child.mjs'
import { digest, histories, startReaders, Writing } from './fault-work.mjs'
import { checkHistory } from './history.mjs'
import { startProxy } from './proxy.mjs'
import { startRedis } from './redis-server.mjs'
import { createRandom, seed } from './seed.mjs'
import { BUSY_MS, deadline, failureOf, until } from './wait.mjs'

/**
 * @typedef {import('node:test').TestContext} TestContext
 * @typedef {import('tidemark').EngineOptions} EngineOptions
 * @typedef {import('tidemark').Engine & { states: string[] }} WatchedEngine
 * @typedef {import('./history.mjs').Reader} Reader
 */

/**
 * A test with a limit: a promise that never settles is a failure of its own, not a hang of the file.
 * @param {string} name
 * @param {(t: TestContext) => Promise<void>} run
 */
export const test = (name, run) => testOf(name, { timeout: 120_000 }, run)

/** @param {TestContext} t @param {Parameters<typeof startRedis>[0]} [options] */
export async function openRedis(t, options) {
  const redis = await startRedis(options)
  t.after(() => redis.close())
  return redis
}

/** @param {TestContext} t @param {string} target */
export async function openProxy(t, target) {
  const proxy = await startProxy({ target })
  t.after(() => proxy.close())
  return proxy
}

/**
 * An engine that notes its connection's states.
 * @param {TestContext} t
 * @param {EngineOptions} options
 * @returns {WatchedEngine}
 */
export function openEngine(t, options) {
  const engine = createEngine(options)
  /** @type {string[]} */
  const states = []
  engine.on('state', (state) => states.push(state))
  t.after(() => engine.close())
  return Object.assign(engine, { states })
}

/**
 * A process of readers.
 * @param {TestContext} t
 * @param {EngineOptions} options its engine's
 */
export async function openRemote(t, options) {
  const env = { ENGINE: JSON.stringify(options), TIDEMARK_SEED: String(seed) }
  const child = startChild(new URL('../children/fault-readers.mjs', import.meta.url), { env })
  t.after(() => child.kill())
  await child.next('ready')
  return new Remote(child)
}

class Remote {
  #child

  /** @param {import('./child.mjs').Child} child */
  constructor(child) {
    this.#child = child
  }

  /**
   * Starts readers of each stream; see `Reading`.
   * @param {string[]} streamIds
   * @param {{ each: number, salt: number, stay?: [number, number] | null }} options `salt` sets them apart from others
   */
  read(streamIds, options) {
    this.#child.send({ type: 'read', streamIds, ...options })
  }

  /**
   * How many chunks each reader of each stream has seen, the connection's state, and its states so far.
   * @returns {Promise<{ chunks: Record<string, number[]>, state: string, states: string[] }>}
   */
  async progress() {
    this.#child.send({ type: 'progress' })
    return /** @type {any} */ (await this.#child.next('progress'))
  }

  /**
   * Waits for the ends of one stream's readers, and forgets them.
   * @param {string} streamId
   * @param {number} ms
   * @returns {Promise<Reader[]>}
   */
  async collect(streamId, ms) {
    this.#child.send({ type: 'collect', streamId, ms })
    return (await this.#child.next(`history ${streamId}`, ms + 10_000))[streamId]
  }

  /**
   * Waits for the ends of all readers, and of the process.
   * @param {number} [ms]
   * @returns {Promise<Record<string, Reader[]>>}
   */
  async finish(ms = 15_000) {
    this.#child.send({ type: 'finish', ms })
    const { histories } = await this.#child.next('histories', ms + 5_000)
    await this.#child.exit()
    return histories
  }
}

/**
 * Producers at work, and readers here and in another process, until `finish`.
 * @param {TestContext} t
 * @param {string[]} streamIds
 * @param {EngineOptions} options of both engines
 */
export async function openWork(t, streamIds, options) {
  const engine = openEngine(t, options)
  const remote = await openRemote(t, options)
  remote.read(streamIds, { each: 1, salt: 1, stay: null })
  remote.read(streamIds, { each: 1, salt: 2 })
  const steady = startReaders(engine, streamIds, { each: 1, name: 'steady ', stay: null })
  const producers = await Promise.all(streamIds.map((id) => engine.produce(id)))
  const random = createRandom()
  const writings = producers.map((producer) => new Writing(producer, { random }).start())
  t.after(() => Promise.allSettled(writings.map((writing) => writing.settle(1_000))))
  const accepted = () => writings.map((writing) => writing.accepted)
  return {
    engine,
    steady,
    writings,
    accepted,
    /** Waits until each producer has had so many more chunks accepted. @param {number} chunks @param {number} [timeout] */
    async goesOn(chunks, timeout) {
      const before = accepted()
      await until(() => accepted().every((now, index) => now > (before[index] ?? 0) + chunks), {
        timeout,
        message: () => `writers go on: ${before} … ${accepted()}, ${engine.states}`,
      })
    },
    /** Ends it, and checks everybody's history. @param {Map<string, import('./fault-work.mjs').Reading[]>[]} others */
    async finish(...others) {
      await Promise.all(writings.map((writing) => writing.finish()))
      const near = [steady, ...others].map((readings) => histories(readings, 15_000))
      const parts = await Promise.all([...near, remote.finish()])
      t.diagnostic(`states: ${engine.states.join(' ')}; chunks: ${accepted()}`)
      await checkWritings(engine, writings, ...parts)
    },
  }
}

/**
 * Fails unless everything that was written was accepted and completed, and every reader's history is perfect to that
 * end: the given readers, and one that comes when all is over.
 * @param {import('tidemark').Engine} engine
 * @param {import('./fault-work.mjs').Writing[]} writings finished, one for each stream
 * @param {Record<string, Reader[]>[]} parts
 */
export async function checkWritings(engine, writings, ...parts) {
  // A replay does not wait for the connection for messages, and until that is there Redis counts as away.
  await until(() => engine.state === 'ready', { message: () => `ready, not ${engine.state}` })
  for (const { producer, written, errors } of writings) {
    const { streamId } = producer
    assert.deepEqual(errors, [], `appends to ${streamId}`)
    assert.equal(producer.outcome, 'complete')
    const readers = [...parts.flatMap((part) => part[streamId] ?? []), await replay(engine, streamId)]
    checkHistory({ written, readers })
    const ends = readers.map(({ outcome }) => outcome).filter((outcome) => outcome !== 'left')
    assert.deepEqual(ends, Array(ends.length).fill('complete'), `readers of ${streamId}`)
    assert.equal((await engine.status(streamId))?.lastSeq, written.length)
  }
}

/** @param {import('tidemark').Engine} engine @param {string} streamId @param {string} [from] @returns {Promise<Reader>} */
export async function replay(engine, streamId, from = 'start') {
  const subscription = engine.subscribe(streamId, { from })
  /** @type {Reader['chunks']} */
  const chunks = []
  const reading = async () => {
    for await (const { seq, data } of subscription) chunks.push({ seq, data: digest(data) })
  }
  await deadline(reading(), BUSY_MS, `a replay of ${streamId} ends, after ${chunks.length} chunks`)
  return { name: 'replay', chunks, outcome: subscription.outcome }
}

/** Tidemark's connections to a server. @param {import('./redis-server.mjs').RedisServer} server */
export async function connections(server) {
  const isOurs = (/** @type {Record<string, string>} */ { name, sub }) =>
    name === 'tidemark' || (name === '' && sub !== '0')
  const clients = (await server.admin.clients()).filter(isOurs)
  const subscribers = clients.filter(({ sub }) => sub !== '0').length
  return { commands: clients.length - subscribers, subscribers }
}

/** Everything an error shows, however it is logged. @param {any} error */
export const shown = (error) =>
  [error.message, error.stack, String(error), JSON.stringify(error), inspect(error, { depth: 9 })].join('\n')

/**
 * The error of an operation that must fail soon, and must not show any of the secrets.
 * @param {Promise<unknown>} operation
 * @param {string[]} secrets
 * @returns {Promise<any>}
 */
export async function errorOf(operation, secrets) {
  const error = await deadline(failureOf(operation), 8_000, 'the operation ends')
  assert.ok(error, 'it fails')
  for (const secret of secrets) assert.ok(!shown(error).includes(secret), 'no secret is shown')
  return error
}
