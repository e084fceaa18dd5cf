// The work that goes on while something fails: paced producers, readers that come and go, and the history of both.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRandom } from './seed.mjs'
import { deadline } from './wait.mjs'

/**
 * @typedef {import('tidemark').Engine} Engine
 * @typedef {import('tidemark').Producer} Producer
 * @typedef {import('./history.mjs').Written} Written
 * @typedef {import('./history.mjs').Reader} Reader
 * @typedef {import('./seed.mjs').Random} Random
 */

/** @param {string} cursor */
export const seqOf = (cursor) => Number(cursor.slice(cursor.lastIndexOf('.') + 1))

/** What a history keeps of a chunk: short, and other for text than for bytes. @param {string | Uint8Array} data */
export function digest(data) {
  if (typeof data === 'string' && data.length <= 80) return data
  const kind = typeof data === 'string' ? 'text' : 'bytes'
  return `${kind} ${createHash('sha256').update(data).digest('base64')}`
}

/** A producer at a steady pace, and the result of each of its writes. */
export class Writing {
  /** In write order. @type {Written[]} */
  written = []
  /** Of chunks that were not accepted. @type {any[]} */
  errors = []
  accepted = 0
  #producer
  #random
  #everyMs
  /** @type {Promise<void>[]} */
  #appends = []
  #paused = false
  /** @type {Promise<void> | undefined} */
  #pace

  /**
   * @param {Producer} producer
   * @param {{ random: Random, everyMs?: number }} options
   */
  constructor(producer, { random, everyMs = 20 }) {
    this.#producer = producer
    this.#random = random
    this.#everyMs = everyMs
  }

  get producer() {
    return this.#producer
  }

  /** Appends a chunk each `everyMs` until `finish`, catching up when this process was late. */
  start() {
    this.#pace = this.#run()
    return this
  }

  async #run() {
    const begin = performance.now()
    for (let count = 0; !this.#paused; ) {
      for (; !this.#paused && count * this.#everyMs <= performance.now() - begin; count++) this.append()
      await sleep(this.#everyMs)
    }
  }

  /** @param {string | Uint8Array} [data] */
  append(data = this.#chunk()) {
    /** @type {Written} */
    const entry = { data: digest(data), producer: this.#producer.generation, acknowledged: false }
    this.written.push(entry)
    const settled = this.#producer.append(data).then(
      (cursor) => {
        entry.seq = seqOf(cursor)
        entry.acknowledged = true
        this.accepted += 1
      },
      (error) => {
        this.errors.push(error)
        // The test is over.
        if (error.code === 'ERR_CLOSED') this.#paused = true
      },
    )
    this.#appends.push(settled)
    return settled
  }

  /** Mostly tokens; now and then bytes, a page of text, or more than a live message carries along (16 KiB). */
  #chunk() {
    const name = `${this.#producer.streamId} ${this.#producer.generation.slice(-4)} ${this.written.length}`
    if (this.#random.chance(0.05)) return Buffer.from(name)
    if (this.#random.chance(0.01)) return `${name} ${'long '.repeat(this.#random.int(100, 5000))}`
    return name
  }

  /** Ends the pace and waits until the fate of every chunk is known. @param {number} [ms] */
  async settle(ms = 15_000) {
    this.#paused = true
    await this.#pace
    await deadline(Promise.all(this.#appends), ms, `every append on ${this.#producer.streamId} settles`)
  }

  /** Settles, then completes. @param {number} [ms] */
  async finish(ms = 15_000) {
    await this.settle(ms)
    return deadline(this.#producer.complete(), ms, `complete() on ${this.#producer.streamId}`)
  }
}

/** A reader that leaves at random moments and comes back with its cursor, until its stream ends. */
export class Reading {
  /** One for each time it came. @type {Reader[]} */
  sessions = []
  chunks = 0
  #engine
  #streamId
  #options
  /** @type {string | undefined} */
  #cursor
  #seq = 0

  /**
   * @param {Engine} engine
   * @param {string} streamId
   * @param {object} options
   * @param {string} options.name
   * @param {Random} options.random
   * @param {[number, number] | null} [options.stay] how long it stays each time, in ms; null is to the end
   */
  constructor(engine, streamId, { name, random, stay = [20, 1500] }) {
    this.#engine = engine
    this.#streamId = streamId
    this.#options = { name, random, stay }
  }

  /** Starts reading; `done` is how the last session ended. */
  start() {
    /** @type {Promise<string>} */
    this.done = this.#run()
    return this
  }

  async #run() {
    const { random } = this.#options
    for (;;) {
      const outcome = await this.#session()
      if (outcome !== 'left') return outcome
      if (random.chance(0.5)) await sleep(random.int(1, 300))
    }
  }

  async #session() {
    const { name, random, stay } = this.#options
    /** @type {Reader} */
    const session = {
      name: `${name}/${this.sessions.length}`,
      from: this.#seq,
      chunks: [],
      outcome: undefined,
    }
    this.sessions.push(session)
    const leave = new AbortController()
    const timer = stay && setTimeout(() => leave.abort(), random.int(...stay))
    const breakAfter = stay && random.chance(0.3) ? random.int(1, 40) : Number.POSITIVE_INFINITY
    const options = { from: this.#cursor ?? 'start', signal: leave.signal }
    const subscription = this.#engine.subscribe(this.#streamId, options)
    try {
      for await (const { seq, cursor, data } of subscription) {
        session.chunks.push({ seq, data: digest(data) })
        this.chunks += 1
        this.#cursor = cursor
        this.#seq = seq
        if (session.chunks.length >= breakAfter) break
      }
      session.outcome = subscription.outcome ?? 'left'
    } catch (error) {
      session.outcome = wordFor(error, leave.signal)
    } finally {
      if (timer) clearTimeout(timer)
    }
    return session.outcome
  }
}

/** @param {any} error @param {AbortSignal} [leave] */
export function wordFor(error, leave) {
  if (leave?.aborted && error === leave.reason) return 'left'
  if (error?.code === 'ERR_INTERRUPTED') return `interrupted: ${error.reason}`
  return error?.code ? `${error.code} ${error.message}` : `${error?.stack ?? error}`
}

/**
 * Starts readers of each stream.
 * @param {Engine} engine
 * @param {string[]} streamIds
 * @param {{ each: number, name?: string, random?: Random, stay?: [number, number] | null }} options
 */
export function startReaders(engine, streamIds, { each, name = 'reader ', random = createRandom(1), stay }) {
  return new Map(
    streamIds.map((streamId) => {
      const readers = Array.from({ length: each }, (_, index) =>
        new Reading(engine, streamId, { name: `${name}${index}`, random, stay }).start(),
      )
      return [streamId, readers]
    }),
  )
}

/**
 * Waits for the readers' ends.
 * @param {Map<string, Reading[]>} readings
 * @param {number} ms
 * @returns {Promise<Record<string, Reader[]>>} the sessions of each stream; those that have not ended have no outcome
 */
export async function histories(readings, ms) {
  const all = [...readings.values()].flat().map(({ done }) => done)
  // The checker finds readers that are late, with all that they saw.
  await deadline(Promise.all(all), ms, 'every reader ends').catch(() => {})
  const entries = [...readings].map(([id, readers]) => [id, readers.flatMap(({ sessions }) => sessions)])
  return Object.fromEntries(entries)
}
