// Readers that come and go, many times, in a process that measures itself before and after.

import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from '../../dist/index.js'

const CYCLES = Number(process.env.CYCLES)
const AT_ONCE = 100
const engine = createEngine(JSON.parse(process.env.ENGINE ?? '{}'))
const ids = Array.from({ length: 20 }, (_, index) => `cycle-${index}`)
const producers = await Promise.all(ids.map((id) => engine.produce(id)))
for (const producer of producers) {
  for (let count = 0; count < 20; count++) await producer.append(`${count} ${'x'.repeat(100)}`)
}

/** One reader: it reads nothing, some or all that is there, and leaves in one of four ways. @param {number} index */
async function cycle(index) {
  const leave = new AbortController()
  // Every tenth stream does not exist.
  const id = index % 10 === 0 ? `nothing-${index % 50}` : ids[index % ids.length]
  const subscription = engine.subscribe(/** @type {string} */ (id), { signal: leave.signal })
  const way = index % 4
  if (way === 0 || index % 10 === 0) {
    const waiting = subscription.next().catch(() => {})
    leave.abort()
    await waiting
  } else if (way === 1) {
    for await (const { seq } of subscription) if (seq === 3) break
  } else if (way === 2) {
    await subscription.next()
    await subscription.return()
  } else {
    const reading = (async () => {
      for await (const { seq } of subscription) if (seq === 20) leave.abort()
    })()
    await reading.catch(() => {})
  }
}

/** @param {number} cycles */
async function run(cycles) {
  for (let done = 0; done < cycles; done += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => cycle(done + index)))
  }
}

async function measure() {
  // What was given up is freed in turns of its own.
  for (let round = 0; round < 5; round++) {
    globalThis.gc?.()
    await sleep(50)
  }
  const { rss, heapUsed: heap } = process.memoryUsage()
  return { rss, heap, resources: process.getActiveResourcesInfo().sort() }
}

process.on('message', async (/** @type {{ type: string }} */ { type }) => {
  if (type === 'go') {
    const begin = performance.now()
    await run(CYCLES)
    const seconds = ((performance.now() - begin) / 1_000).toFixed(1)
    process.send?.({ type: 'after', after: await measure(), seconds })
  } else {
    await Promise.all(producers.map((producer) => producer.complete()))
    await engine.close()
    process.disconnect()
  }
})
await run(5_000)
process.send?.({ type: 'before', before: await measure() })
