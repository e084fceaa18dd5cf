// A worker that writes chunk after chunk to a stream of its own, and knows how long the longest of them has waited while the
// engine's thread, which all engines of a process share, was at work.

import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { createEngine } from 'tidemark'

const TASKS = '/proc/self/task'

/** @type {string | undefined} */
let thread

/** The processor time that the engine's thread has used, in milliseconds; NaN where the system does not tell. */
function busy() {
  try {
    const isEngine = (/** @type {string} */ id) =>
      readFileSync(`${TASKS}/${id}/comm`, 'utf8') === 'tidemark\n'
    thread ??= readdirSync(TASKS).find(isEngine)
    return Number(readFileSync(`${TASKS}/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  } catch {
    return Number.NaN
  }
}

const engine = createEngine({ url: `memory:${randomUUID()}` })
const producer = await engine.produce('probe')
let going = true
parentPort?.once('message', () => {
  going = false
})
await producer.append('first')
parentPort?.postMessage('ready')
let longest = 0
while (going) {
  const before = busy()
  const begin = performance.now()
  await producer.append('x')
  const waited = performance.now() - begin
  const used = busy() - before
  longest = Math.max(longest, Number.isNaN(used) ? waited : Math.min(used, waited))
}
await producer.complete()
await engine.close()
parentPort?.postMessage(longest)
