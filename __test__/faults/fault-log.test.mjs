// Writers of a log die in the middle of an append and come back, and Redis goes away: every append is there once.

import assert from 'node:assert/strict'
import { startChild } from '../support/child.mjs'
import { openEngine, openRedis, test } from '../support/fault-scene.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { deadline, until } from '../support/wait.mjs'

const NAMES = ['anna', 'ben', 'carl']
const ROUNDS = 4
const script = new URL('../children/log-writer.mjs', import.meta.url)

/** @param {import('tidemark').ChunkData} data */
const first = (data) =>
  Buffer.from(data)
    .subarray(0, 32)
    .toString()
    .replace(/[ .]+$/, '')

/** Reads a log to its end. @param {import('tidemark').Log} log @param {string} name */
function startReader(log, name) {
  /** @type {{ seq: number, data: string }[]} */
  const chunks = []
  const done = (async () => {
    for await (const { seq, data } of log.read()) chunks.push({ seq, data: first(data) })
    return { name, chunks, outcome: 'complete' }
  })()
  done.catch(() => {})
  return { chunks, done: () => deadline(done, 30_000, `${name} ends`) }
}

test('G1 G3 writers are killed in the middle of an append and others go on for them', async (t) => {
  const redis = await openRedis(t, { aof: true })
  const random = createRandom(1)
  const engine = openEngine(t, { url: redis.url })
  const log = engine.log('killed')
  await log.create()
  const readers = [
    startReader(log, 'here'),
    startReader(openEngine(t, { url: redis.url }).log('killed'), 'there'),
  ]
  const options = { url: redis.url, keyPrefix: engine.toJSON().keyPrefix }
  const written = await Promise.all(
    NAMES.map(async (name) => {
      let next = 0
      for (let round = 0; round < ROUNDS; round++) {
        const work = { streamId: 'killed', options, name, from: next, large: 2 << 20 }
        const child = startChild(script, { env: { WORK: JSON.stringify(work) } })
        const enough = next + random.int(3, 20)
        await until(
          () => {
            for (const { seq } of child.messages.splice(0)) next = seq + 1
            return next >= enough || child.ended
          },
          { timeout: 30_000, interval: 1, message: () => child.output },
        )
        assert.equal(child.ended, undefined, child.output)
        await child.kill('SIGKILL')
        for (const { seq } of child.messages.splice(0)) next = seq + 1
      }
      // What was under way when it died may have been written: its number says so.
      const last = await log.append([`${name} ${next}`], { producer: { id: name, epoch: 0, seq: next } })
      return { name, count: next + 1, isDuplicate: last.isDuplicate }
    }),
  )
  await log.close()
  t.diagnostic(JSON.stringify(written))
  checkHistory({
    written: written.flatMap(({ name, count }) =>
      Array.from({ length: count }, (_, seq) => ({ data: `${name} ${seq}`, producer: name })),
    ),
    readers: await Promise.all(readers.map((reader) => reader.done())),
  })
})

for (const signal of /** @type {const} */ (['SIGTERM', 'SIGKILL'])) {
  test(`G1 G2 G3 Redis goes away by ${signal} and comes back with its data while engines append`, async (t) => {
    const redis = await openRedis(t, { aof: true })
    const random = createRandom(2)
    const engines = NAMES.map(() => openEngine(t, { url: redis.url, connectTimeout: '20s' }))
    const logs = engines.map((engine) => engine.log('away'))
    const [one] = logs
    assert.ok(one)
    await one.create()
    const readers = logs.map((log, index) => startReader(log, `reader ${index}`))
    let isOver = false
    const writing = logs.map(async (log, index) => {
      const name = /** @type {string} */ (NAMES[index])
      let seq = 0
      for (; !isOver; seq++) {
        // Two at once: their order is that of the calls.
        const both = [log.append([`${name} ${seq}`]), log.append([`${name} ${++seq}`])]
        await Promise.all(both)
      }
      return { name, count: seq }
    })
    for (let round = 0; round < 2; round++) {
      const before = readers.map(({ chunks }) => chunks.length)
      const more = random.int(20, 60)
      await until(() => readers.every(({ chunks }, index) => chunks.length >= (before[index] ?? 0) + more))
      await redis.stop(signal)
      await redis.start()
    }
    const before = readers.map(({ chunks }) => chunks.length)
    await until(() => readers.every(({ chunks }, index) => chunks.length > (before[index] ?? 0)), {
      timeout: 20_000,
    })
    isOver = true
    const written = await Promise.all(writing)
    await one.close()
    checkHistory({
      written: written.flatMap(({ name, count }) =>
        Array.from({ length: count }, (_, seq) => ({ data: `${name} ${seq}`, producer: name })),
      ),
      readers: await Promise.all(readers.map((reader) => reader.done())),
    })
  })
}
