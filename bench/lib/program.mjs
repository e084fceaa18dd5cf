// A run's process that is no script: words go to its stdin, answers come on its stdout, a line of JSON each.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { reap } from '../../__test__/support/reaper.mjs'
import { deadline } from '../../__test__/support/wait.mjs'

/** The same doors as a {@link import('./worker.mjs').Worker}. */
export class Program {
  #process
  #answers
  /** What it said when it was ready. @type {any} */
  said

  /** @param {string} path @param {string} role @param {object} task */
  constructor(path, role, task) {
    this.#process = spawn(path, [role, JSON.stringify(task)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]()
    reap(this.#process)
  }

  /** Sends a word and waits for the answer. @param {string} word @param {number} [ms] @returns {Promise<any>} */
  ask(word, ms) {
    this.#process.stdin.write(`${word}\n`)
    return this.answer(ms)
  }

  /** The next line. Rejects when the process ends before it. @param {number} [ms] @returns {Promise<any>} */
  async answer(ms = 15_000) {
    const { value, done } = await deadline(this.#answers.next(), ms, `a line of ${this.#process.spawnfile}`)
    if (done) throw new Error(`${this.#process.spawnfile} has ended`)
    // What it cannot say is null, since JSON has no NaN.
    return JSON.parse(value, (_, said) => said ?? Number.NaN)
  }

  kill() {
    this.#process.kill('SIGKILL')
  }
}
