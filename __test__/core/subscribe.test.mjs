// Where a subscription begins, what it waits for, what it follows and how it ends.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'

const UNKNOWN = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

eachStore('subscribe', (store) => {
  const open = useEngines(store)

  test('G1 from the start, live, in the process of the producer and in another engine', async () => {
    const random = createRandom(1)
    const [writer, other] = [open(), open()]
    const producer = await writer.produce('live')
    const readers = [
      follow(writer, 'live', { name: 'here' }),
      follow(other, 'live', { name: 'there', from: 'start' }),
    ]
    const chunks = texts(3_000)
    for (const chunk of chunks) {
      if (!producer.write(chunk)) await producer.ready
      if (random.chance(0.05)) await turn()
      // Readers that come while it is written, each at a moment of its own.
      if (random.chance(0.005)) readers.push(follow(random.pick([writer, other]), 'live', { name: chunk }))
    }
    await producer.complete()
    for (const reader of readers) assert.equal((await reader.end()).outcome, 'complete')
    checkHistory({ written: numbered(chunks), readers })
  })

  test('G1 many readers of each stream, each at a pace of its own: all get the same, whoever leaves between', async () => {
    const random = createRandom(2)
    const engine = open()
    const names = ['one', 'two', 'three']
    const producers = await Promise.all(names.map((name) => engine.produce(`many ${name}`)))
    /** Few texts, so that the same one comes again and again: for this reader, for the next, and for another stream. */
    const words = ['', 'a', 'é', 'a text that is long enough to be a view', 'žluťoučký kůň pěl ďábelské ódy']
    const chunks = names.map(() => /** @type {(string | Uint8Array)[]} */ ([]))
    const readers = names.map((name) =>
      Array.from({ length: 12 }, (_, index) => {
        const pause = index % 3 === 0 ? 0 : index % 3 === 1 ? 0.1 : 0.7
        const leavesAt = index % 4 === 3 ? random.int(1, 300) : 0
        return follow(engine, `many ${name}`, {
          name: `${name} ${index}`,
          each: async ({ seq }) => {
            if (random.chance(pause)) await turn()
            return seq !== leavesAt
          },
        })
      }),
    )
    for (let round = 0; round < 400; round++) {
      const same = random.pick(words)
      for (const [index, producer] of producers.entries()) {
        for (let count = random.int(0, 3); count > 0; count--) {
          const text = random.chance(0.5) ? same : random.pick(words)
          const chunk = random.chance(0.1) ? new TextEncoder().encode(text) : text
          chunks[index]?.push(chunk)
          producer.write(chunk)
        }
      }
      if (random.chance(0.7)) await turn()
    }
    await Promise.all(producers.map((producer) => producer.complete()))
    for (const [index, group] of readers.entries()) {
      await Promise.all(group.map((reader) => reader.end()))
      assert.equal(group.filter(({ outcome }) => outcome === 'left').length, 3)
      checkHistory({ written: numbered(chunks[index] ?? []), readers: group })
    }
  })

  test('G1 from now: nothing of what was there, everything that comes', async () => {
    const [writer, other] = [open(), open()]
    const producer = await writer.produce('now')
    await writeAll(producer, texts(100, 'before'))
    await producer.flush()
    const readers = [writer, other].map((engine) => follow(engine, 'now', { from: 'now', after: 100 }))
    const all = [...texts(100, 'before')]
    // Written one by one until both have found their places; from where on is theirs to say.
    for (let count = 0; readers.some((reader) => reader.chunks.length === 0); count++) {
      all.push(`after ${count}`)
      await producer.append(`after ${count}`)
    }
    await producer.complete()
    const heard = []
    for (const reader of readers) {
      await reader.end()
      const [first] = reader.chunks
      assert.ok(first && first.seq > 100)
      heard.push({ ...reader, name: 'from now', from: first.seq - 1 })
    }
    checkHistory({ written: numbered(all), readers: heard })
    const late = await readAll(other, 'now', { from: 'now' })
    assert.deepEqual([late.outcome, late.chunks], ['complete', []])
  })

  test('a stream that comes later is waited for', async () => {
    const [writer, other] = [open(), open()]
    const readers = [
      follow(writer, 'later'),
      follow(other, 'later', { wait: '20s' }),
      follow(other, 'later', { from: 'now' }),
    ]
    await turn()
    assert.equal(await writer.status('later'), null)
    await produceAll(writer, 'later', texts(20))
    const [here, there, now] = await Promise.all(readers.map((reader) => reader.end()))
    assert.ok(here && there && now)
    checkHistory({ written: numbered(texts(20)), readers: [here, there] })
    assert.equal(now.outcome, 'complete')
  })

  test('a stream that does not come is ERR_NOT_FOUND after the wait', async () => {
    const engine = open()
    // Far sooner than without that option.
    const never = await readAll(engine, 'never', { wait: 0 })
    const patient = follow(engine, 'never', { wait: '300ms' })
    const waited = performance.now()
    await patient.end()
    assert.ok(performance.now() - waited > 290, 'it waited as long as it was told')
    for (const { error } of [never, patient]) {
      assert.equal(error?.code, 'ERR_NOT_FOUND')
      assert.equal(error?.name, 'NotFoundError')
      assert.equal(error?.streamId, 'never')
    }
    // The loop threw once; it is over.
    assert.deepEqual(await never.subscription.next(), { done: true, value: undefined })
  })

  test('finished streams are replayed, every time', async () => {
    const [writer, other] = [open(), open()]
    const chunks = texts(2_000)
    await produceAll(writer, 'replay', chunks)
    const readers = []
    for (const engine of [writer, other, writer, other]) readers.push(await readAll(engine, 'replay'))
    readers.push(...(await Promise.all([readAll(other, 'replay'), readAll(other, 'replay')])))
    for (const { outcome } of readers) assert.equal(outcome, 'complete')
    checkHistory({ written: numbered(chunks), readers })
  })

  test('three thousand readers that come one after the other: none is woken before it is known', async () => {
    const engine = open()
    const chunks = texts(3)
    await produceAll(engine, 'again', chunks)
    const readers = []
    for (let count = 0; count < 3_000; count++) readers.push(await readAll(engine, 'again'))
    checkHistory({ written: numbered(chunks), readers })
  })

  test("follow: 'all' goes on over generations until it is left", async () => {
    const [writer, other] = [open(), open()]
    const readers = [writer, other].map((engine) => follow(engine, 'all', { follow: 'all' }))
    /** @type {string[]} */
    const chunks = []
    const generations = []
    for (const name of ['first', 'second', 'third', 'fourth']) {
      chunks.push(...texts(50, name))
      const producer = await writer.produce('all')
      generations.push(producer.generation)
      await writeAll(producer, texts(50, name))
      if (name === 'second') await producer.fail('no')
      else await producer.complete()
      // One generation at a time: a reader may be one behind, not two.
      for (const reader of readers) await reader.has(chunks.length)
    }
    for (const reader of readers) {
      assert.equal(reader.outcome, undefined)
      await reader.subscription.return()
      await reader.end()
      const seen = reader.chunks.map(({ cursor }) => cursor.split('.')[0])
      assert.deepEqual([...new Set(seen)], generations)
    }
    checkHistory({
      written: numbered(chunks),
      readers: readers.map((reader) => ({ ...reader, to: chunks.length })),
    })
  })

  test('many subscriptions at the same time, of one stream and of many', async () => {
    const [writer, other] = [open(), open()]
    const names = Array.from({ length: 50 }, (_, index) => `many ${index}`)
    const readers = names.flatMap((name) =>
      Array.from({ length: 10 }, (_, index) => ({
        name,
        reader: follow(index % 2 ? writer : other, name, { name: `${name}, reader ${index}` }),
      })),
    )
    await Promise.all(names.map((name) => produceAll(writer, name, texts(40, name))))
    for (const { reader } of readers) await reader.end()
    for (const name of names) {
      const own = readers.filter((each) => each.name === name).map(({ reader }) => reader)
      checkHistory({ written: numbered(texts(40, name)), readers: own })
    }
  })

  test('G7 a reader that is slow or stops reading holds nobody back and misses nothing', async () => {
    const [writer, other] = [open(), open()]
    const producer = await writer.produce('slow')
    const chunks = texts(4_000).map((text) => text.padEnd(1_000, '.'))
    /** @type {() => void} */
    let goOn = () => {}
    const gate = new Promise((resolve) => {
      goOn = () => resolve(undefined)
    })
    const stopped = [writer, other].map((engine) =>
      follow(engine, 'slow', { name: 'stopped', each: ({ seq }) => (seq === 3 ? gate : undefined) }),
    )
    const slow = [writer, other].map((engine) => follow(engine, 'slow', { name: 'slow', each: () => turn() }))
    const quick = [writer, other].map((engine) => follow(engine, 'slow', { name: 'quick' }))
    await writeAll(producer, chunks)
    await producer.complete()
    for (const reader of quick) await reader.end()
    for (const reader of stopped) assert.equal(reader.chunks.length, 3)
    goOn()
    for (const reader of [...slow, ...stopped]) await reader.end()
    checkHistory({ written: numbered(chunks), readers: [...quick, ...slow, ...stopped] })
  })

  test('owner: only the owner of a stream may follow it', async () => {
    const engine = open()
    const producer = await engine.produce('owned', { owner: 'user-1' })
    const waiting = follow(engine, 'owned by another', { owner: 'user-2' })
    await writeAll(producer, texts(5))
    for (const owner of [undefined, 'user-2', 'user-1 ']) {
      const { error, chunks } = await readAll(open(), 'owned', { owner })
      assert.equal(error?.code, 'ERR_FORBIDDEN')
      assert.equal(chunks.length, 0)
    }
    await produceAll(engine, 'owned by another', ['x'], { owner: 'user-1' })
    assert.equal((await waiting.end()).error?.code, 'ERR_FORBIDDEN')
    assert.equal(waiting.chunks.length, 0)
    await producer.complete()
    const allowed = await readAll(engine, 'owned', { owner: 'user-1' })
    checkHistory({ written: numbered(texts(5)), readers: [allowed] })
    await produceAll(engine, 'open to all', ['x'])
    assert.equal((await readAll(engine, 'open to all', { owner: 'anybody' })).outcome, 'complete')
  })

  test('what cannot be asked for is refused at once', async () => {
    const engine = open()
    const bad = [
      [{ from: 'end' }, 'options.from'],
      [{ from: '' }, 'options.from'],
      [{ from: `${UNKNOWN}.-1` }, 'options.from'],
      [{ from: `${UNKNOWN.toLowerCase()}.1` }, 'options.from'],
      [{ from: `${UNKNOWN}.01` }, 'options.from'],
      [{ from: `${UNKNOWN}.9007199254740992` }, 'options.from'],
      [{ from: 5 }, 'options.from'],
      [{ wait: -1 }, 'options.wait'],
      [{ wait: '2d' }, 'options.wait'],
      [{ follow: 'none' }, 'options.follow'],
      [{ signal: {} }, 'options.signal'],
      [{ owner: '' }, 'options.owner'],
      [{ windoww: 1 }, 'options.windoww'],
      [null, 'options'],
    ]
    for (const [options, field] of bad) {
      // @ts-expect-error these are the mistakes that types cannot always catch
      assert.throws(() => engine.subscribe('bad', options), { code: 'ERR_INVALID_ARGUMENT', field })
    }
    for (const id of ['', 'x'.repeat(513), '\uD800', undefined]) {
      // @ts-expect-error undefined is no id
      assert.throws(() => engine.subscribe(id), { code: 'ERR_INVALID_ARGUMENT', field: 'streamId' })
    }
  })
})
