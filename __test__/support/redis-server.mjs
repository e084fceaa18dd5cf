// A real Redis server for a test, on 127.0.0.1, with its files in a folder of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.mjs'
import { reap, reapFolder } from './reaper.mjs'
import { Admin } from './resp.mjs'
import { userRules } from './rights.mjs'
import { deadline, until } from './wait.mjs'

/**
 * G9: nothing in any test may need one of these, so that no server of the tests knows them. XREADGROUP is used inside
 * scripts, where it cannot block.
 */
const FORBIDDEN = ['KEYS', 'XREAD', 'BLPOP', 'BRPOP', 'BLMOVE', 'BZPOPMIN', 'BZPOPMAX']
/** The engines' user; the tests' own commands come from the default user, who may do everything. */
const USER = 'tidemark'
const USER_PASSWORD = 'tidemarks-own'
const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 30_000

/**
 * Starts a server and waits until it answers. It ends with `close()`, or with the test's process.
 * @param {object} [options]
 * @param {boolean} [options.aof] keep every write, flushed to disk each second; without it a restart loses all data
 * @param {string} [options.password] asked of every client, whoever its user is
 * @param {number} [options.portBelow] the end of the range that its port is taken from
 * @param {string[]} [options.args] more arguments of `redis-server`
 */
export async function startRedis({ aof = false, password, portBelow, args = [] } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-redis-'))
  reapFolder(folder)
  const persistence = aof ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : ['--appendonly', 'no']
  const auth = password ? ['--requirepass', password] : []
  auth.push('--user', USER, ...userRules({ password: password ?? USER_PASSWORD }))
  // Another test file may take a port between its choice and its use, so a server that did not come up gets another.
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(portBelow)
    const own = [
      '--port',
      `${port}`,
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--logfile',
      'redis.log',
      '--save',
      '',
    ]
    const forbidden = FORBIDDEN.flatMap((command) => ['--rename-command', command, ''])
    const server = new RedisServer(folder, port, password, [
      ...own,
      ...forbidden,
      ...persistence,
      ...auth,
      ...args,
    ])
    try {
      await server.start()
      return server
    } catch (error) {
      if (attempt === 3) throw error
    }
  }
}

/** The beginning of a URL's authority. @param {string} [password] of the server, if it has one */
export function userInfo(password = USER_PASSWORD) {
  return `${USER}:${encodeURIComponent(password)}@`
}

export class RedisServer {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child
  #args
  #isPaused = false

  /**
   * @param {string} folder
   * @param {number} port
   * @param {string | undefined} password
   * @param {string[]} args of `redis-server`
   */
  constructor(folder, port, password, args) {
    this.folder = folder
    this.port = port
    /** For the engines: as a user who has the documented rights and no others. */
    this.url = `redis://${userInfo(password)}127.0.0.1:${port}`
    /** For everybody else. */
    this.adminUrl = `redis://${password ? `:${encodeURIComponent(password)}@` : ''}127.0.0.1:${port}`
    /** A client that stays usable across restarts. */
    this.admin = new Admin({ port, password })
    this.#args = args
  }

  get isRunning() {
    return this.#child !== undefined
  }

  /** The running server's process id. */
  get pid() {
    if (this.#child?.pid === undefined) throw new Error('the server is not running')
    return this.#child.pid
  }

  /** Starts the stopped server on the same port and files; settles when it has loaded its data and answers. */
  async start() {
    if (this.#child) throw new Error('the server is running')
    const child = spawn(process.env.REDIS_SERVER ?? 'redis-server', this.#args, { stdio: 'ignore' })
    this.#child = child
    this.#isPaused = false
    /** @type {Error | undefined} */
    let failure
    child.once('error', (error) => {
      failure = error
    })
    child.once('exit', (code, signal) => {
      failure = new Error(`redis-server ended with ${signal ?? `exit code ${code}`}`)
      if (this.#child === child) this.#child = undefined
    })
    child.unref()
    reap(child)
    // The process id tells this server from one that another test file has put on the same port.
    const answers = async () =>
      failure ??
      ((await this.admin.cmd('PING')) === 'PONG' &&
        (await this.admin.info('server')).process_id === String(child.pid))
    await until(answers, { timeout: START_TIMEOUT_MS, message: 'redis-server answers PING' })
    if (failure) throw new Error(`${failure.message}\n${await this.log()}`, { cause: failure })
  }

  /**
   * Ends the server and waits until it is gone. Its files stay.
   * @param {'SIGTERM' | 'SIGKILL'} [signal] SIGTERM lets it flush its append-only file, SIGKILL does not
   */
  async stop(signal = 'SIGTERM') {
    const child = this.#child
    if (!child) return
    child.ref()
    const exit = once(child, 'exit')
    child.kill(signal)
    child.kill('SIGCONT')
    await deadline(exit, STOP_TIMEOUT_MS, `redis-server ends after ${signal}`)
    this.admin.close()
  }

  /** `stop` and `start`. @param {'SIGTERM' | 'SIGKILL'} [signal] */
  async restart(signal) {
    await this.stop(signal)
    await this.start()
  }

  /** Freezes the process: connections stay open, nothing is answered. */
  pause() {
    process.kill(this.pid, 'SIGSTOP')
    this.#isPaused = true
  }

  /** Ends a pause. */
  resume() {
    process.kill(this.pid, 'SIGCONT')
    this.#isPaused = false
  }

  /** The commands that the engines' user was refused, for want of a right. @returns {Promise<string[]>} */
  async refused() {
    const entries = /** @type {any[][]} */ (await this.admin.cmd('ACL', 'LOG', 128))
    const value = (/** @type {any[]} */ entry, /** @type {string} */ name) => entry[entry.indexOf(name) + 1]
    const ours = entries.filter(
      (entry) => value(entry, 'username') === USER && value(entry, 'reason') !== 'auth',
    )
    return ours.map((entry) => value(entry, 'object'))
  }

  /** What the server has logged since it was first started. */
  log() {
    return readFile(join(this.folder, 'redis.log'), 'utf8').catch(() => '')
  }

  /** Fails when an engine has tried something that the documented rights do not include. */
  async checkRights() {
    if (!this.#child || this.#isPaused) return
    const refused = await this.refused()
    if (refused.length > 0) throw new Error(`not in rights.txt: ${[...new Set(refused)].join(', ')}`)
  }

  /** Ends the server and removes its files. See `checkRights`. */
  async close() {
    try {
      await this.checkRights()
    } finally {
      await this.stop('SIGKILL')
      this.admin.close()
      // A child of the server that rewrites its file may outlive it for a moment.
      await rm(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    }
  }
}
