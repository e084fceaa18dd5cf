// Many streams among many other keys, and how long Redis was busy with any one command.

import { constants, setPriority } from 'node:os'
import { texts } from './streams.mjs'

/** Streams that are produced at the same time. */
const AT_ONCE = 500
/** The number of keys that one script creates. */
const KEYS_AT_ONCE = 5_000

const POPULATE = `for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  redis.call('SET', ARGV[1] .. i, 'not yours')
end`

/**
 * Creates keys that are not Tidemark's.
 * @param {import('./redis-server.mjs').RedisServer} redis
 * @param {number} count
 * @param {string} prefix
 */
export async function populate(redis, count, prefix) {
  for (let at = 0; at < count; at += KEYS_AT_ONCE) {
    await redis.admin.cmd('EVAL', POPULATE, 0, prefix, at, Math.min(at + KEYS_AT_ONCE, count) - 1)
  }
}

/**
 * Produces finished streams, `stream 1` …, with three chunks each.
 * @param {import('tidemark').Engine} engine
 * @param {number} count
 */
export async function produceMany(engine, count) {
  const names = texts(count, 'stream').map((name) => name.trim())
  for (let at = 0; at < count; at += AT_ONCE) {
    await Promise.all(
      names.slice(at, at + AT_ONCE).map(async (name) => {
        const producer = await engine.produce(name)
        for (const text of texts(3)) producer.write(text)
        await producer.complete()
      }),
    )
  }
  return names
}

/**
 * Lets the server go first. The clock of a command also runs while the machine does something else: without this, the
 * longest of 100,000 commands tells how busy the machine is.
 * @param {import('./redis-server.mjs').RedisServer} redis
 */
function prefer(redis) {
  try {
    setPriority(redis.pid, constants.priority.PRIORITY_HIGHEST)
  } catch {
    // Not allowed here: the measurement will be noisier.
  }
}

/**
 * Runs scripts that do next to nothing: the longest of them tells what the machine adds to a command.
 * @param {import('./redis-server.mjs').RedisServer} redis
 * @param {number} count
 */
export async function runTrivial(redis, count) {
  for (let at = 0; at < count; at += 100) {
    await Promise.all(Array.from({ length: 100 }, () => redis.admin.cmd('EVAL', 'return 1', 0)))
  }
}

/**
 * Does something, and says how long it took and which command kept Redis busiest meanwhile.
 * @template T
 * @param {import('./redis-server.mjs').RedisServer} redis
 * @param {() => Promise<T>} work
 */
export async function timed(redis, work) {
  prefer(redis)
  // Microseconds; what is shorter is not written down, so that the log itself stays small.
  await redis.admin.cmd('CONFIG', 'SET', 'slowlog-log-slower-than', 300, 'slowlog-max-len', 100_000)
  await redis.admin.cmd('SLOWLOG', 'RESET')
  const begin = performance.now()
  const result = await work()
  const ms = performance.now() - begin
  const log = await redis.admin.cmd('SLOWLOG', 'GET', 100_000)
  const slowest = log.reduce(
    (/** @type {{ ms: number }} */ worst, /** @type {any[]} */ [, , microseconds, [name, argument]]) =>
      microseconds / 1_000 > worst.ms ? { ms: microseconds / 1_000, command: `${name} ${argument}` } : worst,
    { ms: 0, command: 'none above 0.3 ms' },
  )
  return { result, ms, slowest: /** @type {{ ms: number, command: string }} */ (slowest) }
}
