// What many quiet streams cost: one process with a producer for each, one with a reader for each, and Redis, without other load.
//
// node bench/idle/run.mjs [--streams 10000] [--seconds 30] [--rate 0] [--lease 10000] [--package PATH]...
//   --rate     chunks a second of each stream, in turns
//   --package  a built checkout, this one by default; several are measured one after the other, in each round
//   --rounds   how often
//
// Prints for each: % of a core of the producers' process, the readers' process and Redis, and Redis' commands per second.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { reap } from '../../__test__/support/reaper.mjs'
import { startRedis } from '../../__test__/support/redis-server.mjs'

const TURN_MS = 50

/** @typedef {{ role: 'producers' | 'readers', root: string, url: string, streams: number, rate: number, lease: number }} Task */

/** @param {Task} task */
async function work({ role, root, url, streams, rate, lease }) {
  const { createEngine } = await import(new URL('dist/index.js', pathToFileURL(`${root}/`)).href)
  const engine = createEngine({ url, lease })
  const ids = Array.from({ length: streams }, (_, index) => `idle-${index}`)
  if (role === 'readers') {
    let seen = 0
    for (const id of ids) {
      const follow = async () => {
        for await (const _ of engine.subscribe(id)) if (++seen === streams) process.send?.('ready')
      }
      follow().catch(() => process.send?.('lost'))
    }
  } else {
    /** @type {import('tidemark').Producer[]} */
    const producers = []
    for (const id of ids) {
      producers.push(await engine.produce(id))
      producers.at(-1)?.write('first')
    }
    process.send?.('ready')
    let turn = 0
    const turns = rate ? Math.round(1000 / rate / TURN_MS) : 0
    if (turns)
      setInterval(() => {
        for (let index = turn++ % turns; index < streams; index += turns) producers[index]?.write('chunk')
      }, TURN_MS)
  }
  process.on('message', () => process.send?.(process.cpuUsage()))
}

/** @param {Task} task */
async function start(task) {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(task)])
  reap(child)
  await once(child, 'message')
  return {
    async cpu() {
      child.send('cpu')
      const [{ user, system }] = await once(child, 'message')
      return user + system
    },
    end: () => child.kill('SIGKILL'),
  }
}

/** @param {Omit<Task, 'role' | 'url'> & { seconds: number }} what */
async function measure({ seconds, ...what }) {
  const redis = await startRedis()
  const producers = await start({ ...what, role: 'producers', url: redis.url })
  const readers = await start({ ...what, role: 'readers', url: redis.url })
  const look = async () => {
    const cpu = await redis.admin.info('cpu')
    const stats = await redis.admin.info('commandstats')
    const calls = Object.entries(stats).map(([name, text]) => [
      name.replace('cmdstat_', ''),
      Number(/calls=(\d+)/.exec(String(text))?.[1] ?? 0),
    ])
    return {
      redis: (Number(cpu.used_cpu_user) + Number(cpu.used_cpu_sys)) * 1e6,
      producers: await producers.cpu(),
      readers: await readers.cpu(),
      calls: /** @type {Record<string, number>} */ (Object.fromEntries(calls)),
      at: performance.now(),
    }
  }
  try {
    // By now the work of the start is done, and leases are renewed at their usual pace.
    await sleep(2 * what.lease)
    const before = await look()
    await sleep(seconds * 1000)
    const after = await look()
    const time = after.at - before.at
    const share = (/** @type {'redis' | 'producers' | 'readers'} */ part) =>
      Number(((after[part] - before[part]) / time / 10).toFixed(2))
    const asked = Object.entries(after.calls)
      .map(([name, calls]) => [name, Math.round(((calls - (before.calls[name] ?? 0)) / time) * 1e3)])
      .filter(([, calls]) => Number(calls) > 0)
      .sort(([, one], [, other]) => Number(other) - Number(one))
    return {
      redis: share('redis'),
      producers: share('producers'),
      readers: share('readers'),
      'a second': asked.map(([name, calls]) => `${name} ${calls}`).join(', '),
    }
  } finally {
    producers.end()
    readers.end()
    await redis.close?.()
  }
}

if (process.send) {
  await work(JSON.parse(process.argv[2] ?? '{}'))
} else {
  const { values } = parseArgs({
    options: {
      streams: { type: 'string', default: '10000' },
      seconds: { type: 'string', default: '30' },
      rate: { type: 'string', default: '0' },
      lease: { type: 'string', default: '10000' },
      rounds: { type: 'string', default: '1' },
      package: {
        type: 'string',
        multiple: true,
        default: [fileURLToPath(new URL('../..', import.meta.url))],
      },
    },
  })
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const root of values.package) {
      const numbers = {
        streams: Number(values.streams),
        rate: Number(values.rate),
        lease: Number(values.lease),
      }
      console.log(root, await measure({ ...numbers, root, seconds: Number(values.seconds) }))
    }
  }
  process.exit()
}
