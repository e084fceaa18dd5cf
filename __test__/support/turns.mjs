// How long the engine's thread keeps everybody waiting.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const PROBE = new URL('../children/turn-probe.mjs', import.meta.url)

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
