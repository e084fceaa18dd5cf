// The readers of a demo server: each has everything after its cursor, as server-sent events whose ids are cursors.

import { once } from 'node:events'

/** Below the idle time-outs of the usual proxies. */
const HEARTBEAT_MS = 15_000

/** How long a reader's browser waits before it connects again. */
const RETRY_MS = 500

/** How long a stream that nobody has started yet is waited for. */
const WAIT_MS = 3000

/**
 * @typedef {object} Options
 * @property {import('../../index.js').Engine} engine
 * @property {string} store shown to the readers
 * @property {(error: any) => string} told what a client is told of an error
 */

export class Readers {
  /** @type {Set<import('node:http').ServerResponse>} */
  #responses = new Set()
  #options

  /** @param {Options} options */
  constructor(options) {
    this.#options = options
  }

  /** Tells all of them the engine's state. */
  tellState() {
    for (const response of this.#responses) response.write(this.#state())
  }

  /**
   * Answers one reader, to the end of its stream or of its connection.
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   * @param {{ id: string, cursor: string | null, port: number }} what `port`: that of the server where it reads
   */
  async follow(request, response, { id, cursor, port }) {
    const { engine, told } = this.#options
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(`retry: ${RETRY_MS}\n\n${this.#state()}`)
    const heartbeat = setInterval(() => response.write(': still here\n\n'), HEARTBEAT_MS)
    this.#responses.add(response)
    const introduce = (/** @type {import('../../index.js').StreamStatus} */ status) =>
      response.write(introduction(status, port))
    try {
      // A browser that connects again by itself repeats the first address and adds what it has seen since.
      const from = request.headers['last-event-id'] || cursor || 'start'
      // While Redis is away nothing is known, and what this process writes can be read all the same.
      const known = () =>
        engine.status(id).catch((error) => {
          if (!error.retryable) throw error
        })
      // What is there before it reads is replayed, the rest is live.
      const before = await known()
      if (before) introduce(before)
      else if (before === null) response.write(event('missing', {}))
      const chunks = engine.subscribe(id, { from, signal: gone.signal, wait: WAIT_MS })
      let isIntroduced = before != null
      for await (const { seq, cursor, data } of chunks) {
        if (!isIntroduced) {
          isIntroduced = true
          const status = await known()
          if (status) introduce({ ...status, lastSeq: seq - 1 })
        }
        if (!response.write(event('chunk', { seq, data }, cursor))) {
          await once(response, 'drain', { signal: gone.signal })
        }
      }
      response.write(event('end', { outcome: chunks.outcome, reason: chunks.reason }))
    } catch (error) {
      if (!gone.signal.aborted && error.code !== 'ERR_CLOSED') response.write(ending(error, told(error)))
    } finally {
      clearInterval(heartbeat)
      this.#responses.delete(response)
      response.end()
    }
  }

  #state() {
    const { engine, store } = this.#options
    return event('state', { store, state: engine.state })
  }
}

/** What a reader is shown of its answer, with what `Answers.start` has put into the metadata. */
function introduction(
  /** @type {import('../../index.js').StreamStatus} */ status,
  /** @type {number} */ port,
) {
  const { metadata, firstSeq, lastSeq, state } = status
  const about = typeof metadata === 'object' ? metadata : {}
  return event('about', { ...about, firstSeq, lastSeq, isLive: state === 'active', readFrom: port })
}

/** How a loop that threw ended: for good, or until the reader tries again. */
function ending(/** @type {any} */ error, /** @type {string} */ message) {
  const outcome = { ERR_FAILED: 'failed', ERR_INTERRUPTED: 'interrupted' }[error.code] ?? null
  const { code, retryable, reason = message } = error
  return retryable ? event('problem', { code, message }) : event('end', { outcome, reason, code })
}

function event(/** @type {string} */ name, /** @type {unknown} */ data, id = '') {
  return `event: ${name}\n${id && `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
}
