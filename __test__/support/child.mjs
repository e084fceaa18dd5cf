// Another Node.js process that runs a script of the test, talks through messages and can be killed.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { reap } from './reaper.mjs'
import { BUSY_MS, deadline, until } from './wait.mjs'

/** @typedef {{ type: string, [field: string]: any }} Message what the script gives to `process.send` */

/**
 * Starts a script. It ends with this process at the latest.
 * @param {string | URL} script
 * @param {{ args?: string[], env?: Record<string, string>, execArgv?: string[] }} [options] `env` adds to this process'
 */
export function startChild(script, options) {
  return new Child(script, options)
}

export class Child {
  /** Everything the script has printed, stdout and stderr. */
  output = ''
  /** Messages that no `next` has taken yet. @type {Message[]} */
  messages = []
  /** How the process ended; undefined while it runs. @type {{ code: number | null, signal: string | null } | undefined} */
  ended
  #process

  /**
   * @param {string | URL} script
   * @param {{ args?: string[], env?: Record<string, string>, execArgv?: string[] }} [options]
   */
  constructor(script, { args = [], env = {}, execArgv = [] } = {}) {
    const path = script instanceof URL ? fileURLToPath(script) : script
    // `node --test` sets a variable that would make the child use the test runner's protocol.
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
    this.#process = fork(path, args, { env: { ...inherited, ...env }, execArgv, silent: true })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        this.output += text
      })
    }
    this.#process.on('message', (message) => this.messages.push(/** @type {Message} */ (message)))
    // `close` comes after the last output, `exit` may come before it.
    this.#closed = new Promise((resolve) => {
      this.#process.once('close', (code, signal) => {
        this.ended = { code, signal }
        resolve(this.ended)
      })
    })
    reap(this.#process)
  }

  /** @type {Promise<{ code: number | null, signal: string | null }>} */
  #closed

  get pid() {
    return /** @type {number} */ (this.#process.pid)
  }

  /** @param {Message} message */
  send(message) {
    this.#process.send(message)
  }

  /**
   * Waits for a message of this type and takes it out; others stay.
   * @param {string} type
   * @param {number} [ms]
   * @returns {Promise<Message>}
   */
  async next(type, ms = BUSY_MS) {
    const take = () => {
      const index = this.messages.findIndex((message) => message.type === type)
      if (index >= 0) return this.messages.splice(index, 1)[0]
      return this.ended ? 'ended' : undefined
    }
    const got = await until(take, { timeout: ms, message: () => `message ${type}; ${this.#describe()}` })
    if (typeof got === 'string')
      throw new Error(`the child ended before its message ${type}; ${this.#describe()}`)
    return got
  }

  /** Sends a signal. @param {NodeJS.Signals} [signal] */
  async kill(signal = 'SIGKILL') {
    this.#process.kill(signal)
    return signal === 'SIGKILL' ? this.exit() : undefined
  }

  /** Waits for the end. @param {number} [ms] @returns {Promise<{ code: number | null, signal: string | null }>} */
  exit(ms = BUSY_MS) {
    return deadline(this.#closed, ms, 'the child ends').catch((error) => {
      throw new Error(`${error.message}; ${this.#describe()}`)
    })
  }

  #describe() {
    return `messages waiting: ${JSON.stringify(this.messages.map(({ type }) => type))}, output:\n${this.output}`
  }
}
