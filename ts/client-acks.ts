import type { AckOptions } from './client.js'

/** Tells the server how far a loop has got: the latest cursor, one request at a time. */
export class Acks {
  readonly #options: AckOptions
  readonly #fetch: (url: string | URL, init: RequestInit) => Promise<Response>
  #latest: string | undefined
  #sent: string | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #sending: Promise<void> = Promise.resolve()

  constructor(options: AckOptions, send: (url: string | URL, init: RequestInit) => Promise<Response>) {
    this.#options = options
    this.#fetch = send
  }

  /** The loop is done with everything up to here. */
  passed(cursor: string): void {
    this.#latest = cursor
    this.#timer ??= setTimeout(this.#flush, this.#options.intervalMs ?? 1000)
  }

  /** Sends what is left. */
  async close(): Promise<void> {
    this.#flush()
    await this.#sending
  }

  readonly #flush = (): void => {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#sending = this.#sending.then(() => this.#send())
  }

  /** What is not accepted is sent with the next one; a cursor that is never stored costs chunks that come again. */
  async #send(): Promise<void> {
    const cursor = this.#latest
    if (cursor === this.#sent) return
    const { url, consumer } = this.#options
    try {
      const { ok, body } = await this.#fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ cursor, consumer }),
        // It outlives the page that is being left.
        keepalive: true,
      })
      await body?.cancel()
      if (ok) this.#sent = cursor
    } catch {
      // See above.
    }
  }
}
