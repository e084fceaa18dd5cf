// One replay: a finished stream, and a process that reads it.

import { Scene } from '../lib/scene.mjs'

/**
 * @param {string} subject which wrote the stream
 * @param {{ chunks: number, readers: number, way?: 'objects' | 'responses' | 'merged' }} replay readers come at once
 */
export const runReplay = (subject, { chunks, readers, way = 'objects' }) =>
  Scene.play(async (scene) => {
    const shape = { streams: 1, chunks, bytes: 55 }
    const writer = await scene.start(new URL('../burst/writer.mjs', import.meta.url), { subject, ...shape })
    await writer.ask('write', 60_000)
    writer.kill()
    const reader = await scene.start(new URL('./reader.mjs', import.meta.url), {
      subject,
      chunks,
      readers,
      way,
    })
    await reader.ask('warmUp', 60_000)
    const watch = await scene.watch()
    const read = await reader.ask('replay', 60_000)
    const server = await watch.end()
    const all = chunks * readers
    return {
      firstMs: read.firstMs,
      lastMs: read.lastMs,
      mainUs: read.mainUs / all,
      processUs: read.processUs / all,
      redisUs: server.redisUs / all,
      complete: read.complete,
      readers,
      othersPercent: server.othersPercent(read.processUs / server.wallMs / 10),
      stolenPercent: server.stolenPercent,
    }
  })

/** What the scenarios of replays have in common. @type {Pick<import('../scenarios/index.mjs').Scenario, 'columns' | 'checks'>} */
export const aReplay = {
  columns: [
    { head: 'first, ms', digits: 2, of: ({ firstMs }) => firstMs },
    { head: 'last, ms', digits: 1, of: ({ lastMs }) => lastMs },
    { head: 'main thread, µs/chunk', digits: 2, of: ({ mainUs }) => mainUs },
    { head: 'process, µs/chunk', digits: 2, of: ({ processUs }) => processUs },
    { head: 'Redis, µs/chunk', digits: 2, of: ({ redisUs }) => redisUs },
  ],
  checks: [
    {
      what: 'every reader got everything',
      holds: ({ complete, readers }) => readers > 0 && complete === readers,
    },
  ],
}
