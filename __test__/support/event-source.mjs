// Server-sent events as the HTML standard parses them, and the servers and readers of the SSE tests.

import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { listening } from './listening.mjs'
import { PATIENT } from './patient.mjs'

/** @typedef {{ event: string, data: string, id: string, hasId: boolean }} Event `id` is the last one seen */

/** The standard's parser, written down from its text: nothing here knows what Tidemark sends. */
export class EventParser {
  /** @type {Event[]} */
  events = []
  /** @type {string[]} */
  comments = []
  lastEventId = ''
  /** The last `retry:` field, in milliseconds. @type {number | undefined} */
  retry
  #rest = ''
  #id = ''
  #hasId = false
  #event = ''
  #data = ''
  #decoder = new TextDecoder()

  /** @param {Uint8Array} bytes */
  push(bytes) {
    this.#rest += this.#decoder.decode(bytes, { stream: true })
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.#rest)
      if (!end) return
      this.#line(this.#rest.slice(0, end.index))
      this.#rest = this.#rest.slice(end.index + end[0].length)
    }
  }

  /** An event that has begun but not ended; none if the stream was cut off between two events. */
  get unfinished() {
    return this.#rest + this.#data
  }

  /** @param {string} line */
  #line(line) {
    if (line === '') return this.#dispatch()
    const colon = line.indexOf(':')
    if (colon === 0) return void this.comments.push(line.slice(1))
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') this.#event = value
    else if (field === 'data') this.#data += `${value}\n`
    else if (field === 'id' && !value.includes('\0')) [this.#id, this.#hasId] = [value, true]
    else if (field === 'retry' && /^\d+$/.test(value)) this.retry = Number(value)
  }

  #dispatch() {
    this.lastEventId = this.#id
    if (this.#data !== '') {
      const data = this.#data.slice(0, -1)
      this.events.push({ event: this.#event || 'message', data, id: this.#id, hasId: this.#hasId })
    }
    this.#event = ''
    this.#data = ''
    this.#hasId = false
  }
}

/** One response, read in the background; as a reader for the history checker it has chunks and an outcome. */
export class EventReader {
  parser = new EventParser()
  /** @type {{ seq: number, data: string | Uint8Array, cursor: string }[]} */
  chunks = []
  /** The data of the `end` event, once there is one. @type {any} */
  end
  /** Whether the body has ended, with or without an error. */
  isOver = false
  /** @type {unknown} */
  error
  #controller = new AbortController()
  #seen = 0

  /** @param {string} [name] */
  constructor(name = 'the event source') {
    this.name = name
  }

  get signal() {
    return this.#controller.signal
  }

  get outcome() {
    return this.end?.outcome ?? this.end?.code ?? (this.isOver ? 'cut off' : undefined)
  }

  get lastEventId() {
    return this.parser.lastEventId
  }

  leave() {
    this.#controller.abort()
  }

  /** Reads a body to its end. @param {ReadableStream<Uint8Array> | null} body */
  async read(body) {
    if (body === null) throw new Error('a response without a body')
    this.isOver = false
    try {
      for await (const bytes of body) {
        this.parser.push(bytes)
        this.#take()
      }
    } catch (error) {
      this.error = error
    }
    this.isOver = true
    return this
  }

  #take() {
    for (const { event, data, id, hasId } of this.parser.events.slice(this.#seen)) {
      this.#seen++
      if (event === 'end') this.end = JSON.parse(data)
      if (!hasId) continue
      const seq = Number(id.split('.')[1])
      this.chunks.push({ seq, data: decoded(event, data), cursor: id })
    }
  }
}

/** @param {string} event @param {string} data */
function decoded(event, data) {
  if (event === 'text') return JSON.parse(data)
  return event === 'bytes' ? new Uint8Array(Buffer.from(data, 'base64')) : data
}

/** Reads a response that was made in this process. @param {Response} response @param {string} [name] */
export function readEvents(response, name) {
  return new EventReader(name).read(response.body)
}

/**
 * Serves until the suite has ended.
 * @param {(request: import('node:http').IncomingMessage) => Promise<Response>} handle
 * @returns {Promise<{ url: string, bodies: Promise<unknown>[] }>} one promise for each body that was sent, or not to its end
 */
export async function serve(handle) {
  /** @type {Promise<unknown>[]} */
  const bodies = []
  const server = createServer(PATIENT, (request, answer) => {
    handle(request)
      .then(async (response) => {
        answer.writeHead(response.status, Object.fromEntries(response.headers))
        if (response.body === null) return void answer.end()
        const sent = pipeline(Readable.fromWeb(/** @type {any} */ (response.body)), answer)
        bodies.push(sent.catch((error) => error))
      })
      .catch((error) => answer.destroy(error))
  })
  return { url: `http://127.0.0.1:${await listening(server)}`, bodies }
}

/** What a framework makes of Node's request. @param {import('node:http').IncomingMessage} request */
export function webRequest(request) {
  const controller = new AbortController()
  request.socket.once('close', () => controller.abort())
  return new Request(new URL(request.url ?? '/', `http://${request.headers.host}`), {
    headers: /** @type {Record<string, string>} */ (request.headers),
    signal: controller.signal,
  })
}
