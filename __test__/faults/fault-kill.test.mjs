// Every connection of every process is killed, again and again, while chunks flow.

import assert from 'node:assert/strict'
import { checkWritings, openEngine, openRedis, openRemote, test } from '../support/fault-scene.mjs'
import { histories, startReaders, Writing } from '../support/fault-work.mjs'
import { createRandom } from '../support/seed.mjs'
import { until } from '../support/wait.mjs'

const STREAMS = Array.from({ length: 10 }, (_, index) => `kill-${index}`)
const EVERY_MS = 20
const KILL_EVERY_MS = 200
const KILLING_MS = 20_000

test(`G1 G2 G3: all connections are killed every ${KILL_EVERY_MS} ms for ${KILLING_MS / 1000} s`, async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url })
  const remote = await openRemote(t, { url: redis.url })
  remote.read(STREAMS, { each: 3, salt: 1 })
  const random = createRandom()
  const local = startReaders(engine, STREAMS, { each: 1, name: 'local ', random })
  const producers = await Promise.all(STREAMS.map((id) => engine.produce(id)))
  const writings = producers.map((producer) => new Writing(producer, { random, everyMs: EVERY_MS }).start())

  let killed = 0
  const begin = performance.now()
  for (let round = 1; performance.now() - begin < KILLING_MS; round++) {
    for (const type of ['normal', 'pubsub']) killed += await redis.admin.cmd('CLIENT', 'KILL', 'TYPE', type)
    await until(() => performance.now() - begin >= round * KILL_EVERY_MS)
  }
  await Promise.all(writings.map((writing) => writing.finish()))
  const parts = await Promise.all([histories(local, 15_000), remote.finish()])

  const written = writings.reduce((sum, writing) => sum + writing.written.length, 0)
  t.diagnostic(`${killed} connections killed, ${written} chunks`)
  assert.ok(killed > KILLING_MS / KILL_EVERY_MS, `${killed} connections were killed`)
  assert.ok(written > (0.8 * STREAMS.length * KILLING_MS) / EVERY_MS, `${written} chunks were written`)
  await checkWritings(engine, writings, ...parts)
})
