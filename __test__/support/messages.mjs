// Readers of `tidemark/message-stream`, and what they have seen.

import { subscribeToMessageChunkStream } from 'tidemark/message-stream'
import { checkHistory } from './history.mjs'
import { deadline, until } from './wait.mjs'

/** @typedef {import('tidemark/message-stream').StreamMessage} StreamMessage */

/** Reads a chat in the background. */
export class ChatReader {
  /** @type {StreamMessage[]} */
  events = []
  /** What the loop threw. @type {any} */
  error
  /** How it ended; undefined while it reads. @type {string | undefined} */
  outcome
  #done

  /**
   * @param {string} chatId
   * @param {import('tidemark/message-stream').SubscribeOptions} [options]
   * @param {(event: StreamMessage, reader: ChatReader) => unknown} [each] false leaves the loop
   */
  constructor(chatId, options, each) {
    this.subscription = subscribeToMessageChunkStream(chatId, options)
    this.#done = this.#read(each)
  }

  /** The pieces of text so far. */
  get pieces() {
    return this.events.flatMap(({ chunk }) => (chunk === undefined ? [] : [chunk]))
  }

  async end() {
    await deadline(this.#done, 20_000, 'the reader ends')
    return this
  }

  /** @param {number} count */
  async has(count) {
    await until(() => this.events.length >= count, {
      message: () => `${count} events, got ${this.events.length}`,
    })
  }

  /** @param {((event: StreamMessage, reader: ChatReader) => unknown) | undefined} each */
  async #read(each) {
    try {
      for await (const event of this.subscription) {
        this.events.push(event)
        if (each?.(event, this) === false) break
      }
      this.outcome = this.subscription.outcome ?? 'left'
    } catch (error) {
      this.error = error
      this.outcome = this.subscription.outcome ?? /** @type {any} */ (error).code
    }
  }
}

/**
 * The history of one run, of which `whole` has seen everything: each of the others has seen the same events, once and in
 * order, from its own beginning.
 * @param {ChatReader} whole
 * @param {{ reader: ChatReader, skipped?: number }[]} [others] `skipped` is how many events it had no need of
 */
export function checkChat(whole, others = []) {
  const chunks = (/** @type {ChatReader} */ { events }, first = 1) =>
    events.map((event, index) => ({ seq: first + index, data: JSON.stringify(event) }))
  const readers = [{ reader: whole, skipped: 0 }, ...others].map(({ reader, skipped = 0 }, index) => ({
    name: `reader ${index}`,
    from: skipped,
    chunks: chunks(reader, skipped + 1),
    outcome: reader.outcome,
  }))
  checkHistory({ written: chunks(whole), readers })
}
