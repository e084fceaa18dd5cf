// A reader: an async iterator with a queue. Not an async generator, so that a `next()` costs one promise.

const COMPACT_AT = 4096

/** @typedef {import('./formats.mjs').Event} Event */

/** @implements {AsyncIterableIterator<Event>} */
export class Subscription {
  #connections
  #format
  #key
  #onEnd
  /** Number of the last event taken. */
  #last = 0
  /** Events from `#head` on wait for `next()`. @type {Event[]} */
  #queue = []
  #head = 0
  /** @type {((result: IteratorResult<Event, undefined>) => void) | undefined} */
  #waiting
  #ended = false
  // Until the first page: messages that come before it only say that there is more to read.
  #reading = true
  #readAgain = false

  /**
   * @param {import('./connections.mjs').Connections} connections
   * @param {import('./formats.mjs').Format} format
   * @param {string} key
   * @param {(subscription: Subscription) => void} onEnd
   */
  constructor(connections, format, key, onEnd) {
    this.#connections = connections
    this.#format = format
    this.#key = key
    this.#onEnd = onEnd
  }

  /** The channel is subscribed. */
  start() {
    this.#reading = false
    return this.catchUp()
  }

  /** Takes a message's events. @param {number} first the first one's number @param {Event[]} events */
  feed(first, events) {
    if (this.#reading) {
      this.#readAgain = true
    } else if (first === this.#last + 1) {
      this.#take(events)
    } else if (first > this.#last + 1) {
      this.catchUp()
    } else if (first + events.length - 1 > this.#last) {
      this.#take(events.slice(this.#last + 1 - first))
    }
  }

  /** Reads what is missing from the log. */
  async catchUp() {
    this.#readAgain = true
    if (this.#reading || this.#ended) return
    this.#reading = true
    try {
      while (this.#readAgain && !this.#ended) {
        this.#readAgain = false
        await this.#readPages()
      }
    } finally {
      this.#reading = false
    }
  }

  async #readPages() {
    let size = this.#format.firstPage
    let coming = this.#connections.range(this.#key, `0-${this.#last + 1}`, size)
    for (;;) {
      const entries = await coming
      const full = entries.length >= size
      size = this.#format.page
      // The next page is asked for before this one is parsed.
      if (full) coming = this.#connections.range(this.#key, `(${entries.at(-1)?.[0]}`, size)
      if (entries.length > 0) this.#take(this.#format.decodePage(entries))
      if (!full || this.#ended) return
    }
  }

  /** @param {Event[]} events the next ones, at least one */
  #take(events) {
    this.#last += events.length
    this.#ended = events.at(-1) === null
    const end = this.#ended ? events.length - 1 : events.length
    let index = 0
    if (this.#waiting && end > 0) this.#settle({ value: events[index++], done: false })
    for (; index < end; index++) this.#queue.push(events[index])
    if (!this.#ended) return
    if (this.#waiting) this.#settle({ value: undefined, done: true })
    this.#onEnd(this)
  }

  /** @param {IteratorResult<Event, undefined>} result */
  #settle(result) {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.(result)
  }

  /** @returns {Promise<IteratorResult<Event, undefined>>} */
  next() {
    if (this.#head < this.#queue.length) return Promise.resolve({ value: this.#shift(), done: false })
    if (this.#ended) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  #shift() {
    const event = this.#queue[this.#head++]
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head > COMPACT_AT) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return event
  }

  return() {
    this.#ended = true
    this.#onEnd(this)
    return Promise.resolve(/** @type {const} */ ({ value: undefined, done: true }))
  }

  [Symbol.asyncIterator]() {
    return this
  }
}
