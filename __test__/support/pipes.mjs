// Sources and local clients of a pipe, each recording what happened to it.

import assert from 'node:assert/strict'
import { after } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { deadline, until } from './wait.mjs'

const END_MS = 20_000

/** @typedef {string | Uint8Array} Data */

/** The kinds of sources that `Source.as` makes; `web function` is a function that returns a web stream. */
export const KINDS = /** @type {const} */ (['iterable', 'web', 'function', 'web function'])

/** A source for `engine.pipe`, and how it was read. */
export class Source {
  /** How many chunks it has handed out. */
  taken = 0
  /** How its reading ended, undefined while it has not. @type {'drained' | 'left' | 'failed' | undefined} */
  ended
  /** The signal that a function was given. @type {AbortSignal | undefined} */
  signal
  #chunks

  /** @param {Iterable<Data> | AsyncIterable<Data>} chunks what it yields; what this throws, it throws */
  constructor(chunks) {
    this.#chunks = chunks
  }

  /** @param {typeof KINDS[number]} kind @returns {import('tidemark').PipeSource} */
  as(kind) {
    if (kind === 'iterable') return this.#iterable()
    if (kind === 'web') return this.#web()
    return (signal) => {
      this.signal = signal
      return kind === 'function' ? this.#iterable() : this.#web()
    }
  }

  /** Waits until its reading has ended. */
  end() {
    return until(() => this.ended, { message: () => `the source ends; ${this.taken} chunks were taken` })
  }

  #iterable() {
    return { [Symbol.asyncIterator]: () => this.#iterator() }
  }

  #web() {
    const iterator = this.#iterator()
    return new ReadableStream(
      {
        pull: async (controller) => {
          const { done, value } = await iterator.next()
          if (done) controller.close()
          else controller.enqueue(value)
        },
        cancel: () => void iterator.return(),
      },
      // Nothing is read ahead.
      { highWaterMark: 0 },
    )
  }

  // Not a generator: those do not notice `return` before their first `next`, nor while they wait.
  #iterator() {
    const chunks =
      Symbol.asyncIterator in this.#chunks
        ? this.#chunks[Symbol.asyncIterator]()
        : this.#chunks[Symbol.iterator]()
    return {
      next: async () => {
        try {
          const result = await chunks.next()
          if (result.done) this.ended ??= 'drained'
          else this.taken += 1
          return result
        } catch (error) {
          this.ended ??= 'failed'
          throw error
        }
      },
      return: async () => {
        this.ended ??= 'left'
        return { done: /** @type {const} */ (true), value: undefined }
      },
    }
  }
}

/** The local client: reads the pipe's stream in the background. As a reader of `checkHistory`, it counts by itself. */
export class Local {
  name = 'the local client'
  /** @type {{ seq: number, data: Data }[]} */
  chunks = []
  /** `complete` when the stream was closed, else its error's code or name. @type {string | undefined} */
  outcome
  /** What the stream ended with. @type {any} */
  error
  #done

  /** @param {ReadableStream<Data>} stream @param {number} [first] the seq of the first chunk */
  constructor(stream, first = 1) {
    this.#done = this.#read(stream, first)
  }

  async end() {
    const message = `the local client's stream ends`
    await deadline(this.#done, END_MS, message).catch((error) => {
      throw new Error(`${error.message}; it has got ${this.chunks.length} chunks`)
    })
    return this
  }

  /** @param {number} count */
  async has(count) {
    const message = () => `the local client gets ${count} chunks, it has got ${this.chunks.length}`
    await until(() => this.chunks.length >= count, { message })
  }

  /** @param {ReadableStream<Data>} stream @param {number} first */
  async #read(stream, first) {
    try {
      for await (const data of stream) this.chunks.push({ seq: first + this.chunks.length, data })
      this.outcome = 'complete'
    } catch (error) {
      this.error = error
      this.outcome = /** @type {any} */ (error)?.code ?? /** @type {any} */ (error)?.name ?? String(error)
    }
  }
}

/**
 * Pipes, with a promise for the end as hosts get it.
 * @param {import('tidemark').Engine} engine
 * @param {string} streamId
 * @param {import('tidemark').PipeSource} source
 * @param {import('tidemark').PipeOptions} [options]
 */
export function pipe(engine, streamId, source, options) {
  /** @type {Promise<unknown> | undefined} */
  let done
  const stream = engine.pipe(streamId, source, {
    ...options,
    waitUntil(promise) {
      done = promise
    },
  })
  if (done === undefined) throw new Error('waitUntil was not called')
  const settled = deadline(done, END_MS, 'the promise of waitUntil settles')
  // A test looks at this promise of our own only after the local stream has ended; until then nobody has handled it.
  settled.catch(() => {})
  return { stream, done: settled }
}

/** After the file's tests, fails if a rejection was left to nobody. */
export function expectNoRejections() {
  /** @type {unknown[]} */
  const rejections = []
  process.on('unhandledRejection', (reason) => rejections.push(reason))
  after(async () => {
    await turn()
    assert.deepEqual(rejections, [], 'a rejection was left to nobody')
  })
}
