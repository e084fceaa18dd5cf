// One suite for all stores: what holds in memory holds on Redis.

import { randomUUID } from 'node:crypto'
import { after, before, describe } from 'node:test'
import { startRedis } from './redis-server.mjs'

/** @type {Promise<import('./redis-server.mjs').RedisServer> | undefined} */
let server

/** The test file's Redis server: started at the first call, ended with the file's process. */
export function sharedRedis() {
  server ??= startRedis()
  return server
}

/** All stores. Those without a server have URLs that begin with their kind. */
const KINDS = /** @type {const} */ (['memory', 'redis'])

export class TestStore {
  /** @type {import('./redis-server.mjs').RedisServer | undefined} */
  #redis
  #name = randomUUID()

  /** @param {typeof KINDS[number]} kind */
  constructor(kind) {
    this.kind = kind
  }

  async start() {
    if (this.kind === 'redis') this.#redis = await sharedRedis()
  }

  /** The engine's `url`. Known once the tests run. */
  get url() {
    return this.kind === 'redis' ? this.redis.url : `${this.kind}:${this.#name}`
  }

  /** For clients that are not the engine's. */
  get adminUrl() {
    return this.kind === 'redis' ? this.redis.adminUrl : this.url
  }

  /** Fails when an engine has tried something that the documented rights do not include. */
  async checkRights() {
    await this.#redis?.checkRights()
  }

  /** The Redis server; throws on the memory store. */
  get redis() {
    if (!this.#redis) throw new Error(`the ${this.kind} store has no running Redis server`)
    return this.#redis
  }

  /** A `keyPrefix` that no other test uses. */
  prefix() {
    return `test-${randomUUID()}`
  }
}

/**
 * Registers a suite once for each store; on Redis, the test file's server is used.
 * @param {string} name
 * @param {(store: TestStore) => void} define registers the tests, with `test`, `before` and so on
 */
export function eachStore(name, define) {
  for (const kind of KINDS) {
    describe(`${name} [${kind}]`, () => {
      const store = new TestStore(kind)
      before(() => store.start())
      after(() => store.checkRights())
      define(store)
    })
  }
}
