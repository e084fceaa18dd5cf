import type * as api from '../../index'
import { closedError, type Origin, origin, publish } from '../errors/errors'
import { EventStream } from '../http/event-stream'
import type { Bridge } from '../native/bridge'
import { cursor as checkCursor } from '../options/fields'
import { type Following, sseOptions } from '../options/read'
import { show } from '../util/shown'
import type { Chunk } from './chunk'
import { ReaderState } from './reader-state'

type Result = IteratorResult<Chunk, undefined>

/** A loop that was dropped without `break` or `return()` must not keep receiving. */
const dropped = new FinalizationRegistry<ReaderState>((state) => state.leave())

export class Subscription implements api.Subscription {
  /** @internal */ readonly origin: Origin
  readonly #bridge: Bridge
  readonly #following: Following
  readonly #state: ReaderState

  constructor(bridge: Bridge, following: Following, from: Origin) {
    this.origin = from
    this.#bridge = bridge
    this.#following = following
    const state = new ReaderState(bridge, following)
    this.#state = state
    dropped.register(this, state, state)
    if (bridge.closing) state.broken(closedError(from))
    else state.open()
  }

  get streamId(): string {
    return this.#state.streamId
  }

  get cursor(): string | undefined {
    return this.#state.cursor
  }

  get outcome(): api.Outcome | undefined {
    return this.#state.isExhausted ? this.#state.outcome : undefined
  }

  get reason(): string | undefined {
    return this.#state.isExhausted ? this.#state.reason : undefined
  }

  toJSON(): api.SubscriptionJson {
    const { streamId, cursor, outcome, reason } = this
    return { streamId, cursor, outcome, reason }
  }

  next(): Promise<Result> {
    this.#state.pass()
    const chunk = this.#state.take()
    return chunk === undefined ? this.#state.wait(this) : Promise.resolve({ done: false, value: chunk })
  }

  /** @internal The next chunk, if it has arrived. */
  ready(): Chunk | undefined {
    this.#state.pass()
    return this.#state.take()
  }

  return(): Promise<Result> {
    this.#leave()
    return Promise.resolve({ done: true, value: undefined })
  }

  throw(error?: unknown): Promise<Result> {
    this.#leave()
    return Promise.reject(error)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave()
  }

  async ack(cursor: string): Promise<void> {
    return this.#state.ack(checkCursor(cursor, 'cursor'))
  }

  toSSE(options?: api.SseOptions): ReadableStream<Uint8Array> {
    const { sse, limits } = sseOptions(options, 'options')
    const { args, signal, isAuto } = this.#following
    const from = this.#state.position ?? args.from
    // The body of an event stream can only be acknowledged for a consumer.
    const isCounted = args.consumer !== null && !isAuto
    const rest = { ...args, from, sse, ...(isCounted ? {} : { window: null, ackTimeoutMs: null }) }
    // Opened before this one is left, so that the stream's hub always has a reader.
    const stream = EventStream.open(this.#bridge, rest, limits, { application: signal }, origin(this.toSSE))
    this.#leave()
    return stream.body()
  }

  ref(): this {
    this.#state.isReferenced = true
    return this
  }

  unref(): this {
    this.#state.isReferenced = false
    return this
  }

  #leave(): void {
    dropped.unregister(this.#state)
    this.#state.leave()
  }
}

publish(Subscription, 'ack', 'toSSE')
show(Subscription, 'Subscription')
