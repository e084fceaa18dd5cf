// A slow reader beside a fast one on a stream of many chunks, in a process that measures itself.

import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from '../../dist/index.js'

const CHUNKS = Number(process.env.CHUNKS)
const options = JSON.parse(process.env.ENGINE ?? '{}')
const [writer, reader] = [createEngine(options), createEngine(options)]
const payload = 'x'.repeat(1_000)

/** Memory in use now, all of it, in bytes. */
async function used() {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await sleep(20)
  }
  return process.memoryUsage().rss
}

/** @param {string} id @param {number} chunks */
async function stream(id, chunks) {
  const producer = await writer.produce(id)
  const leave = new AbortController()
  let slowSeen = 0
  let fastSeen = 0
  const slow = (async () => {
    for await (const _ of reader.subscribe(id, { signal: leave.signal })) {
      slowSeen += 1
      await sleep(1_000, undefined, { signal: leave.signal })
    }
  })().then(
    () => 'ended',
    (error) => error.name,
  )
  const begin = performance.now()
  const fast = (async () => {
    for await (const { seq } of reader.subscribe(id)) {
      if (seq !== fastSeen + 1) throw new Error(`seq ${seq} after ${fastSeen}`)
      fastSeen = seq
    }
    return Math.round(performance.now() - begin)
  })()
  // Paced, so that the chunks are not all in one page: about 4 s.
  for (let count = 0; count < chunks; count++) {
    if (!producer.write(payload)) await producer.ready
    if (count % 100 === 99) await sleep(15)
  }
  await producer.complete()
  const fastMs = await fast
  const seenThen = slowSeen
  const memory = await used()
  leave.abort()
  return { fastMs, fastSeen, slowSeen: seenThen, slowEnd: await slow, memory }
}

await stream('warm-up', CHUNKS / 4)
const before = await used()
const { memory, ...result } = await stream('long', CHUNKS)
process.send?.({ type: 'result', ...result, grownMiB: (memory - before) / (1 << 20) })
await Promise.all([writer.close(), reader.close()])
process.disconnect()
