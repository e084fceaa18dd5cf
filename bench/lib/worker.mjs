// The processes of a run: they are asked by a word, and answer with a value.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { reap } from '../../__test__/support/reaper.mjs'
import { deadline } from '../../__test__/support/wait.mjs'

/** A process that runs a script, seen from the one that has started it. */
export class Worker {
  #process
  /** The message that it sent when it was ready. @type {any} */
  said

  /** @param {URL} script @param {object} task handed to the script, see {@link task} */
  constructor(script, task) {
    this.#process = fork(script, [JSON.stringify(task)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    reap(this.#process)
  }

  /** Sends a word and waits for the answer. @param {string} word @param {number} [ms] @returns {Promise<any>} */
  ask(word, ms) {
    const answer = this.answer(ms)
    this.#process.send(word)
    return answer
  }

  /** The next message. Rejects when the process ends before it. @param {number} [ms] @returns {Promise<any>} */
  async answer(ms = 15_000) {
    const ended = new AbortController()
    const death = once(this.#process, 'exit', ended).then(([code, signal]) => {
      throw new Error(`ended with ${signal ?? `exit code ${code}`}`)
    })
    const message = once(this.#process, 'message', ended)
    try {
      const [answer] = await deadline(Promise.race([message, death]), ms, 'a message')
      return answer
    } catch (error) {
      throw new Error(`${this.#process.spawnargs[1]}: ${/** @type {Error} */ (error).message}`)
    } finally {
      ended.abort()
      await Promise.allSettled([message, death])
    }
  }

  kill() {
    this.#process.kill('SIGKILL')
  }
}

/** The script's arguments. @returns {any} */
export const task = () => JSON.parse(process.argv[2] ?? '{}')

/** Answers each word with the result of its handler. @param {Record<string, () => unknown>} handlers */
export function answerWords(handlers) {
  process.on('message', async (/** @type {string} */ word) => process.send?.(await handlers[word]?.()))
  process.on('unhandledRejection', (error) => {
    throw error
  })
}
