// How long the engine's thread keeps everybody waiting.

import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'

const PROBE = new URL('../children/turn-probe.mjs', import.meta.url)

const TASKS = '/proc/self/task'

/** @type {string | undefined} */
let thread

/** The processor time that the engine's thread has used, in milliseconds; NaN where the system does not tell. */
export function busy() {
  try {
    const isEngine = (/** @type {string} */ id) =>
      readFileSync(`${TASKS}/${id}/comm`, 'utf8') === 'tidemark\n'
    thread ??= readdirSync(TASKS).find(isEngine)
    return Number(readFileSync(`${TASKS}/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  } catch {
    return Number.NaN
  }
}

/**
 * The longest time, in milliseconds, for which a chunk of another stream waited while the engine's thread was at work. What
 * other programs have taken of the processor does not count.
 * @param {() => Promise<unknown>} work
 */
export async function longestWait(work) {
  const probe = new Worker(PROBE)
  await once(probe, 'message')
  try {
    await work()
  } finally {
    probe.postMessage('stop')
  }
  const [longest] = await once(probe, 'message')
  return longest
}
