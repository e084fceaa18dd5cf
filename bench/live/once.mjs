// One run: its own Redis server, a publisher's and a readers' process, all of them new.

import { startRedis } from '../../__test__/support/redis-server.mjs'
import { until } from '../../__test__/support/wait.mjs'
import { Cpus } from '../lib/measure.mjs'
import { Worker } from '../lib/worker.mjs'
import { subjectNamed } from '../subjects/index.mjs'
import { GRACE_MS, shapeOf } from './load.mjs'

/** @typedef {Awaited<ReturnType<typeof runOnce>>} Run CPU in µs for each chunk written or delivered, or % of a core */

/** @param {Omit<import('./load.mjs').Task, 'url'>} what */
export async function runOnce({ subject, load, fan, seconds }) {
  const { streams } = shapeOf({ load })
  const { usesRedis } = subjectNamed(subject)
  const redis = await startRedis()
  /** @type {Worker[]} */
  const workers = []
  const start = async (/** @type {string} */ script) => {
    const worker = new Worker(new URL(script, import.meta.url), {
      subject,
      load,
      fan,
      seconds,
      url: redis.url,
    })
    workers.push(worker)
    await worker.answer()
    return worker
  }
  try {
    const own = (await redis.admin.clients()).length
    const publisher = await start('./publisher.mjs')
    const publisherConnections = (await redis.admin.clients()).length - own
    const reader = await start('./reader.mjs')
    if (usesRedis) await until(async () => (await redis.admin.channels()).length >= streams)
    await reader.ask('settle')

    await publisher.ask('warmUp')
    const cpus = new Cpus()
    const [server] = await Promise.all([watch(redis), reader.ask('measure')])
    const wrote = await publisher.ask('finish', seconds * 1000 + 30_000)
    const machinePercent = cpus.percent()
    const [{ redisPercent, commands }, read] = await Promise.all([server.end(), reader.ask('freeze')])
    const connections = (await redis.admin.clients()).length - own
    const [judged] = await Promise.all([
      reader.ask('judge', GRACE_MS + 10_000),
      publisher.ask('end', GRACE_MS + 10_000),
    ])

    const publisherPercent = wrote.processUs / wrote.wallMs / 10
    const readerPercent = read.processUs / read.wallMs / 10
    const deliveries = wrote.written * fan
    return {
      p50: judged.p50,
      p99: judged.p99,
      p999: judged.p999,
      publisherUs: wrote.mainUs / wrote.written,
      // Where nothing is sent (the floor), divided by what would have been.
      readerUs: read.mainUs / (usesRedis ? read.received : deliveries),
      publisherPercent,
      readerPercent,
      redisPercent,
      // What was not the run's: a busy machine shows in the latencies first.
      othersPercent: Math.max(0, machinePercent - publisherPercent - readerPercent - redisPercent),
      written: wrote.written,
      backlog: wrote.backlog,
      readers: judged.readers,
      complete: judged.complete,
      gaps: judged.gaps,
      duplicates: judged.duplicates,
      errors: judged.errors,
      publisherConnections,
      readerConnections: connections - publisherConnections,
      commands: Object.fromEntries(
        Object.entries(commands).map(([name, calls]) => [name, Number((calls / wrote.written).toFixed(3))]),
      ),
    }
  } finally {
    for (const worker of workers) worker.kill()
    await redis.close()
  }
}

/** What the server does from now on. @param {import('../../__test__/support/redis-server.mjs').RedisServer} redis */
async function watch({ admin }) {
  const cpuMs = async () => {
    const { used_cpu_sys, used_cpu_user } = await admin.info('cpu')
    return (Number(used_cpu_sys) + Number(used_cpu_user)) * 1000
  }
  await admin.cmd('CONFIG', 'RESETSTAT')
  const cpu = await cpuMs()
  const time = performance.now()
  return {
    async end() {
      const redisPercent = (100 * ((await cpuMs()) - cpu)) / (performance.now() - time)
      return { redisPercent, commands: callsByCommand(await admin.info('commandstats')) }
    },
  }
}

/** Calls by clients and by scripts, this watcher's own left out. @param {Record<string, string>} commandstats */
function callsByCommand(commandstats) {
  /** @type {Record<string, number>} */
  const calls = {}
  for (const [key, value] of Object.entries(commandstats)) {
    const name = key.slice('cmdstat_'.length)
    if (/^(info|config\|resetstat|client\|list|pubsub\|channels)$/.test(name)) continue
    calls[name] = Number(/calls=(\d+)/.exec(value)?.[1])
  }
  return calls
}
