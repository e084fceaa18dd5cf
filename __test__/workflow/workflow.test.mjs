// The contract of the Streamer of Workflow's Worlds 4 and 5 (`tidemark/workflow`).

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { workflowStreamer } from 'tidemark/workflow'
import { startChild } from '../support/child.mjs'
import { checkHistory } from '../support/history.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** @typedef {import('tidemark/workflow').WorkflowStreamer} Streamer */

const RUN = 'wrun_1'
const text = (/** @type {Uint8Array} */ chunk) => new TextDecoder().decode(chunk)

/**
 * Both faces by one set of names, so that each test runs with either.
 * @param {Streamer} streamer @param {4 | 5} face
 */
function faceOf(streamer, face) {
  const { streams } = streamer
  if (face === 5) return streams
  return {
    write: (/** @type {any} */ run, /** @type {string} */ name, /** @type {any} */ chunk) =>
      streamer.writeToStream(name, run, chunk),
    writeMulti: (/** @type {any} */ run, /** @type {string} */ name, /** @type {any} */ chunks) =>
      streamer.writeToStreamMulti(name, run, chunks),
    close: (/** @type {any} */ run, /** @type {string} */ name) => streamer.closeStream(name, run),
    get: (/** @type {string} */ _, /** @type {string} */ name, /** @type {number | undefined} */ index) =>
      streamer.readFromStream(name, index),
    list: (/** @type {string} */ run) => streamer.listStreamsByRunId(run),
    getChunks: (/** @type {string} */ run, /** @type {string} */ name, /** @type {any} */ options) =>
      streamer.getStreamChunks(name, run, options),
    getInfo: (/** @type {string} */ run, /** @type {string} */ name) => streamer.getStreamInfo(name, run),
  }
}

/** Reads to the end in the background. @param {Promise<ReadableStream<Uint8Array>>} opening */
function following(opening) {
  /** @type {string[]} */
  const seen = []
  const done = opening.then(async (stream) => {
    for await (const chunk of stream) seen.push(text(chunk))
  })
  done.catch(() => {})
  return { seen, end: () => deadline(done, 20_000, `the reader ends, after ${seen.length}`) }
}

eachStore('the streams of a World', (store) => {
  const open = useEngines(store)
  const there = () => workflowStreamer(open())

  for (const face of /** @type {const} */ ([4, 5])) {
    test(`World ${face}: G1 G2 each write is one chunk, read from any index, live and afterwards`, async () => {
      const [one, two] = [faceOf(there(), face), faceOf(there(), face)]
      const run = `wrun_${face}`
      const name = `strm_${face}`
      const waiting = following(two.get(run, name))
      const beyond = following(two.get(run, name, 5))
      assert.deepEqual(await two.getInfo(run, name), { tailIndex: -1, done: false })
      assert.deepEqual(await two.getChunks(run, name), {
        data: [],
        cursor: null,
        hasMore: false,
        done: false,
      })
      assert.deepEqual(await two.list(run), [])
      const early = following(two.get(run, name, -2))
      const given = new Uint8Array([98])
      await Promise.all([
        one.write(run, name, 'a'),
        one.write(run, name, given),
        one.writeMulti(run, name, ['c', new Uint8Array(0), 'ë']),
        given.fill(0),
      ])
      await one.writeMulti(run, name, [])
      await until(() => waiting.seen.length === 5)
      const ends = [following(two.get(run, name, -2)), following(two.get(run, name, -99))]
      assert.deepEqual(await two.getInfo(run, name), { tailIndex: 4, done: false })
      await two.write(run, name, 'f')
      await two.write(run, name, 'g')
      await one.close(run, name)
      await two.close(run, name)
      // Ignored, and not counted.
      await one.write(run, name, 'late')
      await two.writeMulti(run, name, ['late', 'too'])
      const all = ['a', 'b', 'c', '', 'ë', 'f', 'g']
      for (const [reader, index] of /** @type {const} */ ([
        [waiting, 0],
        [early, 0],
        [beyond, 5],
        [ends[0], 3],
        [ends[1], 0],
        [following(one.get(run, name, 2)), 2],
        [following(one.get(run, name, -1)), 6],
        [following(one.get(run, name, 7)), 7],
        [following(one.get(run, name, 99)), 7],
      ])) {
        await reader?.end()
        assert.deepEqual(reader?.seen, all.slice(index), `from ${index}`)
      }
      assert.deepEqual(await one.getInfo(run, name), { tailIndex: 6, done: true })
      // One that is only closed has an end, and nothing in it.
      await one.close(run, `${name}-empty`)
      await following(two.get(run, `${name}-empty`)).end()
      assert.deepEqual(await two.getInfo(run, `${name}-empty`), { tailIndex: -1, done: true })
      assert.deepEqual(await two.list(run), [name, `${name}-empty`])
    })

    test(`World ${face}: pages have cursors, limits, and say whether that is all`, async () => {
      const one = faceOf(there(), face)
      const name = `pages_${face}`
      const large = Buffer.alloc(20_000, 'x')
      await one.writeMulti(
        RUN,
        name,
        Array.from({ length: 250 }, (_, index) =>
          index < 50 ? Buffer.concat([Buffer.from(`${index} `), large]) : String(index),
        ),
      )
      /** @type {number[]} */
      const indexes = []
      /** @type {string | undefined} */
      let cursor
      const sizes = []
      for (;;) {
        const page = await one.getChunks(RUN, name, { cursor })
        for (const { index, data } of page.data) {
          indexes.push(index)
          assert.equal(Number.parseInt(text(data), 10), index)
        }
        sizes.push(page.data.length)
        assert.equal(page.done, false)
        assert.equal(page.hasMore, page.cursor !== null)
        if (page.cursor === null) break
        cursor = page.cursor
      }
      assert.deepEqual(sizes, [100, 100, 50])
      assert.deepEqual(
        indexes,
        Array.from({ length: 250 }, (_, index) => index),
      )
      const first = await one.getChunks(RUN, name, { limit: 3 })
      first.data[0]?.data.fill(0)
      await one.close(RUN, name)
      const again = await one.getChunks(RUN, name, { limit: 3 })
      assert.deepEqual([again.data.length, again.hasMore, again.done], [3, true, true])
      assert.match(text(again.data[0]?.data ?? new Uint8Array()), /^0 xx/)
      assert.equal((await one.getChunks(RUN, name, { limit: 5000 })).data.length, 250)
      for (const bad of ['nonsense', '-1', '1e3', '']) {
        assert.equal((await one.getChunks(RUN, name, { limit: 1, cursor: bad })).data[0]?.index, 0, bad)
      }
      const end = await one.getChunks(RUN, name, { cursor: '249' })
      assert.deepEqual([end.data[0]?.index, end.hasMore, end.cursor, end.done], [249, false, null, true])
      assert.deepEqual(await one.getChunks(RUN, name, { cursor: '9999' }), {
        data: [],
        cursor: null,
        hasMore: false,
        done: true,
      })
    })

    test(`World ${face}: writes whose run is only promised come in the order of the calls`, async () => {
      const one = faceOf(there(), face)
      const name = `promised_${face}`
      /** @type {(id: string) => void} */
      let tell = () => {}
      /** @type {Promise<string>} */
      const run = new Promise((resolve) => {
        tell = resolve
      })
      const writes = [
        one.write(run, name, '0'),
        one.write(RUN, name, '1'),
        one.writeMulti(Promise.resolve(RUN), name, ['2', '3']),
        one.write(RUN, name, '4'),
      ]
      /** @type {Promise<void>} */
      const failing = one.write(Promise.reject(new Error('no such run')), name, 'x')
      const closing = one.close(RUN, name)
      await one.write(RUN, `${name}-other`, 'is not held up')
      tell(RUN)
      await assert.rejects(failing, { message: 'no such run' })
      await deadline(Promise.all([...writes, closing]), 10_000, 'all writes')
      const reader = following(one.get(RUN, name))
      await reader.end()
      assert.deepEqual(reader.seen, ['0', '1', '2', '3', '4'])
    })
  }

  test('the two faces are of the same streams, and need no `this`', async () => {
    const { writeToStream, getStreamInfo, streamFlushIntervalMs, streams } = { ...there() }
    const { write, get, close } = { ...streams }
    assert.equal(streamFlushIntervalMs, 0)
    await writeToStream('shared', RUN, '4')
    await write(RUN, 'shared', '5')
    await close(RUN, 'shared')
    const reader = following(get(RUN, 'shared'))
    await reader.end()
    assert.deepEqual(reader.seen, ['4', '5'])
    assert.deepEqual(await getStreamInfo('shared', RUN), { tailIndex: 1, done: true })
  })

  test('the streams of a run are listed once each, whoever has registered them', async () => {
    const worlds = [there(), there(), there()]
    const names = Array.from({ length: 20 }, (_, index) => `strm_${index}`)
    await Promise.all(
      worlds.flatMap((world) =>
        names.map((name, index) =>
          index % 2 === 0
            ? world.streams.write('wrun_list', name, 'x')
            : world.closeStream(name, 'wrun_list'),
        ),
      ),
    )
    const listed = await there().listStreamsByRunId('wrun_list')
    assert.deepEqual([...listed].sort(), [...names].sort())
    assert.deepEqual(await there().streams.list('wrun_other'), [])
  })

  test('G3 a session writes each of its writes once, however often it is asked to, from wherever', async () => {
    const [one, two] = [there().streams, there().streams]
    const session = one.createWriteSession(RUN, 'session', { writerId: 'step_1' })
    await Promise.all([session.write(0, ['a', 'b']), session.write(0, ['a', 'b']), session.write(2, ['c'])])
    const large = [randomBytes(700_000), randomBytes(700_000)]
    await session.write(3, large)
    // Another attempt of the same step, on another server, from its beginning.
    const again = two.createWriteSession(Promise.resolve(RUN), 'session', { writerId: 'step_1' })
    await again.write(0, ['a', 'b'])
    await again.write(2, ['c'])
    await again.write(3, large)
    await again.write(5, ['d'])
    await two.createWriteSession(RUN, 'session', { writerId: 'step_2' }).write(0, ['e'])
    await again.write(6, [])
    await again.close()
    await session.write(7, ['late'])
    await session.close()
    session.dispose()
    const { data } = await one.getChunks(RUN, 'session')
    assert.deepEqual(
      data.map((chunk) => (chunk.data.length > 1 ? chunk.data.length : text(chunk.data))),
      ['a', 'b', 'c', 700_000, 700_000, 'd', 'e'],
    )
    assert.ok(large[1]?.equals(data[4]?.data ?? new Uint8Array()))
  })

  test('a session whose write has failed goes on in the right order', async () => {
    const { streams } = there()
    let fails = 1
    /** A promise that is refused the first time. @type {any} */
    const run = {
      // biome-ignore lint/suspicious/noThenProperty: it is one
      then: (/** @type {any} */ yes, /** @type {any} */ no) =>
        fails-- > 0 ? no(new Error('not yet')) : yes(RUN),
    }
    const session = streams.createWriteSession(run, 'failing', { writerId: 'w' })
    const first = session.write(0, ['a'])
    const second = session.write(1, ['b'])
    const results = await Promise.allSettled([first, second])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    await session.write(0, ['a'])
    await session.write(1, ['b'])
    await session.close()
    const reader = following(streams.get(RUN, 'failing'))
    await reader.end()
    assert.deepEqual(reader.seen, ['a', 'b'])
  })

  test('a reader that waits can be cancelled', async () => {
    const { streams } = there()
    const waiting = await streams.get(RUN, 'nothing')
    const reader = waiting.getReader()
    const next = reader.read()
    await deadline(reader.cancel(), 20_000, 'it is cancelled')
    assert.equal((await next).done, true)
    await streams.write(RUN, 'parked', 'a')
    const parked = (await streams.get(RUN, 'parked')).getReader()
    assert.equal(text((await parked.read()).value ?? new Uint8Array()), 'a')
    const more = parked.read()
    await deadline(parked.cancel(), 20_000, 'it is cancelled')
    assert.equal((await more).done, true)
  })

  test('bad input is refused at the door', async () => {
    const engine = open()
    const { streams, ...four } = workflowStreamer(engine)
    const invalid = { code: 'ERR_INVALID_ARGUMENT' }
    const bad = /** @type {any[]} */ ([
      '',
      'a\nb',
      'a\r',
      'a\0',
      '..',
      '../a',
      'a/../b',
      'x'.repeat(449),
      7,
      null,
    ])
    for (const id of bad) {
      for (const attempt of [
        () => four.writeToStream(id, RUN, 'x'),
        () => four.writeToStream('door', id, 'x'),
        () => streams.write(Promise.resolve(id), 'door', 'x'),
        () => streams.writeMulti(RUN, id, ['x']),
        () => four.closeStream(id, RUN),
        () => streams.close(id, 'door'),
        () => four.readFromStream(id),
        () => streams.get(RUN, id),
        () => four.listStreamsByRunId(id),
        () => four.getStreamChunks(id, RUN),
        () => streams.getInfo(RUN, id),
      ]) {
        await assert.rejects(attempt, invalid)
      }
      assert.throws(() => streams.createWriteSession(RUN, id, { writerId: 'w' }), invalid)
    }
    for (const chunk of /** @type {any[]} */ ([7, null, undefined, {}, [1], new ArrayBuffer(1)])) {
      await assert.rejects(four.writeToStream('door', RUN, chunk), invalid)
      await assert.rejects(streams.writeMulti(RUN, 'door', ['fine', chunk]), invalid)
    }
    for (const index of /** @type {any[]} */ ([1.5, Number.NaN, Number.POSITIVE_INFINITY, '1']))
      await assert.rejects(four.readFromStream('door', index), invalid)
    for (const options of /** @type {any[]} */ ([
      { limit: 0 },
      { limit: -1 },
      { limit: 1.5 },
      { limit: '5' },
      { cursor: 5 },
    ]))
      await assert.rejects(streams.getChunks(RUN, 'door', options), invalid)
    for (const options of /** @type {any[]} */ ([undefined, {}, { writerId: '' }, { writerId: 7 }]))
      assert.throws(() => streams.createWriteSession(RUN, 'door', options), invalid)
    const session = streams.createWriteSession(RUN, 'door', { writerId: 'w' })
    for (const seq of /** @type {any[]} */ ([-1, 1.5, '0', Number.NaN]))
      await assert.rejects(session.write(seq, ['x']), invalid)
    for (const options of /** @type {any[]} */ ([{ ttl: 0 }, { prefix: 7 }, { nothing: 1 }]))
      assert.throws(() => workflowStreamer(engine, options), invalid)
    assert.throws(() => workflowStreamer(/** @type {any} */ ({})), invalid)
    assert.deepEqual(
      await streams.getInfo(RUN, 'door'),
      { tailIndex: -1, done: false },
      'nothing was written',
    )
    await engine.log('private').append(['x'])
    assert.deepEqual(await streams.getInfo(RUN, 'private'), { tailIndex: -1, done: false })
  })

  test('G10 streams of an owner are theirs', async () => {
    const mine = workflowStreamer(open(), { owner: 'ann' })
    const others = workflowStreamer(open(), { owner: 'bob' })
    await mine.writeToStream('owned', 'wrun_owned', 'x')
    for (const attempt of [
      () => others.writeToStream('owned', 'wrun_bob', 'x'),
      () => others.closeStream('owned', 'wrun_bob'),
      () => others.getStreamInfo('owned', 'wrun_owned'),
      () => others.getStreamChunks('owned', 'wrun_owned'),
      () => others.listStreamsByRunId('wrun_owned'),
      () => following(others.readFromStream('owned')).end(),
    ]) {
      await assert.rejects(attempt, { code: 'ERR_FORBIDDEN' })
    }
  })
})

test('G1 G3 two processes write one stream with both faces; one is killed and its step is repeated', async (t) => {
  const store = new TestStore('redis')
  await store.start()
  const options = { url: store.url, keyPrefix: store.prefix() }
  const engine = createEngine(options)
  t.after(() => engine.close())
  const { streams } = workflowStreamer(engine)
  const reader = following(streams.get('wrun_two', 'both'))
  const chunksOf = (/** @type {string} */ who, /** @type {number} */ count) =>
    Array.from({ length: count }, (_, index) => `${who} ${index}`)
  const start = (/** @type {Record<string, unknown>} */ work) => {
    const env = { WORK: JSON.stringify({ name: 'both', runId: 'wrun_two', options, ...work }) }
    const child = startChild(new URL('../children/workflow-writer.mjs', import.meta.url), { env })
    t.after(() => child.kill())
    return child
  }
  const step = chunksOf('step', 2000)
  const killed = start({ face: 'session', writerId: 'step', chunks: step })
  const others = [
    start({ face: 4, chunks: chunksOf('four', 100) }),
    start({ face: 5, chunks: chunksOf('five', 100) }),
  ]
  const says = (/** @type {import('../support/child.mjs').Child} */ child, /** @type {string} */ type) =>
    until(() => child.messages.some((message) => message.type === type), {
      message: () => child.output,
      timeout: 20_000,
    })
  await until(() => killed.messages.length >= 50, { message: () => killed.output, timeout: 20_000 })
  await killed.kill()
  assert.ok(killed.messages.length < 2000, 'it was killed before its end')
  // The step again, from its beginning, and shorter than what the first attempt could have been.
  const repeated = step.slice(0, killed.messages.length + 20)
  await says(start({ face: 'session', writerId: 'step', chunks: repeated }), 'done')
  await Promise.all(others.map((child) => says(child, 'done')))
  await streams.close('wrun_two', 'both')
  await reader.end()
  const written = [
    ...repeated.map((data) => ({ data, producer: 'step' })),
    ...chunksOf('four', 100).map((data) => ({ data, producer: 'four' })),
    ...chunksOf('five', 100).map((data) => ({ data, producer: 'five' })),
  ]
  const chunks = reader.seen.map((data, index) => ({ data, seq: index + 1 }))
  checkHistory({ written, readers: [{ name: 'the reader', chunks, outcome: 'complete' }] })
  assert.deepEqual(await streams.list('wrun_two'), ['both'])
})
