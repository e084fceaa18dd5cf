// Writers of a log die in the middle of an append and come back, and Redis goes away: every append is there once.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { durableStreams } from 'tidemark/durable-streams'
import { startChild } from '../support/child.mjs'
import { openEngine, openRedis, test } from '../support/fault-scene.mjs'
import { checkHistory } from '../support/history.mjs'
import { getMore, startWriters, written } from '../support/log-writers.mjs'
import { createRandom } from '../support/seed.mjs'
import { deadline, until } from '../support/wait.mjs'

const NAMES = ['anna', 'ben', 'carl']
const ROUNDS = 4
const script = new URL('../children/log-writer.mjs', import.meta.url)
const forker = new URL('../children/log-forker.mjs', import.meta.url)

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
  return { count: () => chunks.length, done: () => deadline(done, 30_000, `${name} ends`) }
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
  const writers = await Promise.all(
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
  t.diagnostic(JSON.stringify(writers))
  checkHistory({
    written: written(writers),
    readers: await Promise.all(readers.map((reader) => reader.done())),
  })
})

test('G1 G3 whoever forks a log is killed in the middle: the fork is there as a whole, or not at all', async (t) => {
  const redis = await openRedis(t)
  const random = createRandom(3)
  const engine = openEngine(t, { url: redis.url })
  const source = engine.log('forked')
  const texts = Array.from({ length: 40 }, (_, index) => `${index}`)
  for (const text of texts)
    await source.append([Buffer.concat([Buffer.from(text.padEnd(2)), randomBytes(100_000)])])
  await source.append([Buffer.alloc(3 << 20)])
  const options = { url: redis.url, keyPrefix: engine.toJSON().keyPrefix }
  const whole = async (/** @type {string} */ name) => {
    const found = []
    for (let from = 'start', isOver = false; !isOver; ) {
      const page = await engine.log(name).page({ from })
      found.push(...page.chunks.map(({ data }) => Buffer.from(data).toString('latin1', 0, 2).trim()))
      from = page.next
      isOver = page.upToDate
    }
    assert.deepEqual(found.slice(0, 40), texts)
    assert.equal(found.length, 41)
  }
  let next = 0
  let halves = 0
  for (let round = 0; round < 6; round++) {
    const work = { source: 'forked', options, from: next }
    const child = startChild(forker, { env: { WORK: JSON.stringify(work) } })
    await until(() => child.messages.length >= 1 + (round % 3), {
      timeout: 30_000,
      interval: 1,
      message: () => child.output,
    })
    await sleep(random.int(0, 25))
    await child.kill('SIGKILL')
    const begun = child.messages.filter(({ type }) => type === 'begun').map(({ number }) => number)
    const made = child.messages.filter(({ type }) => type === 'made').map(({ number }) => number)
    for (const number of begun) {
      const status = await engine.log(`forked ${number}`).status()
      if (made.includes(number) || status !== null) await whole(`forked ${number}`)
      else {
        halves++
        assert.equal((await engine.log(`forked ${number}`).createFrom('forked')).isNew, true)
        await whole(`forked ${number}`)
      }
      next = number + 1
    }
  }
  t.diagnostic(`${next} forks, ${halves} of them broken off`)
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
    const writing = startWriters(logs, NAMES, 2)
    for (let round = 0; round < 2; round++) {
      await getMore(readers, random.int(20, 60))
      await redis.stop(signal)
      await redis.start()
    }
    await getMore(readers, 1)
    const writers = await writing.end()
    await one.close()
    checkHistory({
      written: written(writers),
      readers: await Promise.all(readers.map((reader) => reader.done())),
    })
  })
}

test('G1: a page of a log says what is gone, and where it goes on', async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url, compression: false })
  const log = engine.log('holed')
  /** @type {string[]} */
  const cursors = []
  for (const text of ['1', '2', '3', '4', '5']) cursors.push(...(await log.append([text])).cursors)
  await redis.admin.cmd('XDEL', '{tidemark:holed}:log', '1-2', '1-3')
  const before = await log.page()
  assert.deepEqual(
    before.chunks.map((chunk) => chunk.text()),
    ['1'],
  )
  assert.equal(before.upToDate, false)
  const gap = await log.page({ from: before.next }).catch((error) => error)
  assert.deepEqual([gap.code, gap.resume], ['ERR_GAP', cursors[2]])
  const after = await log.page({ from: gap.resume })
  assert.deepEqual(
    after.chunks.map((chunk) => chunk.text()),
    ['4', '5'],
  )

  await redis.admin.cmd('XDEL', '{tidemark:holed}:log', '1-5')
  const short = await log.page({ from: gap.resume })
  assert.deepEqual([short.chunks.map((chunk) => chunk.text()), short.upToDate], [['4'], false])
  const end = await log.page({ from: short.next }).catch((error) => error)
  assert.deepEqual([end.code, end.resume], ['ERR_GAP', cursors[4]])
  const nothing = await log.page({ from: end.resume })
  assert.deepEqual([nothing.chunks.length, nothing.upToDate], [0, true])
})

/**
 * A log of five chunks, of which Redis loses the last two when it is set back.
 * @param {import('node:test').TestContext} t
 * @param {(reader: import('tidemark').Engine) => unknown} [look] what happens before they are written
 */
async function setBack(t, look) {
  const redis = await openRedis(t)
  const parts = ['meta', 'log', 'writers', ...(look ? ['groups', 'work:workers'] : [])]
  const keys = parts.map((part) => `{tidemark:back}:${part}`)
  const [writer, reader, stranger] = [1, 2, 3].map(() => openEngine(t, { url: redis.url }))
  assert.ok(writer && reader && stranger)
  const log = writer.log('back', { contentType: 'text/plain' })
  const { cursors } = await log.append(['1', '2', '3'])
  await look?.(reader)
  for (const key of keys) await redis.admin.cmd('COPY', key, `${key}-then`)
  cursors.push(...(await log.append(['4', '5'])).cursors)
  return {
    redis,
    reader,
    /** An engine that has not seen what is lost. */
    stranger,
    cursors,
    back: async () => {
      const all = "for _, key in ipairs(KEYS) do redis.call('COPY', key .. '-then', key, 'REPLACE') end"
      await redis.admin.cmd('EVAL', all, String(keys.length), ...keys)
    },
  }
}

/** @param {Promise<unknown>} promise @param {string} what */
const failure = (promise, what) =>
  deadline(
    promise.then(
      () => assert.fail(`${what}: no error`),
      (error) => error,
    ),
    20_000,
    what,
  )

test('G1: a log ends before a cursor, since Redis was set back: a page, a reader and whoever has read on are told', async (t) => {
  const { reader, stranger, cursors, back } = await setBack(t)
  const [, , third, , fifth] = cursors
  const log = reader.log('back')
  const live = log.read()
  for (const text of ['1', '2', '3', '4', '5']) assert.equal((await live.next()).value?.text(), text)
  const behind = log.read({ from: third })[Symbol.asyncIterator]()
  await behind.next()
  await behind.next()
  await reader.ack('back', 'worker', String(fifth))
  await back()
  const told = Object.entries({
    'a page': log.page({ from: fifth }),
    'a reader': stranger.log('back').read({ from: fifth }).next(),
    'who has read on': live.next(),
    'another one': behind.next(),
  }).map(async ([what, reading]) => {
    const { code, resume } = await failure(reading, what)
    assert.deepEqual([code, resume], ['ERR_GAP', third], what)
  })
  await Promise.all(told)
  const worker = stranger.subscribe('back', { consumer: 'worker' }).next()
  assert.equal((await failure(worker, 'a consumer')).code, 'ERR_GAP')
  // Event streams say so and begin anew, also one that joins chunks, for which it reads once more what was seen.
  for (const format of /** @type {const} */ (['events', 'ui-messages'])) {
    const request = new Request('http://streams.test', { headers: { 'last-event-id': String(fifth) } })
    const body = (await stranger.respond(request, 'back', { format })).body?.pipeThrough(
      new TextDecoderStream(),
    )
    let text = ''
    const reading = async () => {
      for await (const part of body ?? []) {
        text += part
        if (/: reset\n.*data: 3\n/s.test(text)) return
      }
    }
    await deadline(reading(), 20_000, `${format} begins anew`).catch(() => assert.fail(`${format}: ${text}`))
  }
  // What is written there now is another chunk under a seq that was read: nobody goes on as if it were the same.
  await stranger.log('back').append(['another 4'])
  const { chunks } = await log.page({ from: third })
  assert.deepEqual(
    chunks.map((chunk) => chunk.text()),
    ['another 4'],
  )
  assert.equal((await failure(log.page({ from: fifth }), 'a page')).code, 'ERR_GAP')
  // An index is no cursor: nothing was read there.
  const beyond = await log.page({ from: 9 })
  assert.deepEqual([beyond.chunks.length, beyond.upToDate], [0, true])
  assert.deepEqual((await log.page({ from: beyond.next })).chunks, [], 'the cursor after it is the end')
})

test('G1: a group whose log was set back is told, and goes on with what comes then', async (t) => {
  /** @type {import('tidemark').Consumption | undefined} */
  let consumption
  const options = { group: 'workers', consumer: 'a', batch: 1 }
  const { reader, stranger, cursors, back } = await setBack(t, async (reader) => {
    consumption = reader.consume('back', options)
    for (const text of ['1', '2', '3']) {
      const { value } = await consumption.next()
      assert.equal(value?.text(), text)
      await value?.ack()
    }
  })
  assert.ok(consumption)
  // One is done, the other one is not.
  const { value: done } = await consumption.next()
  await done?.ack()
  assert.equal((await consumption.next()).value?.text(), '5')
  const told = failure(consumption.next(), 'the group')
  await back()
  const { code, resume } = await told
  assert.deepEqual([code, resume], ['ERR_GAP', cursors[2]])
  const others = ['another 4', 'another 5']
  await stranger.log('back').append(others, { close: true })
  const got = []
  for await (const item of reader.consume('back', options)) {
    got.push(item.text())
    await item.ack()
  }
  assert.deepEqual(got, others)
})

test('G1: what a group was given and its log has lost resolves no other chunk', async (t) => {
  /** @type {import('tidemark').Consumption | undefined} */
  let consumption
  const { reader, stranger, cursors, back } = await setBack(t, async (reader) => {
    consumption = reader.consume('back', { group: 'workers', consumer: 'a' })
    for (let i = 0; i < 3; i++) await (await consumption.next()).value?.ack()
  })
  assert.ok(consumption)
  const witness = reader.log('back').read({ from: cursors[2] })[Symbol.asyncIterator]()
  await witness.next()
  await witness.next()
  // The rest of its batch waits in the loop.
  const { value: fourth } = await consumption.next()
  assert.equal(fourth?.text(), '4')
  const told = failure(witness.next(), 'a reader')
  await back()
  assert.equal((await told).code, 'ERR_GAP')
  const others = ['another 4', 'another 5']
  await stranger.log('back').append(others, { close: true })
  const group = { group: 'workers', claimIdleMs: 1 }
  const other = stranger.consume('back', { ...group, consumer: 'b' })
  for (const text of others) assert.equal((await other.next()).value?.text(), text)
  await fourth.ack()
  const { value: fifth } = await consumption.next()
  assert.equal(fifth?.text(), '5')
  const { code, resume } = await failure(consumption.next(), 'the group')
  assert.deepEqual([code, resume], ['ERR_GAP', cursors[2]])
  await fifth.ack()
  // The other one has done nothing with what it got, which comes again.
  const got = []
  for await (const item of stranger.consume('back', { ...group, consumer: 'c' })) {
    got.push(item.text())
    await item.ack()
  }
  assert.deepEqual(got, others)
})

test('G1: over HTTP, an offset that Redis has lost is 410, for those who wait as well; so is one of a log that began anew', async (t) => {
  const { redis, reader, stranger, back } = await setBack(t)
  const handle = durableStreams({ engine: reader, authorize: () => true, longPollMs: 60_000 })
  const get = (/** @type {string} */ query) =>
    handle(new Request(`http://streams.test/v1/stream/back?${query}`))
  const offset = String((await get('offset=-1')).headers.get('stream-next-offset'))
  const waits = async () => {
    const polls = [1, 2].map(() => get(`offset=${offset}&live=long-poll`))
    await until(() => reader.metrics().readers === 1)
    return async () => {
      for (const { status } of await deadline(Promise.all(polls), 20_000, 'an answer'))
        assert.equal(status, 410)
      for (const live of ['', '&live=long-poll', '&live=sse'])
        assert.equal((await deadline(get(`offset=${offset}${live}`), 20_000, live)).status, 410, live)
    }
  }
  const refused = await waits()
  await back()
  await refused()
  await stranger.log('back').append(['4', '5'])
  const again = await waits()
  await redis.admin.cmd('FLUSHALL')
  await stranger.log('back').append(['1', '2', '3', '4', '5', '6'])
  await again()
})
