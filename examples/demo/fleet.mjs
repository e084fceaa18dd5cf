// `npm run demo -- --redis`: a Redis and two servers of the demo's own, which may be killed by the page's buttons.

import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../scripts/free-port.mjs'
import { findRedis } from '../../scripts/redis.mjs'
import { UsageError } from './source.mjs'

const MAIN = fileURLToPath(new URL('main.mjs', import.meta.url))

/** How long Redis is away, and how long a killed server: long enough to be looked at. */
const REDIS_AWAY_MS = 2000
const SERVER_AWAY_MS = 15_000

const say = (/** @type {string} */ line) => console.log(line)

/**
 * Until Ctrl-C.
 * @param {string[]} args of the demo
 * @param {number[]} ports for the first server; the second takes the next one
 * @returns {Promise<number>} the exit code
 */
export async function runFleet(args, ports) {
  const redis = new Redis(await freePort())
  const ending = new AbortController()
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => (ending.signal.aborted ? process.exit(130) : ending.abort()))
  }
  /** @type {Server[]} */
  const servers = []
  process.on('exit', () => {
    redis.kill()
    for (const server of servers) server.end('SIGKILL')
  })
  try {
    await redis.start()
    const forwarded = args.filter((arg) => arg !== '--redis')
    for (const _ of [1, 2]) {
      const used = servers.at(-1)?.port
      const server = new Server(forwarded, redis, used === undefined ? ports : [used + 1, used + 2, used + 3])
      servers.push(server)
      await server.start()
    }
    const [first, second] = servers
    say(`\nTidemark demo  ${first?.url}\n`)
    say(`  second   ${second?.url}   has the same answers`)
    say(`  store    a Redis of its own, on port ${redis.port}: REDIS_URL=${redis.url} npx tidemark top`)
    say('  try      open a second reader, kill the server, restart Redis, reload, press Stop')
    say('  Ctrl-C   closes it\n')
    if (!ending.signal.aborted) await once(ending.signal, 'abort')
    say('\nClosing.')
    await Promise.all(servers.map((server) => server.end('SIGTERM')))
    return 0
  } finally {
    await redis.end()
  }
}

class Redis {
  #folder = mkdtempSync(join(tmpdir(), 'tidemark-demo-'))
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child
  /** @type {Promise<void> | undefined} */
  #restarting

  /** @param {number} port */
  constructor(port) {
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  async start() {
    const path = findRedis()?.path
    if (path === undefined)
      throw new UsageError('--redis needs redis-server or valkey-server on PATH, or REDIS_SERVER')
    const where = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder]
    const child = spawn(path, [...where, '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
    this.#child = child
    while (!(await isListening(this.port))) {
      if (child.exitCode !== null) throw new Error(`Redis ended with exit code ${child.exitCode}`)
      await sleep(20)
    }
  }

  /** Kills it, as a crash would, and starts it again with nothing in it. */
  restart() {
    this.#restarting ??= (async () => {
      say('Redis is killed')
      const gone = this.#child && once(this.#child, 'exit')
      this.kill()
      await gone
      await sleep(REDIS_AWAY_MS)
      await this.start()
      say('Redis is there again, and empty')
      this.#restarting = undefined
    })().catch((error) => say(String(error)))
  }

  kill() {
    this.#child?.kill('SIGKILL')
  }

  async end() {
    await this.#restarting
    this.kill()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

class Server {
  port = 0
  url = ''
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child
  #isEnding = false
  #args
  #redis
  #ports

  /** @param {string[]} args @param {Redis} redis @param {number[]} ports tried in this order */
  constructor(args, redis, ports) {
    this.#args = args
    this.#redis = redis
    this.#ports = ports
  }

  /** Resolves when it listens. */
  async start() {
    for (const port of this.#ports) {
      const env = { ...process.env, REDIS_URL: this.#redis.url, TIDEMARK_URL: '', PORT: String(port) }
      if (await isListening(port)) continue
      const child = fork(MAIN, this.#args, { env, stdio: 'inherit' })
      this.#child = child
      const told = /** @type {Promise<any>} */ (
        Promise.race([once(child, 'message'), once(child, 'exit').then(() => [])])
      )
      const [ready] = await told
      if (ready === undefined) continue
      this.port = ready.port
      this.url = ready.url
      // It comes back where it was.
      this.#ports = [ready.port]
      child.on('message', (message) => message === 'restart redis' && this.#redis.restart())
      child.on('exit', (_, signal) => this.#restart(signal))
      return
    }
    throw new Error(`no server could be started on port ${this.#ports.slice(0, 3).join(', ')}`)
  }

  /** @param {NodeJS.Signals | null} signal */
  async #restart(signal) {
    if (this.#isEnding) return
    say(
      `the server on port ${this.port} has ended (${signal}), and is started again in ${SERVER_AWAY_MS / 1000} s`,
    )
    await sleep(SERVER_AWAY_MS, undefined, { ref: false })
    if (this.#isEnding) return
    await this.start().then(
      () => say(`the server on port ${this.port} is there again`),
      (error) => say(error.message),
    )
  }

  /** @param {NodeJS.Signals} signal */
  async end(signal) {
    this.#isEnding = true
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
}

/** @param {number} port */
async function isListening(port) {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
