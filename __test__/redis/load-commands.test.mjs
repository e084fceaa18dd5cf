// G9: what Redis is asked to do for a load of paced streams.

import assert from 'node:assert/strict'
import { openEngine, openRedis, test } from '../support/fault-scene.mjs'
import { startReaders, Writing } from '../support/fault-work.mjs'
import { createRandom } from '../support/seed.mjs'
import { deadline, until } from '../support/wait.mjs'

const STREAMS = Array.from({ length: 20 }, (_, index) => `paced-${index}`)
const EVERY_MS = 20
const SECONDS = 5

/** Commands that block their connection, that look at every key, or that have no bound. */
const FORBIDDEN =
  /^(keys|scan|blpop|brpop|blmove|brpoplpush|blmpop|bzpopmin|bzpopmax|bzmpop|wait|waitaof|smembers|flushall|flushdb)$/

test(`G9: ${STREAMS.length} streams of ${1000 / EVERY_MS} chunks a second, with a reader each`, async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url })
  const random = createRandom()
  const readers = startReaders(engine, STREAMS, { each: 1, name: 'reader ', random, stay: null })
  const producers = await Promise.all(STREAMS.map((id) => engine.produce(id)))
  const writings = producers.map((producer) => new Writing(producer, { random, everyMs: EVERY_MS }))
  await Promise.all(writings.map((writing) => writing.append()))

  /** @type {Map<string, number>} */
  const sent = new Map()
  /** @type {string[][]} */
  const unbounded = []
  const endMonitor = await redis.admin.monitor(({ source, args }) => {
    const [name = ''] = args.map((arg) => arg.toLowerCase())
    const words = args.map((arg) => arg.toUpperCase())
    const blocks = /^x?read(group)?$/.test(name) && words.includes('BLOCK')
    const range = /^x(rev)?range$/.test(name) && !words.includes('COUNT')
    if (FORBIDDEN.test(name) || blocks || range) unbounded.push(args)
    if (source !== 'lua') sent.set(name, (sent.get(name) ?? 0) + 1)
  })
  const before = writings.reduce((sum, { accepted }) => sum + accepted, 0)
  const begin = performance.now()
  for (const writing of writings) writing.start()
  await until(() => performance.now() - begin >= SECONDS * 1_000)
  await Promise.all(writings.map((writing) => writing.settle()))
  endMonitor()
  const chunks = writings.reduce((sum, { accepted }) => sum + accepted, 0) - before
  const commands = [...sent.values()].reduce((sum, count) => sum + count, 0)
  const each = commands / chunks
  t.diagnostic(`${each.toFixed(3)} commands per chunk (${commands} for ${chunks}): ${[...sent].join(', ')}`)
  assert.ok(chunks > 0.8 * STREAMS.length * (1000 / EVERY_MS) * SECONDS, `${chunks} chunks`)
  assert.ok(each <= 1.2, `${each} commands per chunk`)
  assert.ok(each > 0.05, 'the monitor saw the commands')
  assert.deepEqual(unbounded, [])

  await Promise.all(writings.map((writing) => writing.finish()))
  const ends = [...readers.values()].flat().map(({ done }) => done)
  assert.deepEqual(await deadline(Promise.all(ends), 10_000, 'every reader ends'), Array(20).fill('complete'))
})
