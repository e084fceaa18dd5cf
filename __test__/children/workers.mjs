// Starts workers that stream, and terminates them in the middle of it, again and again.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

const [, , rounds = '1', seed = '0'] = process.argv
const WORKERS = 8
let state = Number(seed) || 1
/** Between 0 and 1. */
const random = () => {
  state = (state * 48_271) % 2_147_483_647
  return state / 2_147_483_647
}

for (let round = 0; round < Number(rounds); round++) {
  const workers = Array.from({ length: WORKERS }, (_, index) => {
    const workerData = { index, round, options: JSON.parse(process.env.ENGINE ?? '{}') }
    return new Worker(new URL('worker.mjs', import.meta.url), { workerData })
  })
  // Some are in the middle of their streams, some at their beginning.
  await Promise.all(workers.slice(0, WORKERS / 2).map((worker) => once(worker, 'message')))
  await sleep(random() * 20)
  await Promise.all(workers.map((worker) => worker.terminate()))
}
process.send?.({ type: 'done' })
