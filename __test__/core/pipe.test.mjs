// A pipe's two promises: the local client gets its source, and the stream outlives the client.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { gate } from '../support/gate.mjs'
import { checkHistory } from '../support/history.mjs'
import { expectNoRejections, KINDS, Local, pipe, Source } from '../support/pipes.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines } from '../support/streams.mjs'

const MIB = 1 << 20

expectNoRejections()

eachStore('pipe', (store) => {
  const open = useEngines(store)

  test('every kind of source: the client and all readers get its chunks as they are', async () => {
    const random = createRandom(1)
    const bytes = (/** @type {number} */ length) => Uint8Array.from({ length }, () => random.int(0, 255))
    const [here, there] = [open({ maxQueueBytes: MIB }), open()]
    for (const kind of KINDS) {
      const chunks = random.shuffle([
        '',
        new Uint8Array(0),
        '😀',
        '€'.repeat(Math.floor(MIB / 3)),
        'a'.repeat(MIB),
        bytes(MIB),
        Buffer.from('text as bytes'),
        ...texts(300, kind),
        ...Array.from({ length: 60 }, () => bytes(2 ** random.int(0, 16))),
        ...Array.from({ length: 60 }, () => 'aé€😀'.repeat(2 ** random.int(0, 13)).slice(0, -2)),
      ])
      const source = new Source(chunks)
      const readers = [follow(here, kind, { name: 'here' }), follow(there, kind, { name: 'there' })]
      const { stream, done } = pipe(here, kind, source.as(kind))
      assert.ok(stream instanceof ReadableStream)
      const local = await new Local(stream).end()
      assert.equal(await done, 'complete')
      for (const reader of readers) await reader.end()
      readers.push(await readAll(there, kind, { name: 'replay' }))
      checkHistory({ written: numbered(chunks), readers: [local, ...readers] })
      for (const [index, { data }] of local.chunks.entries()) {
        assert.equal(typeof data, typeof chunks[index])
        if (typeof data !== 'string') assert.ok(data instanceof Uint8Array)
      }
      assert.equal(local.error, undefined)
      assert.equal(source.ended, 'drained')
      assert.equal(source.signal?.aborted, kind.endsWith('function') ? false : undefined)
    }
  })

  test('a chunk does not wait for the next one, and waitUntil waits for the end', async () => {
    const engine = open()
    for (const kind of KINDS) {
      const steps = [gate(), gate(), gate()]
      async function* answer() {
        for (const [index, { opened }] of steps.entries()) {
          yield `step ${index}`
          await opened
        }
      }
      const source = new Source(answer())
      const { stream, done } = pipe(engine, `steps ${kind}`, source.as(kind))
      let settled = false
      done.then(() => {
        settled = true
      }, assert.fail)
      const local = new Local(stream)
      const reader = follow(open(), `steps ${kind}`)
      for (const [index, { open: goOn }] of steps.entries()) {
        await local.has(index + 1)
        await reader.has(index + 1)
        assert.equal(settled, false)
        goOn()
      }
      assert.equal(await done, 'complete')
      assert.equal((await engine.status(`steps ${kind}`))?.state, 'complete')
      await Promise.all([local.end(), reader.end()])
      checkHistory({ written: numbered(['step 0', 'step 1', 'step 2']), readers: [local, reader] })
    }
  })

  test('a source without chunks is a stream all the same', async () => {
    const engine = open()
    const { stream, done } = pipe(engine, 'empty', new Source([]).as('web'))
    const local = await new Local(stream).end()
    assert.deepEqual([local.outcome, local.chunks, await done], ['complete', [], 'complete'])
    const replay = await readAll(engine, 'empty', { wait: 0 })
    assert.deepEqual([replay.outcome, replay.chunks], ['complete', []])
  })

  test('the client leaves: the source is drained all the same', async () => {
    const random = createRandom(2)
    const engine = open()
    for (const kind of KINDS) {
      // At once, while the generation starts; and in the middle, with or without a read under way.
      for (const leave of [0, random.int(1, 50), random.int(100, 200)]) {
        const id = `left ${kind} ${leave}`
        const middle = gate()
        async function* answer() {
          yield* texts(250, id)
          await middle.opened
          yield* texts(250, `rest of ${id}`)
        }
        const source = new Source(answer())
        const reader = follow(engine, id)
        const { stream, done } = pipe(engine, id, source.as(kind))
        const client = stream.getReader()
        for (let count = 0; count < leave; count++) assert.equal((await client.read()).done, false)
        const pending = random.chance(0.5) ? client.read() : undefined
        await client.cancel('the page was closed')
        await pending
        middle.open()
        assert.equal(await done, 'complete')
        await reader.end()
        const written = numbered([...texts(250, id), ...texts(250, `rest of ${id}`)])
        checkHistory({ written, readers: [reader, await readAll(open(), id, { name: 'replay' })] })
        assert.equal(source.ended, 'drained')
        assert.equal(source.signal?.aborted, kind.endsWith('function') ? false : undefined)
      }
    }
  })

  test('a client that does not read holds nothing up, and may read later', async () => {
    const engine = open({ maxQueueBytes: MIB })
    const size = 96 * 1024
    function* answer() {
      for (let index = 0; index < 400; index++) yield `${index} `.padEnd(size, 'x')
    }
    const source = new Source(answer())
    const { stream, done } = pipe(engine, 'unread', source.as('iterable'))
    assert.equal(await done, 'complete')
    assert.deepEqual([source.ended, source.taken], ['drained', 400])
    const status = await open().status('unread')
    assert.deepEqual([status?.state, status?.lastSeq], ['complete', 400])
    const local = await new Local(stream).end()
    checkHistory({ written: numbered([...answer()]), readers: [local] })
  })

  test('a second pipe on the stream: its client gets its own chunks, and seqs go on', async () => {
    const engine = open()
    const everything = follow(open(), 'again', { follow: 'all' })
    const words = [texts(40, 'first'), texts(60, 'second'), texts(20, 'third')]
    let first = 1
    for (const chunks of words) {
      const { stream, done } = pipe(engine, 'again', new Source(chunks).as('iterable'))
      const local = await new Local(stream, first).end()
      assert.equal(await done, 'complete')
      assert.equal((await engine.status('again'))?.firstSeq, first)
      checkHistory({ written: numbered(chunks, first), first, readers: [local] })
      first += chunks.length
      await everything.has(first - 1)
    }
    await everything.subscription.return()
    checkHistory({ written: numbered(words.flat()), readers: [await everything.end()] })
  })

  test('many pipes at once keep apart', async () => {
    const random = createRandom(3)
    const engine = open()
    const pipes = Array.from({ length: 100 }, (_, index) => {
      const chunks = texts(random.int(0, 300), `pipe ${index}`)
      async function* answer() {
        for (const chunk of chunks) {
          if (random.chance(0.02)) await turn()
          yield chunk
        }
      }
      const { stream, done } = pipe(engine, `many ${index}`, new Source(answer()).as(random.pick(KINDS)))
      return { chunks, done, local: new Local(stream) }
    })
    for (const { chunks, done, local } of pipes) {
      assert.equal(await done, 'complete')
      checkHistory({ written: numbered(chunks), readers: [await local.end()] })
    }
  })

  test('owner, metadata and ttl are those of the generation, and the client is its own owner', async () => {
    const engine = open()
    const options = { owner: 'user-1', metadata: { model: 'm' }, ttl: { done: '5m' } }
    const { stream, done } = pipe(engine, 'owned', new Source(texts(10)).as('iterable'), options)
    const local = await new Local(stream).end()
    assert.equal(await done, 'complete')
    const status = await engine.status('owned')
    assert.deepEqual([status?.owner, status?.metadata], ['user-1', { model: 'm' }])
    assert.ok(status && status.ttlMs <= 300_000 && status.ttlMs > 200_000, `ttl ${status?.ttlMs}`)
    assert.equal((await readAll(engine, 'owned')).error?.code, 'ERR_FORBIDDEN')
    checkHistory({ written: numbered(texts(10)), readers: [local] })
  })

  for (const [code, taken, mine] of /** @type {const} */ ([
    ['ERR_ACTIVE', {}, {}],
    ['ERR_FORBIDDEN', { owner: 'user-1' }, { owner: 'user-2', ifActive: 'takeover' }],
  ])) {
    test(`a start that is refused with ${code}: the source is left unread, the stream is not touched`, async () => {
      const engine = open()
      for (const kind of KINDS) {
        const id = `${code} ${kind}`
        const producer = await open().produce(id, taken)
        producer.write('mine')
        const source = new Source(texts(5))
        const { stream, done } = pipe(engine, id, source.as(kind), mine)
        await assert.rejects(done, { code, streamId: id })
        const local = await new Local(stream).end()
        assert.deepEqual([local.outcome, local.chunks], [code, []])
        assert.equal(source.taken, 0)
        // A function that was not called holds nothing that would have to be given up.
        assert.equal(source.signal, undefined)
        if (!kind.endsWith('function')) assert.equal(await source.end(), 'left')
        await producer.complete()
        const replay = await readAll(engine, id, taken)
        checkHistory({ written: numbered(['mine']), readers: [replay] })
      }
    })
  }

  test('nothing is read from a pipe whose client leaves before it is refused', async () => {
    const engine = open()
    await produceAll(engine, 'refused', ['x'], { owner: 'user-1' })
    const source = new Source(texts(5))
    const { stream, done } = pipe(engine, 'refused', source.as('web'))
    await stream.cancel()
    await assert.rejects(done, { code: 'ERR_FORBIDDEN' })
    assert.deepEqual([await source.end(), source.taken], ['left', 0])
  })
})
