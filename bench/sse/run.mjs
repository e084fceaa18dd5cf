// One live run whose readers are responses of server-sent events, in a server's process.

import { until } from '../../__test__/support/wait.mjs'
import { Scene } from '../lib/scene.mjs'
import { chunksOf, graceMs } from '../live/load.mjs'

/** @param {string} way @param {import('../live/load.mjs').Load} load */
export const runResponses = (way, load) =>
  Scene.play(async (scene) => {
    const task = { subject: 'tidemark', ...load }
    const publisher = await scene.start(new URL('../live/publisher.mjs', import.meta.url), task)
    const server = await scene.start(new URL('./server.mjs', import.meta.url), { ...task, way })
    await server.ask('begin')
    const isWeb = way.endsWith('web') || way.startsWith('web')
    const client = isWeb
      ? undefined
      : await scene.start(new URL('./client.mjs', import.meta.url), { ...task, port: server.said.port })
    const isCeiling = way.endsWith('ceiling')
    if (!isCeiling) await until(async () => (await scene.redis.admin.channels()).length >= load.streams)
    await publisher.ask('warmUp')
    const watch = await scene.watch()
    const before = await server.ask('measure')
    const wrote = await publisher.ask('finish', load.seconds * 1000 + 30_000)
    const used = await server.ask('freeze')
    const redis = await watch.end()
    const limit = graceMs(load) + 60_000
    await Promise.all([client?.ask('finish', limit), publisher.ask('end', limit)])
    const all = await server.ask('finish', limit)
    const offered = Array.from({ length: load.streams }, (_, index) => chunksOf(load, index))
    const deliveries = offered.reduce((sum, chunks) => sum + chunks, 0) * load.fan
    // Chunks are not told apart in an event stream; all of them are as long as each other, but for a few digits.
    const bytesPerChunk = isCeiling
      ? (used.bytes - before.bytes) / (used.written - before.written)
      : all.bytes / deliveries
    const chunks = (used.bytes - before.bytes) / bytesPerChunk
    return {
      mainUs: used.mainUs / chunks,
      processUs: used.processUs / chunks,
      bytesPerChunk,
      ...redis.besides(redis.percent(wrote.processUs + used.processUs)),
    }
  })
