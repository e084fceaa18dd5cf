// The producers of a demo server: an answer runs in one place, from its start to its end.

import { paced } from './source.mjs'

/** How long a server that is closed waits for the ends of its answers to be written. */
const END_MS = 2000

/** @typedef {Pick<import('./server.mjs').Options, 'engine' | 'source' | 'rate' | 'say' | 'onWrite'>} Options */

export class Answers {
  /** @type {Map<string, Promise<void>>} */
  #running = new Map()
  #options

  /** @param {Options} options */
  constructor(options) {
    this.#options = options
  }

  /** Starts an answer on a stream. Once this resolves, the stream is there to be followed. */
  async start(/** @type {string} */ id, /** @type {number} */ port) {
    const { engine, source, rate, say } = this.#options
    const metadata = { title: source.title, rate, port, pid: process.pid }
    const producer = await engine.produce(id, { metadata })
    const done = this.#write(producer)
      .catch((error) => say(`${id}: ${error.message}`))
      .finally(() => this.#running.delete(id))
    this.#running.set(id, done)
  }

  /** The producer: one chunk for each part of the source, until it ends, fails or is stopped. */
  async #write(/** @type {import('../../index.js').Producer} */ producer) {
    const { source, rate, onWrite } = this.#options
    const put = (/** @type {unknown} */ part) => {
      const data = JSON.stringify(part)
      const isBelowMark = producer.write(data)
      onWrite?.(producer.streamId, data)
      return isBelowMark
    }
    try {
      for await (const part of paced(source.parts(), rate, producer.signal)) {
        if (!put(part)) await producer.ready
      }
      await producer.complete()
    } catch (error) {
      if (!producer.signal.aborted) {
        // Its own words are for this server's output.
        await producer.fail('its source has failed')
        throw error
      }
      // Fenced, or the stream is lost: there is nothing left to write to.
      if (producer.signal.reason.code !== 'ERR_STOPPED') throw producer.signal.reason
      put({ type: 'abort' })
      await producer.complete()
    }
  }

  /** Stops the answers that run here, and waits for their ends. */
  async close() {
    const running = [...this.#running]
    const { engine } = this.#options
    await Promise.allSettled(running.map(([id]) => engine.stop(id, 'the server was closed')))
    await Promise.race([
      Promise.all(running.map(([, done]) => done)),
      new Promise((resolve) => setTimeout(resolve, END_MS).unref()),
    ])
  }
}
