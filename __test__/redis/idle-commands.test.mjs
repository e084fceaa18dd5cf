// G9: a process that has nothing to do asks Redis for next to nothing, and hears of news all the same.

import assert from 'node:assert/strict'
import { openEngine, openRedis, test } from '../support/fault-scene.mjs'
import { startRemote } from '../support/remote.mjs'
import { deadline, until } from '../support/wait.mjs'

/** Until then the last answer may have something left to be done for it … */
const REST_MS = 6_000
/** … and for so long after it the process is watched. */
const IDLE_MS = 24_000

/**
 * The queue of finished generations, worked at in the background.
 * @param {import('tidemark').Engine} engine
 */
function saved(engine) {
  /** @type {{ streamId: string, outcome: string, at: number }[]} */
  const found = []
  const work = async () => {
    for await (const generation of engine.finished({ group: 'database', consumer: 'one' })) {
      await generation.ack()
      const { streamId, outcome } = generation
      found.push({ streamId, outcome, at: performance.now() })
    }
  }
  work().catch(() => {})
  return found
}

test('G9: an idle process that waits for finished answers sends at most 10 commands a minute', async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url })
  const found = saved(engine)
  const answer = async (/** @type {string} */ id) => {
    const producer = await engine.produce(id)
    await producer.append('1')
    await producer.complete()
    return performance.now()
  }
  // The queue begins with the first question; the first answer may be before it.
  await until(async () => {
    await answer('first')
    return found.length > 0
  })
  /** @type {string[]} */
  const sent = []
  const end = await redis.admin.monitor(({ source, args }) => {
    if (source !== 'lua') sent.push(args[0]?.toLowerCase() ?? '')
  })
  const since = performance.now()
  await until(() => performance.now() - since > REST_MS)
  assert.ok(sent.length <= 6, `right after an answer: ${sent.join(', ')}`)
  sent.length = 0
  await until(() => performance.now() - since > REST_MS + IDLE_MS, { timeout: 2 * IDLE_MS })
  end()
  const aMinute = (sent.length * 60_000) / IDLE_MS
  t.diagnostic(`${aMinute} commands a minute: ${sent.join(', ')}`)
  assert.ok(aMinute <= 10, `${aMinute} commands a minute: ${sent.join(', ')}`)

  // It is asleep, and told of what happens at once.
  const ended = await answer('second')
  await until(() => found.at(-1)?.streamId === 'second')
  const took = /** @type {number} */ (found.at(-1)?.at) - ended
  assert.ok(took < 1_000, `told after ${took} ms`)
})

test('G5 G9: the answer of a killed server is told to one that was asleep, within lease and a few seconds', async (t) => {
  const redis = await openRedis(t)
  const lease = 2_000
  const engine = openEngine(t, { url: redis.url, lease })
  const found = saved(engine)
  // Nothing was ever open, so it looks once a minute.
  await until(async () => (await redis.admin.cmd('EXISTS', 'tidemark:{finished}:queue')) === 1)
  const victim = await startRemote(t, { url: redis.url, lease })
  await victim.ask('produce', { streamId: 'killed' })
  await victim.ask('write', { streamId: 'killed', chunks: ['1'] })
  await victim.kill()
  const told = until(() => found.length === 1, { timeout: 20_000 })
  await deadline(told, lease + 10_000, 'the end is told')
  assert.deepEqual([found[0]?.streamId, found[0]?.outcome], ['killed', 'interrupted'])
})
