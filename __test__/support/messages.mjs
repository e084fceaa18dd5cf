// Chats of `tidemark/message-stream`: their models, their readers, and what these have seen.

import { after, before } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { cleanup, subscribeToMessageChunkStream } from 'tidemark/message-stream'
import { checkHistory } from './history.mjs'
import { deadline, until } from './wait.mjs'

/** @typedef {import('tidemark/message-stream').StreamMessage} StreamMessage */
/** @typedef {import('tidemark/message-stream').MessageChunkStreamData} Data */

let count = 0
/** A chat id that no other test uses. */
export const newChat = () => `chat ${++count}`

/** @param {string} chatId @param {Partial<Data>} [more] @returns {Data} */
export const dataOf = (chatId, more) => ({
  chatId,
  userContent: 'Hello',
  type: 'demo',
  intervalMs: 0,
  ...more,
})

/**
 * For a suite: the module's streams are in this store.
 * @param {import('./stores.mjs').TestStore} store
 * @returns {() => import('tidemark').Engine} another server, once the tests run
 */
export function useChats(store) {
  /** @type {import('tidemark').Engine} */
  let other
  before(() => {
    process.env.TIDEMARK_URL = store.url
    other = createEngine({ url: store.url, keyPrefix: 'message-stream' })
  })
  after(async () => {
    await cleanup()
    await other.close()
    delete process.env.TIDEMARK_URL
  })
  return () => other
}

/** A model that says one word after the other, for as long as it is let. */
export function endlessModel() {
  const model = {
    said: /** @type {string[]} */ ([]),
    isLeft: false,
    async *words() {
      try {
        for (let index = 0; ; index++) {
          const word = `word${index} `
          model.said.push(word)
          yield word
          await sleep(2)
        }
      } finally {
        model.isLeft = true
      }
    },
  }
  return model
}

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
