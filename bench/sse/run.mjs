// `npm run bench -- sse`: what a response of server-sent events costs the main thread for each chunk, framed in Rust and
// written by hand, in interleaved rounds.

import { startRedis } from '../../__test__/support/redis-server.mjs'
import { until } from '../../__test__/support/wait.mjs'
import { runMain } from '../../scripts/setup.mjs'
import { say } from '../../scripts/steps.mjs'
import { markdownTable, spread } from '../lib/statistics.mjs'
import { Worker } from '../lib/worker.mjs'
import { chunksOf, GRACE_MS, shapeOf } from '../live/load.mjs'

const ROUNDS = 3
const SECONDS = 3
const FANS = [1, 10]
const LOAD = 'together'
const { streams } = shapeOf({ load: LOAD })
const WAYS = ['by hand', 'toSSE']

/** @param {string} way @param {number} fan */
async function runOnce(way, fan) {
  const redis = await startRedis()
  /** @type {Worker[]} */
  const workers = []
  const task = { subject: way, load: LOAD, fan, seconds: SECONDS, url: redis.url }
  const start = async (/** @type {string} */ script, /** @type {string} */ subject) => {
    const worker = new Worker(new URL(script, import.meta.url), { ...task, subject })
    workers.push(worker)
    await worker.answer()
    return worker
  }
  try {
    const publisher = await start('../live/publisher.mjs', 'tidemark')
    const reader = await start('./reader.mjs', way)
    await until(async () => (await redis.admin.channels()).length >= streams)
    await publisher.ask('warmUp')
    await reader.ask('measure')
    await publisher.ask('finish', SECONDS * 1000 + 30_000)
    const live = await reader.ask('freeze')
    const [all] = await Promise.all([
      reader.ask('finish', GRACE_MS + 10_000),
      publisher.ask('end', GRACE_MS + 10_000),
    ])
    const replay = await reader.ask('replay', 30_000)
    // Chunks are not told apart in an event stream; all of them are as long as each other, but for a few digits.
    const bytesPerChunk = all.bytes / (chunksOf(task) * streams * fan)
    const chunks = live.bytes / bytesPerChunk
    return {
      mainUs: live.mainUs / chunks,
      processUs: live.processUs / chunks,
      chunksPerPiece: chunks / live.pieces,
      replayUs: replay.mainUs / (replay.bytes / bytesPerChunk),
    }
  } finally {
    for (const worker of workers) worker.kill()
    await redis.close()
  }
}

await runMain(async () => {
  /** @type {Map<string, Awaited<ReturnType<typeof runOnce>>[]>} */
  const results = new Map()
  for (let round = 0; round < ROUNDS; round++) {
    for (const fan of FANS) {
      for (const way of round % 2 ? WAYS.toReversed() : WAYS) {
        const result = await runOnce(way, fan)
        const key = `${fan} ${way}`
        results.set(key, [...(results.get(key) ?? []), result])
        say(`round ${round + 1}/${ROUNDS}  fan ${fan}  ${way} … main thread ${result.mainUs.toFixed(2)} µs`)
      }
    }
  }
  const rows = FANS.flatMap((fan) =>
    WAYS.map((way) => {
      const runs = results.get(`${fan} ${way}`) ?? []
      const of = (/** @type {'mainUs' | 'processUs' | 'chunksPerPiece' | 'replayUs'} */ name) =>
        runs.map((run) => run[name])
      return [
        String(fan),
        way,
        spread(of('mainUs'), 2),
        spread(of('processUs'), 2),
        spread(of('chunksPerPiece'), 1),
        spread(of('replayUs'), 2),
        String(runs.length),
      ]
    }),
  )
  const head = [
    'responses of each stream',
    'way',
    'main thread, µs/chunk',
    'process, µs/chunk',
    'chunks in a piece',
    'replay: main thread, µs/chunk',
    'n',
  ]
  console.log(markdownTable(head, rows))
  return 0
})
