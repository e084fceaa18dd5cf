// The readers' process: `fan` readers of each stream, each with a history of its own.

import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../__test__/support/wait.mjs'
import { Cpu, Latencies, now } from '../lib/measure.mjs'
import { answerWords, task } from '../lib/worker.mjs'
import { connectTo, subjectNamed } from '../subjects/index.mjs'
import * as load from './load.mjs'

const REST_MS = 250
const RESTLESS_MS = 20_000

/** What one reader has seen. Shared counters are static: a run has up to 2,000 readers. */
class Reader {
  static latencies = new Latencies()
  static received = 0
  /** The number of the last chunk. */
  last = 0
  gaps = 0
  duplicates = 0
  ended = false
  #index

  /** @param {number} index of its stream */
  constructor(index) {
    this.#index = index
  }

  /** @param {import('../lib/payload.mjs').TimedDelta} event */
  take({ n, t }) {
    if (load.isMeasured(given, this.#index, n)) {
      // The message that says so may be late where the event loop is kept busy.
      measured ??= beginMeasuring()
      Reader.latencies.add(now() - t)
    }
    Reader.received++
    if (n === this.last + 1) {
      this.last = n
    } else if (n <= this.last) {
      this.duplicates++
    } else {
      this.gaps += n - this.last - 1
      this.last = n
    }
  }

  /** Every chunk once, in order, and then the end. */
  get isComplete() {
    const chunks = load.chunksOf(given, this.#index)
    return this.ended && this.last === chunks && this.gaps === 0 && this.duplicates === 0
  }
}

/** @type {ReturnType<typeof beginMeasuring> | undefined} */
let measured

const beginMeasuring = () => ({ cpu: new Cpu(), received: Reader.received, time: now() })

const given = /** @type {load.Task} */ (task())
const { history = 0 } = given
const { usesRedis } = subjectNamed(given.subject)
const client = await connectTo(given.subject, given.url)
/** @type {Set<string>} */
const errors = new Set()
const began = now()
const readers = Array.from(
  { length: given.streams * given.fan },
  (_, index) => new Reader(index % given.streams),
)
const loops = readers.map(async (reader, index) => {
  try {
    await client.consume(load.streamId(index % given.streams), (event) => reader.take(event))
    reader.ended = true
  } catch (error) {
    errors.add(String(error))
  }
})

answerWords({
  /** Subscribing costs a multiple of following: the stream begins when all readers have done it. */
  async settle() {
    const hasHistory = () => readers.every(({ last }) => last >= history)
    if (usesRedis && history > 0) await until(hasHistory, { timeout: 60_000, interval: 1 })
    const catchUpMs = now() - began
    for (let busy = true; busy && now() - began < catchUpMs + RESTLESS_MS; ) {
      const cpu = new Cpu()
      await sleep(REST_MS)
      busy = cpu.used().processUs / 1000 > 0.05 * REST_MS
    }
    return { catchUpMs }
  },
  measure() {
    measured ??= beginMeasuring()
    return 'measuring'
  },
  freeze() {
    if (!measured) throw new Error('freeze before measure')
    const { mainUs, processUs } = measured.cpu.used()
    const received = Reader.received - measured.received
    return { mainUs, processUs, received, wallMs: now() - measured.time }
  },
  async results() {
    await Promise.race([Promise.all(loops), sleep(load.graceMs(given))])
    const sum = (/** @type {(reader: Reader) => number} */ count) =>
      readers.reduce((total, reader) => total + count(reader), 0)
    return {
      p50: Reader.latencies.quantile(0.5),
      p99: Reader.latencies.quantile(0.99),
      p999: Reader.latencies.quantile(0.999),
      received: Reader.received,
      complete: sum((reader) => Number(reader.isComplete)),
      readers: readers.length,
      gaps: sum((reader) => reader.gaps),
      duplicates: sum((reader) => reader.duplicates),
      errors: [...errors],
    }
  },
})
process.send?.('following')
