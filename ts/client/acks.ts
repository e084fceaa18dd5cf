import { clearTimeout, setTimeout } from '../util/browser-timers.js'
import type { Send } from './requests.js'
import { retryAfter } from './responses.js'

export interface AckOptions {
  /** Gets `POST` requests with the JSON `{ cursor, consumer }`; `engine.acknowledge` answers them. */
  url: string | URL
  /** Not needed if the server knows whose request it is. */
  consumer?: string | undefined
  /** Milliseconds for which acknowledgements are collected. Default 1000. */
  intervalMs?: number | undefined
}

/** Sends the server the loop's latest cursor, one request at a time. */
export class Acks {
  readonly #options: AckOptions
  readonly #fetch: Send
  #latest: string | undefined
  #sent: string | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  /** The pause that the server has asked for, in milliseconds. */
  #retryAfter = 0
  #sending: Promise<void> = Promise.resolve()

  constructor(options: AckOptions, send: Send) {
    this.#options = options
    this.#fetch = send
  }

  /** The loop is done with everything up to here. */
  passed(cursor: string): void {
    this.#latest = cursor
    // The timer is set while a request is in flight, even if it has fired: the answer may ask for a pause.
    this.#timer ??= setTimeout(this.#flush, (this.#options.intervalMs ?? 1000) + this.#retryAfter)
  }

  /** Sends what is left. */
  async close(): Promise<void> {
    this.#flush()
    await this.#sending
  }

  readonly #flush = (): void => {
    this.#sending = this.#sending.then(() => this.#send())
  }

  /** A cursor that is not accepted is sent with the next one; if it is never stored, its chunks are delivered again. */
  async #send(): Promise<void> {
    clearTimeout(this.#timer)
    const cursor = this.#latest
    const { url, consumer } = this.#options
    try {
      if (cursor !== this.#sent) {
        const response = await this.#fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ cursor, consumer }),
          // It outlives the page that is being left.
          keepalive: true,
        })
        this.#retryAfter = retryAfter(response)
        if (response.ok) this.#sent = cursor
        await response.body?.cancel()
      }
    } catch {
      // See above.
    }
    this.#timer = undefined
    if (this.#latest !== cursor) this.passed(this.#latest as string)
  }
}
