// Several producers on one stream: their chunks interleave and none is lost.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { startProxy } from '../support/proxy.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { follow, readAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const PRODUCERS = 3
const CHUNKS = 2_000
const READERS = 5

const share = /** @type {const} */ ({ ifActive: 'share' })

/** The chunks of the named producer, as the history checker takes them. @param {string} producer @param {number} count */
const chunksOf = (producer, count) => texts(count, producer).map((data) => ({ data, producer }))

eachStore('share', (store) => {
  const open = useEngines(store)

  test('item 1 G1 three producers and five readers that come at any time: every chunk once, in order', async () => {
    const random = createRandom(1)
    const names = Array.from({ length: PRODUCERS }, (_, index) => `producer ${index}`)
    const producers = []
    for (const _ of names) producers.push(await open().produce('crowd', share))
    assert.equal(new Set(producers.map(({ generation }) => generation)).size, 1)

    let written = 0
    const arrivals = Array.from({ length: READERS }, () => random.int(0, PRODUCERS * CHUNKS - 1))
    const readers = arrivals.map(async (arrival, index) => {
      const engine = open()
      await until(() => written >= arrival, { timeout: 30_000, interval: 1 })
      return readAll(engine, 'crowd', { name: `reader ${index} from ${arrival}` })
    })
    const writes = producers.map(async (producer, index) => {
      let burst = 0
      for (const { data } of chunksOf(names[index] ?? '', CHUNKS)) {
        if (!producer.write(data)) await producer.ready
        written += 1
        if (--burst <= 0) {
          burst = random.int(1, 40)
          await turn()
        }
      }
      return producer.complete()
    })
    assert.deepEqual(await Promise.all(writes), ['complete', 'complete', 'complete'])
    checkHistory({
      written: names.flatMap((name) => chunksOf(name, CHUNKS)),
      readers: await Promise.all(readers),
    })
  })

  test('the generation goes on until the last one completes', async () => {
    const [engine, other] = [open(), open()]
    const first = await engine.produce('last', share)
    const second = await other.produce('last', share)
    const reader = follow(other, 'last')
    assert.equal((await engine.status('last'))?.producers, 2)
    await writeAll(first, texts(10, 'first'))
    await first.complete()
    assert.throws(() => first.write('more'), { code: 'ERR_ENDED' })
    const status = await engine.status('last')
    assert.deepEqual([status?.state, status?.producers], ['active', 1])

    // One that joins now follows on what is there.
    const third = await engine.produce('last', share)
    await writeAll(second, texts(10, 'second'))
    await second.complete()
    assert.equal(reader.outcome, undefined)
    await writeAll(third, texts(10, 'third'))
    await third.complete()
    await reader.end()
    assert.equal((await engine.status('last'))?.state, 'complete')
    assert.equal(reader.outcome, 'complete')
    const written = ['first', 'second', 'third'].flatMap((name) => chunksOf(name, 10))
    checkHistory({ written, readers: [reader, await readAll(engine, 'last')] })
  })

  test('one that fails ends it for all, and what was accepted before stays', async () => {
    const names = ['a', 'b', 'c']
    /** @type {import('tidemark').Producer[]} */
    const producers = []
    for (const _ of names) producers.push(await open().produce('failing', share))
    const engine = open()
    const reader = follow(engine, 'failing')
    /** @type {Promise<import('../support/history.mjs').Written>[]} */
    const appends = []
    let going = true
    const writes = producers.slice(1).map(async (producer, index) => {
      for (let count = 0; going; count++) {
        const data = `${names[index + 1]} ${count}`
        const entry = { data, producer: names[index + 1] }
        appends.push(
          producer.append(data).then(
            (cursor) => ({ ...entry, seq: Number(cursor.split('.')[1]) }),
            (error) => {
              assert.equal(error.code, 'ERR_ENDED')
              return { ...entry, acknowledged: false }
            },
          ),
        )
        await turn()
      }
    })
    await reader.has(100)
    assert.equal(await producers[0]?.fail('one is enough'), 'failed')
    await until(() => producers.every(({ signal, outcome }) => signal.aborted || outcome))
    going = false
    await Promise.all(writes)
    const { lastSeq = 0, reason } = (await engine.status('failing')) ?? {}
    assert.equal(reason, 'one is enough')
    await reader.end()
    assert.equal(reader.error?.code, 'ERR_FAILED')
    const replay = await readAll(engine, 'failing')
    checkHistory({
      written: await Promise.all(appends),
      readers: [reader, replay].map((each) => ({ ...each, to: lastSeq })),
    })
  })

  test('a stop reaches all of them', async () => {
    const engine = open()
    const first = await engine.produce('stopped', share)
    const second = await open().produce('stopped', share)
    const reader = follow(engine, 'stopped')
    first.write('first')
    second.write('second')
    await Promise.all([first.flush(), second.flush()])
    assert.equal(await open().stop('stopped', 'enough'), 'stopping')
    await until(() => first.signal.aborted && second.signal.aborted)
    const third = await engine.produce('stopped', share)
    assert.equal(third.signal.aborted, true)
    third.write('third')
    assert.deepEqual(await Promise.all([first.complete(), second.complete(), third.complete()]), [
      'stopped',
      'stopped',
      'stopped',
    ])
    assert.deepEqual([(await reader.end()).outcome, reader.subscription.reason], ['stopped', 'enough'])
    const written = ['first', 'second', 'third'].map((data) => ({ data, producer: data }))
    checkHistory({ written, readers: [reader] })
  })

  test('G6 a stop by the engine of one of them reaches the others', async () => {
    const engine = open()
    const producers = [await engine.produce('own', share), await open().produce('own', share)]
    assert.equal(await engine.stop('own', 'enough'), 'stopping')
    await until(() => producers.every(({ signal }) => signal.aborted))
    assert.deepEqual(await Promise.all(producers.map((producer) => producer.complete())), [
      'stopped',
      'stopped',
    ])
  })

  test('only those that were started to share do, and a takeover fences all of them', async () => {
    const engine = open()
    const alone = await engine.produce('modes')
    await assert.rejects(engine.produce('modes', share), { code: 'ERR_ACTIVE' })
    await alone.complete()
    const shared = [await engine.produce('modes', share), await open().produce('modes', share)]
    await assert.rejects(engine.produce('modes'), { code: 'ERR_ACTIVE' })
    const winner = await open().produce('modes', { ifActive: 'takeover' })
    for (const producer of shared) {
      await assert.rejects(producer.append('late'), { code: 'ERR_FENCED' })
      assert.equal(producer.signal.aborted, true)
    }
    winner.write('won')
    await winner.complete()
    checkHistory({
      written: [{ data: 'won', seq: 1 }],
      readers: [await readAll(engine, 'modes')],
    })
  })
})

describe('share while Redis is away for one of them', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())

  test('G1 G8 only Redis numbers what several write: its readers wait until it is back', async () => {
    const proxy = await startProxy({ target: store.url })
    const [far, near] = [open({ url: proxy.url }), open()]
    const away = await far.produce('numbers', share)
    const here = await near.produce('numbers', share)
    await away.append('away 0')
    const reader = follow(far, 'numbers')
    await reader.has(1)
    await proxy.refuse(true)
    proxy.cut()
    await until(() => far.state !== 'ready')
    const waiting = texts(5, 'away').map((text) => away.append(text))
    await writeAll(here, texts(5, 'here'))
    await here.flush()
    await proxy.refuse(false)
    await Promise.all(waiting)
    await Promise.all([here.complete(), away.complete()])
    await reader.end()
    const written = [{ data: 'away 0', producer: 'away' }, ...chunksOf('here', 5), ...chunksOf('away', 5)]
    checkHistory({ written, readers: [reader, await readAll(near, 'numbers')] })
    assert.deepEqual(
      reader.chunks.map(({ data }) => data),
      written.map(({ data }) => data),
    )
    await far.close()
    await proxy.close()
  })
})
