// Producers that are taken over while they are idle: how much memory that leaves behind.

import { createEngine } from '../../dist/index.mjs'

const [, , rounds = '1'] = process.argv
const engine = createEngine(JSON.parse(process.env.ENGINE ?? '{}'))
// What an engine keeps for a producer has the stream's name in it several times.
const streams = Array.from({ length: 20 }, (_, index) => `${index} ${'long '.repeat(100)}`)

/** Each stream's producer is told that the next one has taken over. */
async function round() {
  await Promise.all(
    streams.map(async (streamId) => {
      const producer = await engine.produce(streamId, { ifActive: 'takeover' })
      await producer.append('chunk')
    }),
  )
}

async function rss() {
  for (let count = 0; count < 50; count++) await round()
  globalThis.gc?.()
  return process.memoryUsage.rss()
}

const before = await rss()
for (let count = 0; count < Number(rounds); count++) await round()
const after = await rss()
process.send?.({ type: 'grown', bytes: after - before })
await engine.close()
