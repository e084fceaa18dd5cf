// For tests of `resumable-stream`: sources that the test controls, readers, and a publisher without Redis.

import { deadline } from './wait.mjs'

const READ_MS = 20_000

/** What the drop-in reads its URL from, each set or absent. @param {Record<string, string | undefined>} variables */
export function environment(variables) {
  for (const name of ['TIDEMARK_URL', 'REDIS_URL', 'KV_URL']) {
    if (variables[name] === undefined) delete process.env[name]
    else process.env[name] = variables[name]
  }
}

/** A stream of strings that the test writes, and what happened to it. */
export class HandSource {
  /** How often it was asked for. */
  calls = 0
  /** The signal that `makeStream` was given. @type {AbortSignal | undefined} */
  signal
  isCancelled = false
  /** @type {ReadableStreamDefaultController<any> | undefined} */
  #controller
  #stream = new ReadableStream({
    start: (controller) => {
      this.#controller = controller
    },
    cancel: () => {
      this.isCancelled = true
    },
  })

  /** For `makeStream`. @param {AbortSignal} [signal] */
  make = (signal) => {
    this.calls += 1
    this.signal = signal
    return this.#stream
  }

  /** @param {...any} chunks */
  write(...chunks) {
    for (const chunk of chunks) this.#controller?.enqueue(chunk)
    return this
  }

  close() {
    this.#controller?.close()
  }

  /** @param {unknown} error */
  fail(error) {
    this.#controller?.error(error)
  }
}

/** A source that has all its chunks already. @param {Iterable<any>} chunks @returns {() => ReadableStream<any>} */
export function ready(chunks) {
  return () => {
    const source = new HandSource().write(...chunks)
    source.close()
    return source.make()
  }
}

/**
 * Reads one stream step by step.
 */
export class TextReader {
  #reader

  /** @param {ReadableStream<string> | null | undefined} stream */
  constructor(stream) {
    if (!stream) throw new Error(`${stream} is no stream`)
    this.#reader = stream.getReader()
  }

  /** The next chunk that is not empty, or undefined at the end. @returns {Promise<string | undefined>} */
  async next() {
    for (;;) {
      const { done, value } = await deadline(this.#reader.read(), READ_MS, 'a chunk or the end')
      if (done) return undefined
      if (value.length > 0) return value
    }
  }

  /** The text up to the end. */
  async rest() {
    let text = ''
    for (;;) {
      const chunk = await this.next()
      if (chunk === undefined) return text
      text += chunk
    }
  }

  /** Reads until so much text is there. @param {number} units */
  async has(units) {
    let text = ''
    while (text.length < units) {
      const chunk = await this.next()
      if (chunk === undefined) throw new Error(`the stream ended after ${JSON.stringify(text)}`)
      text += chunk
    }
    return text
  }

  cancel() {
    return this.#reader.cancel()
  }
}

/** All of a stream. @param {ReadableStream<string> | null | undefined} stream */
export function textOf(stream) {
  return new TextReader(stream).rest()
}

/** What a stream ends with when it fails, and the text before it. @param {ReadableStream<string> | null | undefined} stream */
export async function failureOf(stream) {
  const reader = new TextReader(stream)
  let text = ''
  try {
    for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) text += chunk
  } catch (error) {
    return { text, error: /** @type {any} */ (error) }
  }
  throw new Error(`the stream ended without an error after ${JSON.stringify(text)}`)
}

/** A publisher and subscriber in this process, as users write them for their tests. */
export class LocalPubSub {
  /** @type {Map<string, ((message: string) => void)[]>} */
  listeners = new Map()
  /** @type {Map<string, string | number>} */
  values = new Map()
  /** Everything that was published. @type {{ channel: string, message: string }[]} */
  published = []

  connect = async () => {}

  /** @param {string} channel @param {string} message */
  publish = async (channel, message) => {
    this.published.push({ channel, message })
    await turn()
    const listeners = this.listeners.get(channel) ?? []
    for (const listener of listeners) listener(message)
    return listeners.length
  }

  /** @param {string} channel @param {(message: string) => void} listener */
  subscribe = async (channel, listener) => {
    await turn()
    this.listeners.set(channel, [...(this.listeners.get(channel) ?? []), listener])
  }

  /** @param {string} channel */
  unsubscribe = async (channel) => {
    await turn()
    this.listeners.delete(channel)
  }

  /** @param {string} key @param {string} value */
  set = async (key, value) => {
    await turn()
    this.values.set(key, value)
  }

  /** @param {string} key */
  get = async (key) => {
    await turn()
    return this.values.get(key) ?? null
  }

  /** @param {string} key */
  incr = async (key) => {
    await turn()
    const count = Number(this.values.get(key) ?? 0) + 1
    if (Number.isNaN(count)) throw new Error('ERR value is not an integer or out of range')
    this.values.set(key, count)
    return count
  }
}

/** As in a round trip, others get their turn. */
function turn() {
  return new Promise((resolve) => setImmediate(resolve))
}
