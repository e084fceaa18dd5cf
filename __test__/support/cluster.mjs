// A cluster of three primaries, each with a replica.

import { startRedis, userInfo } from './redis-server.mjs'
import { until } from './wait.mjs'

/** @typedef {import('./redis-server.mjs').RedisServer} RedisServer */

const PRIMARIES = 3
const SLOTS = 16384
/** After this silence the others consider a server dead. */
const NODE_TIMEOUT_MS = 1_000
/** Below the other servers' ports: a cluster's talk to each other on one that is higher by 10,000, which nobody else is given. */
const PORT_BELOW = 20_000

/**
 * Starts it. It ends with `close()`, or with the test's process.
 * @param {object} [options]
 * @param {string} [options.password] of all servers
 */
export async function startCluster({ password } = {}) {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', `${NODE_TIMEOUT_MS}`]
  args.push('--repl-diskless-sync-delay', '0', '--cluster-replica-validity-factor', '0')
  if (password) args.push('--masterauth', password)
  const servers = await Promise.all(
    Array.from({ length: 2 * PRIMARIES }, () => startRedis({ password, portBelow: PORT_BELOW, args })),
  )
  const cluster = new Cluster(servers, password)
  await cluster.form()
  return cluster
}

export class Cluster {
  /** Their ids in the cluster. @type {Map<RedisServer, string>} */
  #ids = new Map()

  /** @param {RedisServer[]} servers the primaries at first, then their replicas @param {string | undefined} password */
  constructor(servers, password) {
    this.servers = servers
    this.password = password
    this.primaries = servers.slice(0, PRIMARIES)
    this.addresses = this.primaries.map(({ port }) => `127.0.0.1:${port}`).join(',')
    this.url = `redis+cluster://${userInfo(password)}${this.addresses}`
  }

  async form() {
    for (const [index, server] of this.servers.entries()) {
      this.#ids.set(server, await server.admin.cmd('CLUSTER', 'MYID'))
      await server.admin.cmd('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
      await server.admin.cmd('CLUSTER', 'MEET', '127.0.0.1', this.servers[0]?.port ?? 0)
    }
    for (const [index, { admin }] of this.primaries.entries()) {
      const [first, end] = [index, index + 1].map((part) => Math.floor((part * SLOTS) / PRIMARIES))
      const slots = Array.from({ length: (end ?? 0) - (first ?? 0) }, (_, slot) => slot + (first ?? 0))
      await admin.cmd('CLUSTER', 'ADDSLOTS', ...slots)
    }
    await this.#all(async (server) => (await this.#info(server)).cluster_known_nodes === '6')
    for (const [index, { admin }] of this.servers.slice(PRIMARIES).entries()) {
      const primary = this.id(/** @type {RedisServer} */ (this.primaries[index]))
      await admin.cmd('CLUSTER', 'REPLICATE', primary)
    }
    await this.settled()
  }

  /** Waits until all servers agree that all is well. */
  async settled() {
    await this.#all(async (server) => {
      const { role, master_link_status } = await server.admin.info('replication')
      return (
        (await this.#info(server)).cluster_state === 'ok' &&
        (role === 'master' || master_link_status === 'up')
      )
    })
  }

  /** @param {RedisServer} server */
  id(server) {
    return /** @type {string} */ (this.#ids.get(server))
  }

  /** Where a key's slot is, according to the servers that run. @param {string} key */
  async owner(key) {
    const { admin } = /** @type {RedisServer} */ (this.primaries.find((server) => server.isRunning))
    const slot = await admin.cmd('CLUSTER', 'KEYSLOT', key)
    for (const [first, last, [, port]] of await admin.cmd('CLUSTER', 'SLOTS')) {
      if (first <= slot && slot <= last) {
        const server = /** @type {RedisServer} */ (this.servers.find((server) => server.port === port))
        return { slot: /** @type {number} */ (slot), server }
      }
    }
    throw new Error(`nobody has the slot of ${key}`)
  }

  /** A replica of a server. @param {RedisServer} server */
  async replicaOf(server) {
    for (const replica of this.servers) {
      const { role, master_port } = await replica.admin.info('replication')
      if (role === 'slave' && master_port === String(server.port)) return replica
    }
    throw new Error(`port ${server.port} has no replica`)
  }

  /** Another of the first primaries. @param {RedisServer} server */
  otherThan(server) {
    return /** @type {RedisServer} */ (this.primaries.find((primary) => primary !== server))
  }

  /**
   * Moves a slot, step by step.
   * @param {number} slot
   * @param {RedisServer} from
   * @param {RedisServer} to
   */
  move(slot, from, to) {
    const keys = () => from.admin.cmd('CLUSTER', 'GETKEYSINSLOT', slot, 100)
    const auth = this.password ? ['AUTH', this.password] : []
    return {
      begin: async () => {
        await to.admin.cmd('CLUSTER', 'SETSLOT', slot, 'IMPORTING', this.id(from))
        await from.admin.cmd('CLUSTER', 'SETSLOT', slot, 'MIGRATING', this.id(to))
      },
      /** Moves the keys that end so, or all. @param {string} [end] */
      migrate: async (end = '') => {
        for (const key of await keys()) {
          if (key.endsWith(end)) await from.admin.cmd('MIGRATE', '127.0.0.1', to.port, key, 0, 5_000, ...auth)
        }
      },
      end: async () => {
        for (const { admin } of [to, from]) await admin.cmd('CLUSTER', 'SETSLOT', slot, 'NODE', this.id(to))
      },
    }
  }

  async close() {
    await Promise.all(this.servers.map((server) => server.close()))
  }

  /** @param {RedisServer} server @returns {Promise<Record<string, string>>} */
  async #info(server) {
    const lines = (await server.admin.cmd('CLUSTER', 'INFO')).trim().split('\r\n')
    return Object.fromEntries(lines.map((/** @type {string} */ line) => line.split(':')))
  }

  /** Waits until something is so on all servers. @param {(server: RedisServer) => Promise<boolean>} condition */
  async #all(condition) {
    const met = async () => (await Promise.all(this.servers.map(condition))).every(Boolean)
    await until(met, { message: String(condition), timeout: 15_000 })
  }
}
