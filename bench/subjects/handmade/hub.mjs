// All streams of a process: names, channels, and who reads them.

import { openConnections } from './connections.mjs'
import { formats } from './formats.mjs'
import { Producer } from './producer.mjs'
import { Subscription } from './subscription.mjs'

/** @typedef {{ readers: Set<Subscription>, ready: Promise<unknown> }} Topic */

/** @param {string} id */
const namesOf = (id) => ({ key: `h:{${id}}:s`, channel: `h:{${id}}:c` })

export class Hub {
  #connections
  #format
  /** By channel. @type {Map<string, Topic>} */
  #topics = new Map()

  /** @param {string} url @param {import('./formats.mjs').Mode} mode */
  static async connect(url, mode) {
    return new Hub(await openConnections(url, formats[mode].script), formats[mode])
  }

  /** @param {import('./connections.mjs').Connections} connections @param {import('./formats.mjs').Format} format */
  constructor(connections, format) {
    this.#connections = connections
    this.#format = format
    connections.onMessage((channel, message) => this.#receive(channel, message))
    connections.onReady(() => this.#repair())
  }

  /** @param {string} id */
  produce(id) {
    return new Producer(this.#connections, this.#format, namesOf(id))
  }

  /** @param {string} id */
  subscribe(id) {
    const { key, channel } = namesOf(id)
    let topic = this.#topics.get(channel)
    if (!topic) {
      topic = { readers: new Set(), ready: this.#connections.subscribe([channel]) }
      this.#topics.set(channel, topic)
    }
    const leave = (/** @type {Subscription} */ reader) => this.#leave(channel, reader)
    const subscription = new Subscription(this.#connections, this.#format, key, leave)
    topic.readers.add(subscription)
    topic.ready.then(() => subscription.start())
    return subscription
  }

  /** Parses once for all readers of this process. @param {string} channel @param {string} message */
  #receive(channel, message) {
    const topic = this.#topics.get(channel)
    if (!topic) return
    const end = message.indexOf('\n')
    const first = Number(message.slice(0, end))
    const events = this.#format.decodeMessage(message.slice(end + 1))
    for (const reader of topic.readers) reader.feed(first, events)
  }

  /** After a reconnection: subscribes again, then lets each reader look for what it has missed. */
  async #repair() {
    if (this.#topics.size === 0) return
    await this.#connections.subscribe([...this.#topics.keys()])
    for (const { readers } of this.#topics.values()) for (const reader of readers) reader.catchUp()
  }

  /** @param {string} channel @param {Subscription} reader */
  #leave(channel, reader) {
    const topic = this.#topics.get(channel)
    if (!topic?.readers.delete(reader) || topic.readers.size > 0) return
    this.#topics.delete(channel)
    this.#connections.unsubscribe(channel)
  }
}
