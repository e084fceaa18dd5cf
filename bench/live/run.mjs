// One live run: a publisher's and a readers' process, with Redis between them.

import { until } from '../../__test__/support/wait.mjs'
import { Scene } from '../lib/scene.mjs'
import { subjectNamed } from '../subjects/index.mjs'
import { graceMs } from './load.mjs'

/** @typedef {Awaited<ReturnType<typeof runLive>>} LiveRun CPU in µs for each chunk written or delivered, or % of a core */

/** Opening 10,000 streams takes its time. */
const START_MS = 120_000
/** So does ending them, on a machine that has other things to do. */
const END_MS = 240_000

/** @param {string} subject @param {import('./load.mjs').Load} load */
export const runLive = (subject, load) =>
  Scene.play(async (scene) => {
    const { usesRedis } = subjectNamed(subject)
    const start = await scene.starter(subject, import.meta.url)
    const { redis } = scene
    const delayed =
      load.delayMs !== undefined
        ? await scene.start(new URL('./delay.mjs', import.meta.url), { ms: load.delayMs })
        : undefined
    const task = { subject, ...load, ...(delayed && { url: delayed.said }) }
    const own = await scene.connections()
    const publisher = await start('publisher', task, START_MS)
    const publisherConnections = (await scene.connections()) - own
    const reader = await start('reader', task, START_MS)
    if (usesRedis) {
      const areThere = async () => (await redis.admin.channels()).length >= load.streams
      await until(areThere, {
        timeout: START_MS,
        interval: 100,
        message: 'every stream has a channel with a reader',
      })
    }
    const { catchUpMs } = await reader.ask('settle', START_MS)

    await publisher.ask('warmUp', load.warmUpSeconds * 1000 + 30_000)
    const [watch] = await Promise.all([scene.watch(), reader.ask('measure')])
    const wrote = await publisher.ask('finish', load.seconds * 1000 + 30_000)
    const [server, read] = await Promise.all([watch.end(), reader.ask('freeze')])
    const connections = (await scene.connections()) - own
    const [results] = await Promise.all([
      reader.ask('results', graceMs(load) + END_MS),
      publisher.ask('end', graceMs(load) + END_MS),
    ])

    const publisherPercent = wrote.processUs / wrote.wallMs / 10
    const readerPercent = read.processUs / read.wallMs / 10
    const { redisPercent } = server
    // Where nothing is sent (the floor), divided by what would have been.
    const deliveries = usesRedis ? read.received : wrote.written * load.fan
    return {
      ...results,
      publisherUs: wrote.mainUs / wrote.written,
      readerUs: read.mainUs / deliveries,
      publisherPercent,
      readerPercent,
      redisPercent,
      allPercent: publisherPercent + readerPercent + redisPercent,
      /** CPU of all three for each chunk. */
      allUs: (wrote.processUs + read.processUs + server.redisUs) / wrote.written,
      ...server.besides(publisherPercent + readerPercent),
      written: wrote.written,
      backlog: wrote.backlog,
      catchUpUs: (catchUpMs * 1000) / ((load.history ?? 0) * load.streams * load.fan),
      publisherConnections,
      readerConnections: connections - publisherConnections,
      commands: Object.fromEntries(
        Object.entries(server.commands).map(([name, calls]) => [
          name,
          Number((calls / wrote.written).toFixed(3)),
        ]),
      ),
    }
  })
