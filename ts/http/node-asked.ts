// A request of `node:http`.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { addressOf } from './address'
import type { Asked } from './asked'
import { bytesOf, bytesOfReadable } from './body'

/** Methods whose requests have no body in the web's sense. */
const BODILESS = new Set(['GET', 'HEAD', 'OPTIONS'])

export class NodeAsked implements Asked {
  readonly method: string
  readonly url: URL
  readonly headers: NodeHeaders
  readonly #incoming: IncomingMessage
  readonly #response: ServerResponse
  #signal: AbortSignal | undefined
  #request: Request | undefined
  /** The body of the web request. */
  #stream: ReadableStream<Uint8Array> | null = null

  private constructor(incoming: IncomingMessage, response: ServerResponse, url: URL) {
    this.#incoming = incoming
    this.#response = response
    this.method = incoming.method ?? 'GET'
    this.headers = new NodeHeaders(incoming.rawHeaders)
    this.url = url
  }

  /** Undefined if the request's address cannot be read. */
  static of(incoming: IncomingMessage, response: ServerResponse): NodeAsked | undefined {
    const protocol = 'encrypted' in incoming.socket ? 'https' : 'http'
    // Express removes its mount path from `url`, and keeps the requested path in another field.
    const target = (incoming as { originalUrl?: string }).originalUrl ?? incoming.url
    const url = addressOf(incoming.headers, target, protocol)
    return url && new NodeAsked(incoming, response, url)
  }

  get hasBody(): boolean {
    if (BODILESS.has(this.method)) return false
    // HTTP/2 needs no length to tell where a body ends.
    if (this.#incoming.httpVersionMajor > 1 || this.headers.get('transfer-encoding') !== null) return true
    return Number(this.headers.get('content-length') ?? 0) > 0
  }

  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      const left = new AbortController()
      this.#signal = left.signal
      this.onLeave(() => {
        // Whoever has its whole answer does not leave anything; to abort costs more than a small answer does.
        if (!this.#response.writableFinished) left.abort()
      })
    }
    return this.#signal
  }

  onLeave(tell: () => void): () => void {
    if (this.#response.closed) tell()
    else this.#response.on('close', tell)
    return () => this.#response.off('close', tell)
  }

  get request(): Request {
    if (this.#request === undefined) {
      const { method, url, signal } = this
      this.#stream = this.hasBody ? lazily(this.#incoming) : null
      const headers = this.headers.web()
      const init = { method, headers, body: this.#stream, signal, duplex: 'half' }
      this.#request = new Request(url, init as RequestInit)
    }
    return this.#request
  }

  async bytes(most: number): Promise<Uint8Array> {
    if (!this.hasBody) return Buffer.alloc(0)
    const request = this.#request
    const isUntouched = request === undefined || (request.body === this.#stream && !this.#stream?.locked)
    if (!isUntouched || request?.bodyUsed) return bytesOf(request, most)
    return bytesOfReadable(this.#incoming, this.headers.get('content-length'), most)
  }
}

/** The body as a web stream, which begins to read when it is read. */
function lazily(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        reader ??= (Readable.toWeb(incoming) as ReadableStream<Uint8Array>).getReader()
        const { done, value } = await reader.read()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => reader?.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

/** Headers by their names; those that came more than once are joined, as the web's are. */
class NodeHeaders {
  readonly #values = new Map<string, string>()

  /** @param raw names and values in turn */
  constructor(raw: readonly string[]) {
    for (let at = 0; at + 1 < raw.length; at += 2) {
      const name = (raw[at] as string).toLowerCase()
      // HTTP/2 has the method, the path and the like among them.
      if (name.startsWith(':')) continue
      const before = this.#values.get(name)
      const value = raw[at + 1] as string
      this.#values.set(name, before === undefined ? value : `${before}, ${value}`)
    }
  }

  get(name: string): string | null {
    return this.#values.get(name.toLowerCase()) ?? null
  }

  web(): Headers {
    return new Headers([...this.#values])
  }
}
