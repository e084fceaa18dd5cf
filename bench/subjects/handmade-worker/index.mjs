// The hand-made peer moved off the main thread, which keeps what only it can do: JSON.stringify and JSON.parse. What is written in
// a turn crosses in one message, and so does what has arrived; texts cross, as they are copied faster than objects.

import { Worker } from 'node:worker_threads'

/** Chunks that the worker has not taken yet, of all streams, before a writer has to wait. */
const HIGH_WATER = 8_192

/** @param {string} url @returns {Promise<import('../index.mjs').Client>} */
export async function connect(url) {
  const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: { url } })
  const bridge = new Bridge(worker)
  await bridge.call({ what: 'connect' })
  return {
    async open(id) {
      const stream = await bridge.call({ what: 'open', id })
      return {
        write: (event) => bridge.write(stream, JSON.stringify(event)),
        async end() {
          bridge.send()
          await bridge.call({ what: 'end', stream })
        },
      }
    },
    async consume(id, on) {
      await bridge.follow(id, on)
    },
  }
}

class Bridge {
  #worker
  #calls = 0
  /** @type {Map<number, (result: any) => void>} */
  #answers = new Map()
  /** What is written in this turn: streams, and their chunks. */
  #streams = /** @type {number[]} */ ([])
  #chunks = /** @type {string[]} */ ([])
  #isQueued = false
  #underWay = 0
  /** @type {{ promise: Promise<void>, resolve: () => void } | undefined} */
  #room
  /** By reader. @type {((event: any) => void)[]} */
  #readers = []

  /** @param {Worker} worker */
  constructor(worker) {
    this.#worker = worker
    worker.on('error', (error) => {
      throw error
    })
    worker.on('message', (message) => this.#take(message))
  }

  /** @param {object} question @returns {Promise<any>} */
  call(question) {
    const call = this.#calls++
    this.#worker.postMessage({ ...question, call })
    return new Promise((resolve) => this.#answers.set(call, resolve))
  }

  /** @param {string} id @param {(event: any) => void} on */
  follow(id, on) {
    const reader = this.#readers.push(on) - 1
    return this.call({ what: 'follow', id, reader })
  }

  /** @param {number} stream @param {string} chunk */
  write(stream, chunk) {
    this.#streams.push(stream)
    this.#chunks.push(chunk)
    if (!this.#isQueued) {
      this.#isQueued = true
      queueMicrotask(() => this.send())
    }
    if (this.#underWay + this.#chunks.length < HIGH_WATER) return undefined
    this.#room ??= withResolver()
    return this.#room.promise
  }

  send() {
    this.#isQueued = false
    if (this.#chunks.length === 0) return
    this.#underWay += this.#chunks.length
    this.#worker.postMessage({ what: 'write', streams: this.#streams, chunks: this.#chunks })
    this.#streams = []
    this.#chunks = []
  }

  /** @param {any} message */
  #take({ call, result, taken, readers, events }) {
    if (readers) {
      const parsed = JSON.parse(events)
      for (let index = 0; index < readers.length; index++) this.#readers[readers[index]]?.(parsed[index])
    } else if (taken) {
      this.#underWay -= taken
      if (this.#room && this.#underWay < HIGH_WATER / 2) {
        this.#room.resolve()
        this.#room = undefined
      }
    } else {
      this.#answers.get(call)?.(result)
      this.#answers.delete(call)
    }
  }
}

function withResolver() {
  let resolve = () => {}
  const promise = new Promise((/** @type {(value: void) => void} */ settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
