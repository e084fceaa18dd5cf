// Streams with random lives: several engines, generations of every kind, readers that begin and leave anywhere.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const STREAMS = 25
const GENERATIONS = 6
/** What may become of a chunk of a producer that others get in the way of. */
const REFUSED = ['ERR_FENCED', 'ERR_ENDED']
/** How a reader may end: by its generation, by its own choice, or told that it came too late. */
const ENDS = ['complete', 'failed', 'stopped', 'interrupted', 'left', 'AbortError', 'ERR_GAP']

eachStore('random', (store) => {
  const open = useEngines(store)

  test('G1 G4 G6 whatever happens, every reader sees what its generation was', async (t) => {
    const engines = [open(), open(), open()]
    /** @type {Record<string, number>} */
    const seen = {}
    for (let index = 0; index < STREAMS; index++) {
      const life = new Life(`stream ${index}`, engines, createRandom(index))
      await life.run()
      life.check()
      for (const { outcome = '' } of life.readers) seen[outcome] = (seen[outcome] ?? 0) + 1
    }
    const ends = Object.entries(seen).map(([outcome, count]) => `${outcome} ${count}`)
    t.diagnostic(`readers: ${ends.sort().join(', ')}`)
  })
})

class Life {
  /** @type {Promise<import('../support/history.mjs').Written>[]} */
  #appends = []
  /** @type {import('../support/history.mjs').Written[]} */
  #written = []
  /** The first seq of each generation. @type {Map<string, number>} */
  #first = new Map()
  /** Cursors that readers have seen. @type {{ cursor: string, seq: number }[]} */
  #cursors = []
  /** @type {import('../support/streams.mjs').Follower[]} */
  readers = []
  /** How many generations had begun when a reader ended. @type {Map<object, number>} */
  #begun = new Map()
  #last = 0

  /**
   * @param {string} streamId
   * @param {import('tidemark').Engine[]} engines
   * @param {import('../support/seed.mjs').Random} random
   */
  constructor(streamId, engines, random) {
    this.streamId = streamId
    this.engines = engines
    this.random = random
  }

  async run() {
    for (let count = 0; count < GENERATIONS; count++) {
      this.#read()
      const producers = await this.#start()
      await Promise.all(producers.map((producer, index) => this.#write(producer, `${count}.${index}`)))
      if (this.random.chance(0.7)) await this.#caughtUp()
    }
    const closing = await this.random.pick(this.engines).produce(this.streamId, { ifActive: 'takeover' })
    await this.#began(closing)
    const cursor = await closing.append('the last words')
    this.#last = Number(cursor.split('.')[1])
    await closing.complete()
    this.#written = await Promise.all(this.#appends)
    this.#written.push({ data: 'the last words', seq: this.#last })
    for (const reader of this.readers) {
      // Whoever follows everything gets the last words, and goes.
      const isDone = () => reader.outcome || reader.chunks.at(-1)?.seq === this.#last
      if (reader.name.includes('all')) {
        await until(isDone, { message: `${reader.name} gets the last words` })
        await reader.subscription.return()
      }
      await reader.end()
    }
  }

  /** Waits until every reader has seen what there is. */
  async #caughtUp() {
    const { firstSeq = 1, lastSeq = 0 } = (await this.engines[0]?.status(this.streamId)) ?? {}
    // Whoever came to an empty generation has nothing to see.
    if (firstSeq > lastSeq) return
    for (const reader of this.readers) {
      const isDone = () => reader.outcome || (reader.chunks.at(-1)?.seq ?? reader.from) >= lastSeq
      await until(isDone, { interval: 1, message: `${reader.name} gets chunk ${lastSeq}` })
    }
  }

  async #start() {
    const { random } = this
    const ifActive = random.chance(0.3) ? 'share' : 'takeover'
    if (ifActive === 'share') {
      // A generation that is still live belongs to others.
      const last = await random.pick(this.engines).produce(this.streamId, { ifActive: 'takeover' })
      await this.#began(last)
      await last.complete()
    }
    const count = ifActive === 'share' ? random.int(1, 3) : 1
    const starts = Array.from({ length: count }, () =>
      random.pick(this.engines).produce(this.streamId, { ifActive }),
    )
    const producers = await Promise.all(starts)
    for (const producer of producers) await this.#began(producer)
    return producers
  }

  /** @param {import('tidemark').Producer} producer */
  async #began({ generation }) {
    const status = await this.random.pick(this.engines).status(this.streamId)
    assert.equal(status?.generation, generation)
    this.#first.set(generation, status.firstSeq)
  }

  /** @param {import('tidemark').Producer} producer @param {string} name */
  async #write(producer, name) {
    const { random } = this
    for (let count = random.int(0, 60); count > 0 && !producer.signal.aborted; count--) {
      const text = `${name}, ${count} to go ${'é'.repeat(2 ** random.int(0, 9))}`
      const data = random.chance(0.3) ? Buffer.from(text) : text
      const entry = { data, producer: name }
      this.#appends.push(
        producer.append(data).then(
          (cursor) => ({ ...entry, seq: Number(cursor.split('.')[1]) }),
          (error) => {
            assert.ok(REFUSED.includes(error.code), error)
            return { ...entry, acknowledged: false }
          },
        ),
      )
      if (random.chance(0.2)) await turn()
      if (random.chance(0.1)) this.#read()
      if (random.chance(0.01)) await random.pick(this.engines).stop(this.streamId)
    }
    const end = random.pick(['complete', 'complete', 'fail', 'nothing'])
    if (end === 'nothing') return
    await (end === 'fail' ? producer.fail('no') : producer.complete()).catch((error) => {
      assert.ok(REFUSED.includes(error.code), error)
    })
  }

  #read() {
    const { random } = this
    const place = random.chance(0.4) ? random.pick([undefined, ...this.#cursors.slice(-20)]) : undefined
    const all = random.chance(0.3)
    const leaves = random.chance(0.2) ? random.int(1, 30) : Number.POSITIVE_INFINITY
    let count = 0
    const reader = follow(random.pick(this.engines), this.streamId, {
      name: `reader ${this.readers.length}${all ? ' of all' : ''} from ${place?.cursor ?? 'start'}`,
      from: place?.cursor ?? 'start',
      after: place?.seq,
      follow: all ? 'all' : 'generation',
      each: ({ cursor, seq }) => {
        if (random.chance(0.05)) this.#cursors.push({ cursor, seq })
        count += 1
        return count < leaves
      },
    })
    this.readers.push(reader)
    reader.end(60_000).then(() => this.#begun.set(reader, this.#first.size))
  }

  check() {
    const firsts = [...this.#first.values()]
    const readers = this.readers.map((reader) => {
      assert.ok(ENDS.includes(reader.outcome ?? ''), `${reader.name}: ${reader.error ?? reader.outcome}`)
      const [chunk] = reader.chunks
      const [generation = ''] = chunk?.cursor.split('.') ?? []
      const generations = new Set(reader.chunks.map(({ cursor }) => cursor.split('.')[0]))
      assert.ok(generations.size <= 1 || reader.name.includes('all'), reader.name)
      const place = reader.chunks.at(-1)?.cursor ?? reader.name.split(' from ')[1] ?? ''
      const ordinal = [...this.#first.keys()].indexOf(place.split('.')[0] ?? '')
      if (reader.outcome === 'ERR_GAP' && ordinal >= 0) {
        // Only what is two generations old may be gone.
        assert.ok(ordinal + 2 <= (this.#begun.get(reader) ?? 0), `${reader.name}: ${reader.error}`)
      }
      // From the start of whatever was the current generation then.
      const isStart = reader.name.endsWith('start')
      if (isStart && chunk) assert.equal(chunk.seq, this.#first.get(generation), reader.name)
      const from = isStart ? (chunk?.seq ?? this.#last + 1) - 1 : reader.from
      const isWhole = ['complete', 'stopped', 'failed', 'interrupted'].includes(reader.outcome ?? '')
      const end = firsts.find((first) => first > (reader.chunks.at(-1)?.seq ?? from))
      const to = isWhole && chunk ? (end ?? this.#last + 1) - 1 : undefined
      return { ...reader, from, outcome: isWhole && !chunk ? 'empty' : reader.outcome, to }
    })
    checkHistory({ written: this.#written, readers })
  }
}
