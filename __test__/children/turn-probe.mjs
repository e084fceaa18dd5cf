// A worker that writes chunk after chunk to a stream of its own, and knows how long the longest of them has waited while the
// engine's thread, which all engines of a process share, was at work.

import { randomUUID } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { createEngine } from 'tidemark'
import { busy } from '../support/turns.mjs'

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
