// Logs: anybody appends, anybody closes, nothing interrupts (`engine.log`).

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { freePort } from '../support/free-port.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** Reads a log to its end in the background. @param {import('tidemark').Log} log @param {import('tidemark').LogReadOptions} [options] */
function following(log, options) {
  /** @type {string[]} */
  const seen = []
  const done = (async () => {
    for await (const chunk of log.read(options)) seen.push(chunk.text())
  })()
  done.catch(() => {})
  return { seen, done: () => deadline(done, 20_000, 'the log ends') }
}

/** @param {import('tidemark').LogPage} page */
const texts = ({ chunks }) => chunks.map((chunk) => chunk.text())

eachStore('a log', (store) => {
  const open = useEngines(store)

  test('G1 G2 several engines append, one of them closes, and everybody sees the same', async () => {
    const engines = [open(), open(), open()]
    const [first] = engines
    assert.ok(first)
    const reader = following(open().log('crowd'))
    const appends = engines.flatMap((engine, index) =>
      Array.from({ length: 50 }, (_, number) => engine.log('crowd').append([`${index} ${number}`])),
    )
    const done = await Promise.all(appends)
    const cursors = done.flatMap((each) => each.cursors)
    assert.equal(new Set(cursors).size, 150)
    assert.equal(done.filter(({ isNew }) => isNew).length, 1)
    const [one, two] = await Promise.all([first.log('crowd').close(), open().log('crowd').close()])
    assert.equal(one.next, two.next)
    await reader.done()
    assert.equal(reader.seen.length, 150)
    for (const index of [0, 1, 2]) {
      const own = reader.seen.filter((text) => text.startsWith(`${index} `))
      assert.deepEqual(
        own,
        Array.from({ length: 50 }, (_, number) => `${index} ${number}`),
        'in the order of the calls',
      )
    }
    assert.deepEqual(texts(await open().log('crowd').page()), reader.seen)
    await assert.rejects(first.log('crowd').append(['late']), { code: 'ERR_ENDED', streamId: 'crowd' })
  })

  test('G1 G3 of appends that go together each is checked, placed and answered for itself', async () => {
    const engine = open()
    const log = engine.log('together')
    await log.append(['first'])
    /** @type {Promise<any>[]} */
    const appends = []
    for (let number = 0; number < 200; number++) {
      const producer = { id: `p${number % 3}`, epoch: 0, seq: Math.floor(number / 3) }
      appends.push(log.append([`${number}`], { producer }))
      if (number % 10 === 5) appends.push(log.append(['again'], { producer }))
      if (number % 10 === 7) {
        const early = { ...producer, seq: producer.seq + 2 }
        appends.push(
          log.append(['early'], { producer: early }).catch(({ code, expected }) => ({ code, expected })),
        )
      }
      if (number % 50 === 49) appends.push(log.append(['x'.repeat(200_000), `large ${number}`]))
    }
    const done = await Promise.all(appends)
    const page = await log.page({ limit: 65_536, from: 1 })
    const seen = texts(page)
    for (let from = page.next, isOver = page.upToDate; !isOver; ) {
      const more = await log.page({ from })
      seen.push(...texts(more))
      from = more.next
      isOver = more.upToDate
    }
    assert.deepEqual(
      seen.filter((text) => /^\d+$/.test(text)),
      Array.from({ length: 200 }, (_, number) => `${number}`),
    )
    assert.equal(seen.length, 208)
    assert.equal(done.filter(({ isDuplicate }) => isDuplicate).length, 20)
    const early = done.filter(({ code }) => code === 'ERR_CONFLICT')
    assert.deepEqual([early.length, early[0]?.expected], [20, 3])
    // The end of the log is what it was after the append, not what it is when all are done.
    const ends = done
      .filter(({ cursors }) => cursors?.length > 0)
      .map(({ next, cursors }) => [next, cursors.at(-1)])
    for (const [next, cursor] of ends) assert.equal(next, cursor)
    assert.equal(engine.metrics().chunksIn, 209)
    await engine.log('together').delete()
    const both = await Promise.allSettled([1, 2].map(() => log.append(['x'], { mustExist: true })))
    assert.deepEqual(
      both.map((one) => one.status === 'rejected' && one.reason.code),
      ['ERR_NOT_FOUND', 'ERR_NOT_FOUND'],
    )
  })

  test('G1 what begins in one turn crosses together: each has its own chunks, its own answer, its own error', async () => {
    const engine = open()
    await engine.log('hers', { owner: 'ann' }).append(['hers'])
    const other = await engine.log('other').append(['other'])
    const bytes = new Uint8Array([0, 10, 13, 255])
    const large = 'ä'.repeat(400_000)
    const log = engine.log('turn')
    const begun = [
      log.append(['one', bytes, '', 'zwölf\n']),
      engine.log('hers').append(['not']),
      log.page(),
      log.append([large]),
      log.page({ from: String(other.next) }),
      log.close({ producer: { id: 'p\n', epoch: 0, seq: 7 } }),
      log.append([new Uint8Array(0)]),
    ]
    // The caller's bytes are its own again.
    bytes.fill(7)
    const done = await Promise.allSettled(begun)
    assert.deepEqual(
      done.map((each) => (each.status === 'fulfilled' ? 'done' : each.reason.code)),
      ['done', 'ERR_FORBIDDEN', 'done', 'done', 'ERR_GAP', 'ERR_CONFLICT', 'done'],
    )
    const { chunks } = await log.page()
    assert.deepEqual(
      chunks.map(({ data }) => data),
      ['one', new Uint8Array([0, 10, 13, 255]), '', 'zwölf\n', large].slice(0, chunks.length),
    )
    const [last] = (await log.page({ from: -1 })).chunks
    assert.deepEqual([last?.seq, last?.data], [6, new Uint8Array(0)])
  })

  test('G10 what is appended together is of one owner, and makes the same log', async () => {
    const engine = open()
    const [ann, ben] = ['ann', 'ben'].map((owner) => engine.log('owned together', { owner }))
    await ann?.append(['first'])
    const settled = await Promise.allSettled(
      [ann, ann, ben, ann, ben].map((log, index) => log?.append([`${index}`])),
    )
    const codes = settled.map((each) => (each.status === 'rejected' ? each.reason.code : each.status))
    const no = 'ERR_FORBIDDEN'
    assert.deepEqual(codes, ['fulfilled', 'fulfilled', no, 'fulfilled', no])
    assert.deepEqual(texts(await /** @type {any} */ (ann).page()), ['first', '0', '1', '3'])

    const log = engine.log('made together')
    const [first, before, made, after] = await Promise.allSettled([
      log.append(['first'], { mustExist: true }),
      log.append(['before'], { mustExist: true }),
      log.append(['made']),
      log.append(['after'], { mustExist: true }),
    ])
    for (const each of [first, before]) {
      assert.equal(each.status === 'rejected' && each.reason.code, 'ERR_NOT_FOUND')
    }
    assert.deepEqual([made.status, after.status], ['fulfilled', 'fulfilled'])
    assert.deepEqual(texts(await log.page()), ['made', 'after'])
    const all = await Promise.all([log.append(['x']), log.append(['y']), log.close()])
    assert.deepEqual(
      all.map(({ closed }) => closed),
      [false, false, true],
    )
    const page = await log.page()
    assert.deepEqual([page.closed, texts(page)], [true, ['made', 'after', 'x', 'y']])
  })

  test('what is called later comes later, however much begins before it', async () => {
    const engine = open()
    for (let round = 0; round < 20; round++) {
      const log = engine.log(`deleted ${round}`)
      await log.append(['first'])
      const begun = Array.from({ length: 40 }, (_, index) => engine.log(`many ${index}`).append(['x']))
      begun.push(log.append(['last']))
      const isGone = await log.delete()
      await Promise.all(begun)
      assert.deepEqual([isGone, await engine.status(log.streamId)], [true, null])
    }
  })

  test('a page never waits, and says where to go on and whether that is all', async () => {
    const log = open().log('pages')
    await assert.rejects(log.page(), { code: 'ERR_NOT_FOUND' })
    await log.append(['a', 'b'])
    await log.append(['c'])
    const first = await log.page({ limit: 2 })
    assert.deepEqual([texts(first), first.upToDate, first.closed], [['a', 'b'], false, false])
    const second = await log.page({ from: first.next })
    assert.deepEqual([texts(second), second.upToDate, second.closed], [['c'], true, false])
    const third = await log.page({ from: second.next })
    assert.deepEqual([texts(third), third.upToDate, third.next], [[], true, second.next])
    await log.close()
    const last = await log.page({ from: second.next })
    assert.deepEqual([last.closed, last.outcome], [true, 'complete'])
    assert.equal((await log.page({ limit: 2 })).closed, false, 'not before its end')
    const other = open().log('pages 2')
    const { next } = await other.append(['x'])
    await assert.rejects(log.page({ from: next }), { code: 'ERR_GAP' })
  })

  test('chunks are found by their index, from either end', async () => {
    const log = open().log('indexes')
    await log.append(['a', 'b', 'c', 'd'])
    for (const [from, expected] of /** @type {[number, string][]} */ ([
      [0, 'abcd'],
      [2, 'cd'],
      [4, ''],
      [7, ''],
      [-1, 'd'],
      [-9, 'abcd'],
    ])) {
      assert.equal(texts(await log.page({ from })).join(''), expected, String(from))
    }
    const beyond = following(log, { from: 6 })
    await log.append(['e', 'f', 'g'])
    await log.append(['h'], { close: true })
    await beyond.done()
    assert.deepEqual(beyond.seen, ['g', 'h'], 'what comes before it is passed over')
    const end = following(log, { from: -2 })
    await end.done()
    assert.deepEqual(end.seen, ['g', 'h'])
  })

  test('G3 a producer is written once, and a later epoch fences it (G4)', async () => {
    const [one, two] = [open().log('numbered'), open().log('numbered')]
    const as = (/** @type {number} */ epoch, /** @type {number} */ seq) => ({
      producer: { id: 'p', epoch, seq },
    })
    assert.equal((await one.append(['a'], as(0, 0))).isDuplicate, false)
    assert.equal((await two.append(['a'], as(0, 0))).isDuplicate, true)
    await assert.rejects(one.append(['c'], as(0, 2)), { code: 'ERR_CONFLICT', expected: 1 })
    await two.append(['b'], as(1, 0))
    await assert.rejects(one.append(['x'], as(0, 1)), { code: 'ERR_FENCED' })
    await assert.rejects(one.append(['x'], as(2, 1)), { code: 'ERR_CONFLICT', expected: 0 })
    const both = await Promise.all([one.append(['c'], as(1, 1)), two.append(['c'], as(1, 1))])
    assert.equal(both.filter(({ isDuplicate }) => isDuplicate).length, 1)
    await one.close(as(1, 2))
    assert.equal((await two.close(as(1, 2))).isDuplicate, true)
    assert.deepEqual(texts(await two.page()), ['a', 'b', 'c'])

    // Its pieces come first: who asks again meets a closed log before it is recognised.
    const large = 'l'.repeat(2 << 20)
    const last = { close: true, producer: { id: 'p', epoch: 0, seq: 0 } }
    const [first, again] = [open().log('large'), open().log('large')]
    assert.equal((await first.append([large], last)).isDuplicate, false)
    const { isDuplicate, closed } = await again.append([large], last)
    assert.deepEqual([isDuplicate, closed], [true, true])
    await assert.rejects(open().log('large').append([large]), { code: 'ERR_ENDED' })
  })

  test('a log that is there is left as it is, or is a conflict', async () => {
    const engine = open()
    const log = engine.log('made', { contentType: 'text/plain', ttl: '2h' })
    assert.equal((await log.create()).isNew, true)
    assert.equal(
      (await engine.log('made', { contentType: 'TEXT/plain; charset=utf-8', ttl: '2h' }).create()).isNew,
      false,
    )
    for (const options of [{ contentType: 'text/html', ttl: '2h' }, { contentType: 'text/plain' }]) {
      const other = engine.log('made', /** @type {import('tidemark').OpenLogOptions} */ (options))
      await assert.rejects(other.create(), { code: 'ERR_CONFLICT', name: 'ConflictError' })
    }
    await assert.rejects(engine.log('made', { contentType: 'text/html' }).append(['x']), {
      code: 'ERR_CONFLICT',
    })
    await assert.rejects(engine.log('absent').append(['x'], { mustExist: true }), { code: 'ERR_NOT_FOUND' })
    const status = await log.status()
    assert.deepEqual(
      [status?.state, status?.producers, status?.log],
      ['active', 0, { contentType: 'text/plain', ttlMs: 7_200_000, expiresAt: null }],
    )
    for (const ifActive of /** @type {const} */ (['error', 'takeover', 'share'])) {
      await assert.rejects(engine.produce('made', { ifActive }), { code: 'ERR_ACTIVE' })
    }
    await engine.produce('answer')
    await assert.rejects(engine.log('answer').append(['x']), { code: 'ERR_CONFLICT' })
    assert.equal((await engine.log('answer').page()).contentType, undefined)
  })

  test('bytes come back as they went in, above 1 MiB too, half characters and empty chunks included', async () => {
    const log = open().log('bytes')
    const large = randomBytes((3 << 20) + 7)
    const wave = Buffer.from('🌊')
    await log.append([large])
    await log.append([wave.subarray(0, 2), wave.subarray(2), new Uint8Array(0), ''])
    await log.append([randomBytes(1 << 20)])
    await log.append([large], { close: true })
    const there = open().log('bytes')
    const first = await there.page()
    assert.deepEqual([first.chunks.length, first.upToDate], [1, false], 'a large chunk is a page')
    assert.ok(large.equals(/** @type {Uint8Array} */ (first.chunks[0]?.data)))
    /** @type {Buffer[]} */
    const read = []
    for await (const { data } of there.read()) read.push(Buffer.from(data))
    assert.deepEqual(
      read.map((data) => data.length),
      [large.length, 2, 2, 0, 0, 1 << 20, large.length],
    )
    assert.equal(Buffer.concat(read.slice(1, 3)).toString(), '🌊')
    assert.ok(large.equals(read[6] ?? Buffer.alloc(0)))
    await assert.rejects(log.append([large, 'x']), { code: 'ERR_INVALID_ARGUMENT', field: 'chunks' })
  })

  test('a TTL begins anew with each use; the time of an end does not', async () => {
    const engine = open()
    const log = engine.log('sliding', { ttl: '1500ms' })
    const fixed = engine.log('fixed', { expiresAt: new Date(Date.now() + 2500) })
    await log.append(['a'])
    await fixed.append(['a'])
    for (let turn = 0; turn < 6; turn++) {
      await sleep(500)
      if (turn % 2 === 0) await log.append(['b'])
      else assert.equal((await log.page()).upToDate, true)
      await fixed.page().catch(() => {})
    }
    await assert.rejects(fixed.page(), { code: 'ERR_NOT_FOUND' })
    assert.notEqual(await log.status(), null)
    await until(async () => (await log.status()) === null, {
      message: () => 'asking for its status is no use of it',
    })
    assert.equal((await log.append(['new'])).isNew, true)
  })

  test('readers of a log that is deleted end quietly', async () => {
    const log = open().log('deleted')
    await log.append(['a'])
    const readers = [following(open().log('deleted')), following(log)]
    await until(() => readers.every(({ seen }) => seen.length === 1))
    assert.equal(await log.delete(), true)
    await Promise.all(readers.map((reader) => reader.done()))
    await assert.rejects(log.page(), { code: 'ERR_NOT_FOUND' })
    const { next } = await log.append(['b'])
    assert.deepEqual(texts(await log.page()), ['b'])
    assert.match(next, /\.1$/)
  })

  test('G6 a stop is told to whoever writes, and how the log ends then', async () => {
    const engine = open()
    const log = engine.log('stopped')
    await log.append(['a'])
    assert.equal(await open().stop('stopped', { reason: 'enough' }), 'stopping')
    assert.equal((await log.append(['b'])).stop, 'enough')
    await log.close()
    const { outcome, reason } = await log.page({ from: 'now' })
    assert.deepEqual([outcome, reason], ['stopped', 'enough'])
  })

  test('G10 a log is its owner’s', async () => {
    const log = open().log('owned', { owner: 'anna' })
    await log.append(['a'])
    const other = open().log('owned', { owner: 'ben' })
    await assert.rejects(other.append(['b']), { code: 'ERR_FORBIDDEN' })
    await assert.rejects(other.page(), { code: 'ERR_FORBIDDEN' })
    await assert.rejects(open().log('owned').close(), { code: 'ERR_FORBIDDEN' })
    assert.deepEqual(texts(await log.page()), ['a'])
  })

  test('a long log is sealed, and is read as before', async () => {
    const log = open().log('long')
    const line = 'the same words again and again '
    for (let round = 0; round < 12; round++) {
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => log.append([`${line}${round * 50 + index}`])),
      )
    }
    await log.close()
    const status = await log.status()
    assert.ok(status && status.storedBytes < status.bytes / 2, JSON.stringify(status))
    const reader = following(open().log('long'))
    await reader.done()
    assert.deepEqual(
      reader.seen,
      Array.from({ length: 600 }, (_, index) => `${line}${index}`),
    )
  })

  test('what is refused at the door', async () => {
    const engine = open()
    const log = engine.log('door')
    for (const [call, field] of /** @type {[() => unknown, string][]} */ ([
      [() => engine.log(''), 'streamId'],
      [() => engine.log('x', { ttl: 10 }), 'options.ttl'],
      [() => engine.log('x', { ttl: '1h', expiresAt: new Date() }), 'options.expiresAt'],
      [() => engine.log('x', { contentType: 'a\nb' }), 'options.contentType'],
      [() => engine.log('x', { expiresAt: Number.MAX_SAFE_INTEGER }), 'options.expiresAt'],
      [() => log.append(/** @type {any} */ ('text')), 'chunks'],
      [() => log.append([/** @type {any} */ (1)]), 'chunk'],
      [() => log.append([], /** @type {any} */ ({ producer: { id: 'p' } })), 'options.producer'],
      [() => log.append([], { producer: { id: 'p', epoch: -1, seq: 0 } }), 'options.producer.epoch'],
      [() => log.append([], { order: '' }), 'options.order'],
      [() => log.page({ from: 1.5 }), 'options.from'],
      [() => log.page({ from: 'elsewhere' }), 'options.from'],
      [() => log.page({ limit: 0 }), 'options.limit'],
      [() => log.read({ from: '01.1' }), 'options.from'],
    ])) {
      await assert.rejects(async () => call(), { code: 'ERR_INVALID_ARGUMENT', field })
    }
    assert.equal(await log.status(), null, 'nothing was done')
  })
})

test('G8 however many appends and pages wait for a Redis that is away, none waits many times for connectTimeout', async (t) => {
  const url = `redis://127.0.0.1:${await freePort()}`
  const engine = createEngine({ url, connectTimeout: '300ms' })
  t.after(() => engine.close())
  const log = engine.log('away')
  for (const call of [() => log.append(['x']), () => log.page()]) {
    const begin = performance.now()
    // Thirty times as many as go together.
    const settled = await Promise.allSettled(Array.from({ length: 30 * 64 }, call))
    const took = performance.now() - begin
    const codes = settled.map((each) => (each.status === 'rejected' ? each.reason.code : each.status))
    assert.deepEqual(new Set(codes), new Set(['ERR_CONNECTION']))
    assert.ok(took < 5_000, `${took} ms`)
  }
})
