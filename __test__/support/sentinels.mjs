// A primary, its replica, and three sentinels that know each other from the start.

import { randomBytes } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.mjs'
import { reapFolder } from './reaper.mjs'
import { RedisServer, startRedis, userInfo } from './redis-server.mjs'
import { userRules } from './rights.mjs'
import { until } from './wait.mjs'

const NAME = 'main'
/** The engines' user at the sentinels, unless they ask everybody for a password. */
const WATCHER = { name: 'watcher', password: 'watchers-own' }
/** After this silence the sentinels consider the primary dead. */
const DOWN_AFTER_MS = 1_000

/**
 * Starts them. They end with `close()`, or with the test's process.
 * @param {object} [options]
 * @param {string} [options.password] of the primary and its replica
 * @param {string} [options.sentinelPassword] of the sentinels
 */
export async function startSentinels({ password, sentinelPassword } = {}) {
  const auth = password ? ['--masterauth', password] : []
  const args = [...auth, '--repl-diskless-sync-delay', '0']
  const primary = await startRedis({ password, args })
  const replica = await startRedis({
    password,
    args: [...args, '--replicaof', '127.0.0.1', `${primary.port}`],
  })
  const linked = async () => (await replica.admin.info('replication')).master_link_status === 'up'
  await until(linked, { message: 'the replica has the data' })
  const ids = await Promise.all(
    Array.from({ length: 3 }, async () => ({ port: await freePort(), id: randomBytes(20).toString('hex') })),
  )
  const sentinels = await Promise.all(
    ids.map(async ({ port, id }) => {
      const folder = await mkdtemp(join(tmpdir(), 'tidemark-sentinel-'))
      reapFolder(folder)
      const others = ids.filter((other) => other.id !== id)
      const lines = [
        `port ${port}`,
        'bind 127.0.0.1',
        `dir ${folder}`,
        'logfile redis.log',
        `sentinel myid ${id}`,
        `sentinel monitor ${NAME} 127.0.0.1 ${primary.port} 2`,
        `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
        `sentinel failover-timeout ${NAME} 6000`,
        ...(password ? [`sentinel auth-pass ${NAME} ${password}`] : []),
        ...(sentinelPassword
          ? [`requirepass ${sentinelPassword}`]
          : [
              `user ${WATCHER.name} ${userRules({ ...WATCHER, needs: (need) => need === 'sentinels' }).join(' ')}`,
            ]),
        `sentinel known-replica ${NAME} 127.0.0.1 ${replica.port}`,
        ...others.map((other) => `sentinel known-sentinel ${NAME} 127.0.0.1 ${other.port} ${other.id}`),
      ]
      const config = join(folder, 'sentinel.conf')
      await writeFile(config, `${lines.join('\n')}\n`)
      const sentinel = new RedisServer(folder, port, sentinelPassword, [config, '--sentinel'])
      await sentinel.start()
      return sentinel
    }),
  )
  return new Sentinels([primary, replica], sentinels, password, !sentinelPassword)
}

export class Sentinels {
  /**
   * @param {[RedisServer, RedisServer]} servers the primary at first, and its replica
   * @param {RedisServer[]} sentinels
   * @param {string | undefined} password
   * @param {boolean} knowUsers whether the sentinels have a user for the engines
   */
  constructor(servers, sentinels, password, knowUsers) {
    this.servers = servers
    this.sentinels = sentinels
    this.addresses = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')
    const asWhom = knowUsers ? `?sentinelUser=${WATCHER.name}&sentinelPassword=${WATCHER.password}` : ''
    this.url = `redis+sentinel://${userInfo(password)}${this.addresses}/${NAME}${asWhom}`
  }

  /** Begins a failover though nothing is wrong. */
  failover() {
    return this.#any.admin.cmd('SENTINEL', 'FAILOVER', NAME)
  }

  /** Waits until this server is the primary, in all sentinels' words and its own. @param {RedisServer} server */
  async becomes(server) {
    const port = String(server.port)
    const agreed = async () => {
      const named = await Promise.all(
        this.sentinels.map(({ admin }) => admin.cmd('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)),
      )
      return (
        named.every((address) => address[1] === port) &&
        (await server.admin.info('replication')).role === 'master'
      )
    }
    await until(agreed, { message: `port ${port} is the primary` })
  }

  get #any() {
    return /** @type {RedisServer} */ (this.sentinels[0])
  }

  async close() {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.close()))
  }
}
