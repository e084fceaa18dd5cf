// The one checker of what readers have seen (guarantee G1): every chunk once, in order, with its own data.

import { AssertionError } from 'node:assert'

/**
 * One chunk as its producer knows it. The order of a producer's entries is the order of its writes.
 * @typedef {object} Written
 * @property {string | Uint8Array} data
 * @property {number} [seq] as acknowledged. Without it the data must be unique in the stream, and finds the seq
 * @property {string} [producer] whose write order this chunk is part of; one producer by default
 * @property {boolean} [acknowledged] true by default. A chunk that was not acknowledged may be there, at most once
 */

/**
 * One subscription, from its start to its end; a reader that comes back is two of them.
 * @typedef {object} Reader
 * @property {string} name for the report
 * @property {number} [from] the seq it had already seen, 0 by default
 * @property {{ seq: number, data: string | Uint8Array }[]} chunks in the order of arrival
 * @property {string | undefined} outcome how it ended; undefined (still waiting) is a violation. `complete` and
 *   `stopped` promise the whole rest of the stream; any other word, such as `gap` or `aborted`, promises nothing
 * @property {number} [to] the last seq it must have seen, whatever its outcome; for a generation that others follow
 */

/**
 * @typedef {object} History of one stream
 * @property {Written[]} written in each producer's write order
 * @property {Reader[]} readers at least one
 * @property {number} [first] the first seq ever given, 1 by default
 */

/** @typedef {'not-ended' | 'gap' | 'duplicate' | 'reordered' | 'wrong-data' | 'invented' | 'missing-tail' | 'past-end' |
 *   'seq-twice' | 'seq-gap' | 'lost' | 'doubled' | 'producer-order'} Kind */

/** @typedef {{ kind: Kind, message: string }} Violation */

const REPORTED = 20

/**
 * Throws an AssertionError that lists what is wrong with the history.
 * @param {History} history
 */
export function checkHistory(history) {
  const found = findViolations(history)
  if (found.length === 0) return
  const lines = found.slice(0, REPORTED).map(({ kind, message }) => `  ${kind}: ${message}`)
  if (found.length > REPORTED) lines.push(`  … and ${found.length - REPORTED} more`)
  throw new AssertionError({ message: `${found.length} violations of G1\n${lines.join('\n')}` })
}

/**
 * Everything that is wrong with the history; throws a TypeError when the history itself cannot be judged.
 * @param {History} history
 * @returns {Violation[]}
 */
export function findViolations({ written, readers, first = 1 }) {
  if (readers.length === 0) throw new TypeError('a history without readers proves nothing')
  /** @type {Violation[]} */
  const found = []
  /** @type {Report} */
  const report = (kind, message) => void found.push({ kind, message })

  const log = new Log(written, first)
  log.checkSeqs(report)
  for (const reader of readers) log.checkOrder(reader, report)
  log.settle(report)
  for (const reader of readers) log.checkEnd(reader, report)
  log.checkProducers(report)
  return found
}

/** @typedef {(kind: Kind, message: string) => void} Report */

/** What is known of the stream: from the producers, and, where they do not know, from the readers. */
class Log {
  /** Acknowledged with a seq. @type {Map<number, Written>} */
  #acknowledged = new Map()
  /** Written without a seq, by data. @type {Map<string, Written>} */
  #floating = new Map()
  /** Seqs that only readers know. @type {Map<number, { data: string | Uint8Array, reader: string }>} */
  #observed = new Map()
  /** The seqs at which floating chunks were seen. @type {Map<Written, Set<number>>} */
  #places = new Map()
  #written
  #first

  /** @param {Written[]} written @param {number} first */
  constructor(written, first) {
    this.#written = written
    this.#first = first
    /** @type {Set<string>} */
    const keys = new Set()
    for (const chunk of written) {
      if (chunk.seq === undefined) {
        if (this.#floating.has(keyOf(chunk.data))) {
          throw new TypeError(`without seqs the data must be unique: ${show(chunk.data)} was written twice`)
        }
        this.#floating.set(keyOf(chunk.data), chunk)
      } else {
        keys.add(keyOf(chunk.data))
      }
    }
    for (const [key, { data }] of this.#floating) {
      if (keys.has(key))
        throw new TypeError(`without seqs the data must be unique: ${show(data)} was written twice`)
    }
  }

  /** No seq was given twice. @param {Report} report */
  checkSeqs(report) {
    for (const chunk of this.#written) {
      if (chunk.seq === undefined) continue
      const other = this.#acknowledged.get(chunk.seq)
      if (other) {
        report('seq-twice', `seq ${chunk.seq} was acknowledged for ${who(other)} and for ${who(chunk)}`)
      } else {
        this.#acknowledged.set(chunk.seq, chunk)
      }
    }
  }

  /** The reader's seqs follow each other, and each has the data that was written. @param {Reader} reader @param {Report} report */
  checkOrder({ name, from = 0, chunks }, report) {
    let last = Math.max(from, this.#first - 1)
    const seen = new Set()
    for (const { seq, data } of chunks) {
      if (seq === last + 1) {
        last = seq
      } else if (seq > last) {
        report('gap', `${name} got seq ${seq} after ${last}: ${this.#range(last + 1, seq - 1)} missing`)
        last = seq
      } else if (seen.has(seq) || seq <= from) {
        const why = seq <= from ? `though it started after ${from}` : `again, after ${last}`
        report('duplicate', `${name} got seq ${seq} (${show(data)}) ${why}`)
      } else {
        report('reordered', `${name} got seq ${seq} (${show(data)}) after ${last}`)
      }
      seen.add(seq)
      this.#checkData(name, seq, data, report)
    }
  }

  /** @param {string} reader @param {number} seq @param {string | Uint8Array} data @param {Report} report */
  #checkData(reader, seq, data, report) {
    const known = this.#acknowledged.get(seq)
    const other = this.#observed.get(seq)
    const expected = known ?? other
    if (expected) {
      if (keyOf(expected.data) === keyOf(data)) return
      const source = known ? `${who(known)} wrote` : `${other?.reader} got`
      report('wrong-data', `${reader} got ${show(data)} as seq ${seq}, ${source} ${show(expected.data)}`)
      return
    }
    this.#observed.set(seq, { data, reader })
    const origin = this.#floating.get(keyOf(data))
    if (origin) this.#places.set(origin, (this.#places.get(origin) ?? new Set()).add(seq))
    else report('invented', `${reader} got ${show(data)} as seq ${seq}, which nobody wrote`)
  }

  /** Now that all readers were heard: each chunk has one place, and there are no holes. @param {Report} report */
  settle(report) {
    for (const [chunk, seqs] of this.#places) {
      if (seqs.size > 1)
        report(
          'doubled',
          `${who(chunk)} wrote ${show(chunk.data)} once, it is at seqs ${[...seqs].join(', ')}`,
        )
    }
    // A seq that neither a producer nor a reader knows can only belong to a chunk that found no place yet.
    let homeless = this.#floating.size - this.#places.size
    const last = this.#last
    for (let seq = this.#first; seq <= last; seq++) {
      if (this.#acknowledged.has(seq) || this.#observed.has(seq)) continue
      if (homeless-- <= 0) report('seq-gap', `seq ${seq} was given to no chunk, ${last} was`)
    }
  }

  /** The reader has ended, and not too early. @param {Reader} reader @param {Report} report */
  checkEnd({ name, from = 0, chunks, outcome, to }, report) {
    const last = chunks.reduce((highest, { seq }) => Math.max(highest, seq), Math.max(from, this.#first - 1))
    if (outcome === undefined) report('not-ended', `${name} still waits after seq ${last}`)
    const quiet = outcome === 'complete' || outcome === 'stopped'
    const wanted = to ?? (quiet ? this.#last : last)
    if (last < wanted) {
      report(
        'missing-tail',
        `${name} ended (${outcome}) after seq ${last}: ${this.#range(last + 1, wanted)} missing`,
      )
    }
    if (to !== undefined && last > to) report('past-end', `${name} got seq ${last}, the end was ${to}`)
    if (!quiet || to !== undefined || from >= this.#first) return
    // This reader has seen everything, so what it has not seen is nowhere.
    for (const chunk of this.#floating.values()) {
      if (chunk.acknowledged !== false && !this.#places.has(chunk)) {
        report('lost', `${name} saw the whole stream without ${show(chunk.data)} of ${who(chunk)}`)
      }
    }
  }

  /** Each producer's chunks are in its write order. @param {Report} report */
  checkProducers(report) {
    /** @type {Map<string | undefined, { seq: number, chunk: Written }>} */
    const latest = new Map()
    for (const chunk of this.#written) {
      const seq = chunk.seq ?? [...(this.#places.get(chunk) ?? [])][0]
      if (seq === undefined) continue
      const before = latest.get(chunk.producer)
      if (before && seq <= before.seq) {
        const earlier = `${show(before.chunk.data)} (seq ${before.seq})`
        report('producer-order', `${who(chunk)} wrote ${show(chunk.data)} (seq ${seq}) after ${earlier}`)
      }
      latest.set(chunk.producer, { seq, chunk })
    }
  }

  /** The highest seq that anyone knows. */
  get #last() {
    let last = this.#first - 1
    for (const seq of this.#acknowledged.keys()) last = Math.max(last, seq)
    for (const seq of this.#observed.keys()) last = Math.max(last, seq)
    return last
  }

  /** @param {number} start @param {number} end */
  #range(start, end) {
    const seqs = Array.from({ length: Math.min(3, end - start + 1) }, (_, index) => start + index)
    const texts = seqs.map((seq) => show((this.#acknowledged.get(seq) ?? this.#observed.get(seq))?.data))
    return `${start === end ? start : `${start}–${end}`} (${texts.join(', ')}${end - start >= 3 ? ', …' : ''})`
  }
}

/** @param {Written} chunk */
const who = ({ producer }) => (producer === undefined ? 'the producer' : `producer ${producer}`)

/** Text and bytes never equal each other. @param {string | Uint8Array} data */
const keyOf = (data) =>
  typeof data === 'string' ? `text ${data}` : `bytes ${Buffer.from(data).toString('latin1')}`

/** @param {string | Uint8Array | undefined} data */
function show(data) {
  if (data === undefined) return 'unknown'
  const text = typeof data === 'string' ? JSON.stringify(data) : `<${Buffer.from(data).toString('hex')}>`
  return text.length > 40 ? `${text.slice(0, 30)}… of ${data.length}` : text
}
