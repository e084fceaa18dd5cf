// Engines, producers and readers as the behaviour tests use them.

import { after } from 'node:test'
import { createEngine } from 'tidemark'
import { deadline, until } from './wait.mjs'

const END_MS = 20_000

/**
 * Engines for a suite: all have one key prefix, and they are closed after the suite.
 * @param {import('./stores.mjs').TestStore} store
 * @returns {(options?: import('tidemark').EngineOptions) => import('tidemark').Engine}
 */
export function useEngines(store) {
  /** @type {import('tidemark').Engine[]} */
  const opened = []
  const keyPrefix = store.prefix()
  after(() => Promise.all(opened.map((engine) => engine.close())))
  return (options) => {
    // What is due to a Redis that gets no processor is no behaviour of the engine's.
    const engine = createEngine({ url: store.url, keyPrefix, commandTimeout: '20s', ...options })
    opened.push(engine)
    return engine
  }
}

/** Reads a subscription in the background; it is a reader for `checkHistory`. */
export class Follower {
  /** @type {{ seq: number, data: string | Uint8Array, cursor: string }[]} */
  chunks = []
  /** The outcome, the code of another error, or `left`; undefined while it reads. @type {string | undefined} */
  outcome
  /** What the loop threw. @type {any} */
  error
  #done

  /**
   * @param {import('tidemark').Subscription} subscription
   * @param {object} [options]
   * @param {string} [options.name]
   * @param {number} [options.from] the seq that the subscription begins after
   * @param {(chunk: import('tidemark').Chunk) => unknown} [options.each] awaited for every chunk; false leaves
   */
  constructor(subscription, { name = 'the reader', from = 0, each } = {}) {
    this.subscription = subscription
    this.name = name
    this.from = from
    this.#done = this.#read(each)
  }

  /** Waits for the end of the loop, however it ends. */
  async end(ms = END_MS) {
    await deadline(this.#done, ms, `${this.name} ends`).catch((error) => {
      throw new Error(`${error.message}; it has got ${this.chunks.length} chunks`)
    })
    return this
  }

  /** Waits until it has got so many chunks; throws when it ends before. @param {number} count */
  async has(count) {
    const message = () => `${this.name} gets ${count} chunks, it has got ${this.chunks.length}`
    await until(() => this.chunks.length >= count || this.outcome, { message })
    if (this.chunks.length < count) {
      throw new Error(`${this.name} ended (${this.outcome}) after ${this.chunks.length} chunks`, {
        cause: this.error,
      })
    }
  }

  /** @param {((chunk: import('tidemark').Chunk) => unknown) | undefined} each */
  async #read(each) {
    try {
      for await (const chunk of this.subscription) {
        this.chunks.push({ seq: chunk.seq, data: chunk.data, cursor: chunk.cursor })
        if (each && (await each(chunk)) === false) break
      }
      this.outcome = this.subscription.outcome ?? 'left'
    } catch (error) {
      this.error = error
      const { code, name } = /** @type {any} */ (error)
      this.outcome = this.subscription.outcome ?? code ?? name
    }
  }
}

/**
 * Follows a stream from its start, or from `options.from`.
 * @param {import('tidemark').Engine} engine
 * @param {string} streamId
 * @param {import('tidemark').SubscribeOptions & {
 *   after?: number, name?: string, each?: (chunk: import('tidemark').Chunk) => unknown
 * }} [options] `after` is the seq that `from` stands for; for the others see {@link Follower}
 */
export function follow(engine, streamId, { name, each, after: seen, ...options } = {}) {
  return new Follower(engine.subscribe(streamId, options), { name, each, from: seen })
}

/** Reads a finished stream. @param {Parameters<typeof follow>} args */
export function readAll(...args) {
  return follow(...args).end()
}

/** Unique texts. @param {number} count @param {string} [label] */
export function texts(count, label = 'chunk') {
  return Array.from({ length: count }, (_, index) => `${label} ${index + 1} `)
}

/**
 * Chunks of one producer as the history checker takes them.
 * @param {(string | Uint8Array)[]} chunks
 * @param {number} [first] the first one's seq
 */
export function numbered(chunks, first = 1) {
  return chunks.map((data, index) => ({ data, seq: first + index }))
}

/**
 * Writes at the pace of the queue.
 * @param {import('tidemark').Producer} producer
 * @param {Iterable<string | Uint8Array>} chunks
 */
export async function writeAll(producer, chunks) {
  for (const chunk of chunks) if (!producer.write(chunk)) await producer.ready
}

/**
 * Produces a whole generation.
 * @param {import('tidemark').Engine} engine
 * @param {string} streamId
 * @param {Iterable<string | Uint8Array>} chunks
 * @param {import('tidemark').ProduceOptions} [options]
 */
export async function produceAll(engine, streamId, chunks, options) {
  const producer = await engine.produce(streamId, options)
  await writeAll(producer, chunks)
  await producer.complete()
  return producer
}

/** The ids of all streams, sorted. @param {import('tidemark').Engine} engine */
export async function listed(engine) {
  /** @type {string[]} */
  const ids = []
  for await (const { streamId } of engine.streams()) ids.push(streamId)
  return ids.sort()
}
