// A stream's writer: chunks gather while flushes are under way.

const MAX_BATCH = 256
const MAX_FLUSHES = 4
const HIGH_WATER = 2048
const LOW_WATER = 512
const COMPACT_AT = 8192
const TTL_SECONDS = 3600
const TTL_REFRESH_MS = 30_000

export class Producer {
  #connections
  #format
  #key
  #channel
  /** Chunks from `#head` on wait for a flush. @type {string[]} */
  #queue = []
  #head = 0
  #nextSeq = 1
  #flushes = 0
  #kickQueued = false
  #ttlSetAt = 0
  /** @type {{ promise: Promise<void>, resolve: () => void } | undefined} */
  #room
  /** @type {(() => void) | undefined} */
  #drained
  /** @type {unknown} */
  #failure

  /**
   * @param {import('./connections.mjs').Connections} connections
   * @param {import('./formats.mjs').Format} format
   * @param {{ key: string, channel: string }} names
   */
  constructor(connections, format, { key, channel }) {
    this.#connections = connections
    this.#format = format
    this.#key = key
    this.#channel = channel
  }

  /** @param {unknown} event @returns {Promise<void> | undefined} */
  write(event) {
    return this.push(JSON.stringify(event))
  }

  async end() {
    this.push('null')
    this.#kick()
    if (this.#flushes > 0 || this.#waiting > 0) {
      await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
        this.#drained = resolve
      })
    }
    if (this.#failure) throw this.#failure
  }

  get #waiting() {
    return this.#queue.length - this.#head
  }

  /** An idle producer sends what it has; a busy one only full batches. */
  get #mayFlush() {
    return this.#flushes === 0 || (this.#flushes < MAX_FLUSHES && this.#waiting >= MAX_BATCH)
  }

  /** An event that is JSON already. @param {string} chunk @returns {Promise<void> | undefined} */
  push(chunk) {
    this.#queue.push(chunk)
    if (!this.#kickQueued && this.#mayFlush) {
      this.#kickQueued = true
      queueMicrotask(() => {
        this.#kickQueued = false
        this.#kick()
      })
    }
    if (this.#waiting < HIGH_WATER) return undefined
    this.#room ??= withResolver()
    return this.#room.promise
  }

  #kick() {
    while (this.#waiting > 0 && this.#mayFlush) this.#flush(this.#take())
    if (this.#room && this.#waiting <= LOW_WATER) {
      this.#room.resolve()
      this.#room = undefined
    }
    if (this.#flushes === 0 && this.#waiting === 0) this.#drained?.()
  }

  #take() {
    const chunks = this.#queue.slice(this.#head, this.#head + MAX_BATCH)
    this.#head += chunks.length
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head > COMPACT_AT) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return chunks
  }

  /** @param {string[]} chunks */
  #flush(chunks) {
    const seq = this.#nextSeq
    this.#nextSeq += chunks.length
    this.#flushes++
    const settled = () => {
      this.#flushes--
      this.#kick()
    }
    this.#connections
      .flush(this.#key, this.#channel, seq, this.#ttlWhenDue(), ...this.#format.encode(chunks))
      .then(settled, (error) => {
        this.#failure = error
        settled()
      })
  }

  #ttlWhenDue() {
    const time = Date.now()
    if (time - this.#ttlSetAt <= TTL_REFRESH_MS) return 0
    this.#ttlSetAt = time
    return TTL_SECONDS
  }
}

function withResolver() {
  let resolve = () => {}
  const promise = new Promise((/** @type {(value: void) => void} */ settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
