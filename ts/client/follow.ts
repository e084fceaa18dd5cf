import { clearTimeout, MAX_PAUSE_MS, setTimeout } from '../util/browser-timers.js'
import { generationOf, seqOf } from '../util/cursor.js'
import { type Event, EventParser } from '../util/sse-parser.js'
import { type AckOptions, Acks } from './acks.js'
import { type HeadersLike, type Send, sending } from './requests.js'
import { FollowError, isEventStream, isPassing, read, refusal, retryAfter, UI_MESSAGES } from './responses.js'

export { type AckOptions, FollowError, type HeadersLike }

export interface FollowOptions {
  /** `'start'` (default), `'now'`, or the cursor of the last chunk seen. */
  from?: 'start' | 'now' | (string & {}) | undefined
  /** Ends the loop by throwing the signal's reason. The stream is not affected. */
  signal?: AbortSignal | undefined
  /** Sent with every request; a function is called for each one, for a token that expires. If it fails, the request is retried. */
  headers?: HeadersLike | (() => HeadersLike | Promise<HeadersLike>) | undefined
  /** As for `fetch`; `'include'` sends cookies to another origin. */
  credentials?: 'omit' | 'same-origin' | 'include' | undefined
  /** Instead of the global one. */
  fetch?: typeof fetch | undefined
  /** The longest pause before the first retry, in milliseconds; it doubles with each failure. Pauses are jittered. Default 500. */
  minRetryMs?: number | undefined
  /** The limit of this doubling, in milliseconds. A server's `Retry-After` is added. Default 30,000. */
  maxRetryMs?: number | undefined
  /** Milliseconds without a byte, even of a heartbeat, after which the connection counts as lost. Default 45,000. */
  silenceMs?: number | undefined
  /** @internal Gets the data of events without a cursor, which a stream of UI messages has beside its chunks. */
  onOther?: ((data: string) => void) | undefined
  /** Acknowledges to the server the chunks that the loop has moved past, for a consumer's cursor. */
  ack?: AckOptions | undefined
}

export interface FollowedChunk {
  /** 1, 2, 3 … unique and monotonic per stream. */
  readonly seq: number
  /** Everything up to here has been seen. */
  readonly cursor: string
  /** Text, or the bytes that were written as such. */
  readonly data: string | Uint8Array
  /** The server no longer has the generation of the last cursor and starts over with this chunk: clear what you show. */
  readonly isReset: boolean
  /** The data parsed as JSON. */
  json<T = unknown>(): T
}

/**
 * Follows a stream: every chunk once, in order. After network errors, timeouts, responses that end before the stream does, and the
 * statuses 408, 425, 429 and 5xx it reconnects, for ever, with pauses that grow until a chunk arrives; when the browser is online
 * again, or the page visible again, at once. The loop ends quietly after `complete` and `stopped`. It throws a {@link FollowError}
 * after `failed` and `interrupted`, and when the server refuses or answers with anything but events, such as a login page.
 */
export function follow(url: string | URL, options: FollowOptions = {}): Follow {
  const { ack } = options
  const send = sending(options)
  return new Follow(url, options, send, ack && new Acks(ack, send))
}

/** Of a loop itself, whose requests are made by the caller. */
type LoopOptions = Omit<FollowOptions, 'headers' | 'credentials' | 'fetch' | 'ack'>

type Result = IteratorResult<FollowedChunk, undefined>

export class Follow implements AsyncIterableIterator<FollowedChunk> {
  readonly #url: string
  readonly #options: LoopOptions
  readonly #send: Send
  readonly #chunks: AsyncGenerator<FollowedChunk, undefined>
  /** Aborted when the loop is left; its `onabort` ends what the loop is waiting for. */
  readonly #left = new AbortController()
  readonly #acks: Acks | undefined
  #cursor: string | undefined
  #outcome: string | undefined
  #reason: string | undefined
  #isReset = false
  /** Failed attempts since a chunk was received. */
  #failures = 0
  /** The pause that the server has asked for, in milliseconds. */
  #retryAfter = 0
  #isOver = false
  /** Ends a pause, or a connection that is probably dead. */
  #hurry: (() => void) | undefined
  #isHurried = false
  #lastByteAt = 0

  /** @internal The requests and acknowledgements are by themselves, so that those who have their own, or none, do not ship them. */
  constructor(url: string | URL, options: LoopOptions, send: Send, acks?: Acks) {
    this.#url = String(url).replace(/#.*/, '')
    this.#options = options
    this.#cursor = options.from === 'start' ? undefined : options.from
    this.#send = send
    this.#acks = acks
    this.#chunks = this.#run()
  }

  /** The cursor of the last chunk yielded, else the one that the loop began with. */
  get cursor(): string | undefined {
    return this.#cursor
  }

  /** `complete`, `stopped`, `failed` or `interrupted`, once the stream has ended. */
  get outcome(): string | undefined {
    return this.#outcome
  }

  /** Why it ended, if a reason was given. */
  get reason(): string | undefined {
    return this.#reason
  }

  next(): Promise<Result> {
    return this.#chunks.next()
  }

  return(): Promise<Result> {
    this.#left.abort()
    return this.#chunks.return(undefined)
  }

  throw(error?: unknown): Promise<Result> {
    this.#left.abort()
    return this.#chunks.throw(error)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async *#run(): AsyncGenerator<FollowedChunk, undefined> {
    const { signal } = this.#options
    const leave = () => this.#left.abort(signal?.reason)
    const untilLeft = { signal: this.#left.signal }
    watch(this.#onReturn, untilLeft)
    if (signal?.aborted) leave()
    signal?.addEventListener('abort', leave, untilLeft)
    try {
      while (!this.#isOver && !this.#left.signal.aborted) {
        yield* this.#connect()
        if (!this.#isOver) await this.#pause()
      }
      if (signal?.aborted) throw signal.reason
    } finally {
      leave()
      await this.#acks?.close()
    }
    return undefined
  }

  /** Reads one response, from where the last one was left. Returns when the loop should reconnect. */
  async *#connect(): AsyncGenerator<FollowedChunk, undefined> {
    const connection = new AbortController()
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
    const drop = () => {
      connection.abort()
      // The caller's own `fetch` may ignore the signal.
      reader?.cancel().catch(() => {})
    }
    this.#hurry = drop
    this.#left.signal.onabort = drop
    let silence: ReturnType<typeof setTimeout> | undefined
    const heard = () => {
      clearTimeout(silence)
      silence = setTimeout(drop, this.#options.silenceMs ?? 45_000)
      this.#lastByteAt = Date.now()
    }
    try {
      heard()
      const response = await this.#open(connection.signal)
      reader = response?.body?.getReader()
      if (reader === undefined) return
      const isOfMessages = response?.headers.has(UI_MESSAGES)
      const parser = new EventParser()
      while (!this.#isOver) {
        // Network errors are retried: that is the purpose of this class.
        const { done, value } = await reader.read().catch(() => LOST)
        if (done) return
        heard()
        for (const event of parser.push(value)) {
          if (isOfMessages && event.data === '[DONE]') {
            this.#outcome = 'complete'
            this.#isOver = true
            return
          }
          if (isOfMessages && event.id === undefined) this.#options.onOther?.(event.data)
          const chunk = this.#take(event)
          if (chunk === undefined) continue
          this.#failures = 0
          yield chunk
          this.#acks?.passed(chunk.cursor)
          if (this.#left.signal.aborted) return
        }
      }
    } finally {
      clearTimeout(silence)
      this.#hurry = undefined
      drop()
    }
  }

  /** A response to read; undefined if the loop should retry or end. */
  async #open(signal: AbortSignal): Promise<Response | undefined> {
    const cursor = this.#cursor
    const joint = this.#url.includes('?') ? '&' : '?'
    const query = cursor === undefined ? '' : `${joint}cursor=${encodeURIComponent(cursor)}`
    const response = await this.#send(this.#url + query, {
      headers: { accept: 'text/event-stream' },
      signal,
    }).catch((error) => {
      if (error instanceof FollowError) throw error
    })
    if (response === undefined) return undefined
    const { status } = response
    if (status === 200 && isEventStream(response)) return response
    if (status === 204) this.#isOver = true
    else if (isPassing(status)) this.#retryAfter = retryAfter(response)
    else throw await refusal(response)
    await response.body?.cancel().catch(() => {})
    return undefined
  }

  /** The chunk of an event; undefined if the event is not a chunk, or was seen before. */
  #take({ type, data, id }: Event): FollowedChunk | undefined {
    if (type === 'reset') this.#isReset = true
    const content = read(() => contentOf(type, data))
    if (type === 'end') this.#end(content ?? {})
    if (id === undefined) return undefined
    const seq = seqOf(id)
    const last = this.#cursor ?? ''
    if (generationOf(id) === generationOf(last) && seq <= seqOf(last) && !this.#isReset) return undefined
    const isReset = this.#isReset
    this.#isReset = false
    this.#cursor = id
    return { seq, cursor: id, data: content, isReset, json: () => json(content) }
  }

  #end({ outcome, reason, code, message, resume }: { [field: string]: string }): void {
    this.#isOver = true
    if (code !== undefined) throw new FollowError(message ?? code, code, undefined, resume)
    this.#outcome = outcome
    this.#reason = reason || undefined
    if (outcome === 'failed' || outcome === 'interrupted') {
      throw new FollowError(`the stream ${outcome}: ${reason}`, `ERR_${outcome.toUpperCase()}`)
    }
  }

  /** Waits, longer each time, at most until the page is visible or online again or the loop is left. */
  #pause(): Promise<void> {
    const { minRetryMs = 500, maxRetryMs = 30_000 } = this.#options
    const longest = Math.min(maxRetryMs, Math.max(1, minRetryMs) * 2 ** this.#failures++)
    const least = this.#retryAfter
    const pause = least + (this.#isHurried ? 0 : Math.random() * longest)
    this.#isHurried = false
    this.#retryAfter = 0
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#hurry = undefined
        resolve()
      }
      const timer = setTimeout(done, Math.min(pause, MAX_PAUSE_MS))
      // A pause that the server has asked for is respected.
      if (least === 0) this.#hurry = done
      this.#left.signal.onabort = done
      if (this.#left.signal.aborted) done()
    })
  }

  /** After sleep or a change of network, a dead connection looks like a quiet one. */
  readonly #onReturn = (isNewNetwork: boolean): void => {
    // A clock that was put back says nothing.
    const isRecent = Math.abs(Date.now() - this.#lastByteAt) < 5_000
    if (this.#hurry === undefined || (!isNewNetwork && isRecent)) return
    this.#isHurried = true
    this.#hurry()
  }
}

/** A read that failed ends the response. */
const LOST = { done: true, value: undefined } as const

function contentOf(type: string, data: string) {
  if (type === 'text' || type === 'end') return JSON.parse(data)
  return type === 'bytes' ? Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)) : data
}

function json<T>(data: string | Uint8Array): T {
  return JSON.parse(typeof data === 'string' ? data : new TextDecoder().decode(data)) as T
}

/** Calls back when the browser is online again, or the page is visible again, until the signal is aborted. */
function watch(callback: (isNewNetwork: boolean) => void, untilLeft: { signal: AbortSignal }): void {
  const { document } = globalThis as { document?: EventTarget & { visibilityState: string } }
  const target = globalThis as Partial<EventTarget>
  const onOnline = () => callback(true)
  const onVisible = () => {
    if (document?.visibilityState === 'visible') callback(false)
  }
  if (document !== undefined) target.addEventListener?.('online', onOnline, untilLeft)
  document?.addEventListener('visibilitychange', onVisible, untilLeft)
}
