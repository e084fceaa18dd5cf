// One burst: a process that writes as fast as its subject takes it, and then reads back what it has written.

import { Scene } from '../lib/scene.mjs'
import { subjectsNamed } from '../live/columns.mjs'
import { redisBenchmark } from './redis-benchmark.mjs'

/**
 * @typedef {object} Burst
 * @property {number} streams
 * @property {number} chunks of each stream
 * @property {number} [bytes] of a chunk; without it, one word each
 */

/** @param {string} subject @param {Burst} burst */
export const runBurst = (subject, burst) =>
  Scene.play(async (scene) => {
    if (subject === 'redis-benchmark') return redisBenchmark(scene, burst)
    const start = await scene.starter(subject, import.meta.url)
    const writer = await start('writer', { subject, ...burst })
    const chunks = burst.streams * burst.chunks
    const watch = await scene.watch()
    const wrote = await writer.ask('write', 120_000)
    const server = await watch.end()
    const { found } = await writer.ask('readBack', 120_000)
    return {
      rate: chunks / (wrote.wallMs / 1000),
      ...server.costs(wrote, chunks),
      chunks,
      found,
    }
  })

/** What the scenarios of bursts have in common. @type {Pick<import('../scenarios/index.mjs').Scenario, 'columns' | 'checks' | 'chart'>} */
export const aBurst = {
  columns: [
    { head: 'chunks/s', digits: 0, of: ({ rate }) => rate },
    { head: 'main thread, µs/chunk', digits: 2, of: ({ mainUs }) => mainUs },
    { head: 'process, µs/chunk', digits: 2, of: ({ processUs }) => processUs },
    { head: 'Redis, µs/chunk', digits: 2, of: ({ redisUs }) => redisUs },
  ],
  checks: [
    { what: 'what was written can be read', holds: ({ found, chunks }) => chunks > 0 && found === chunks },
  ],
  chart: { axis: 'chunks a second', of: ({ rate }) => rate },
}

/** @type {Record<string, string>} */
export const CEILINGS = {
  ...subjectsNamed(['rust-client']),
  'redis-benchmark':
    "redis-benchmark's XADD of as many bytes, 64 in a pipeline on one connection: no publication, no script, no JavaScript, but an entry for each chunk",
}

/** Without `resumable-stream`, which keeps no chunks in Redis. */
export const BURST_PEERS = ['handmade-ioredis', 'handmade-ioredis-batch', 'handmade-worker']
