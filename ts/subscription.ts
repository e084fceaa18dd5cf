import type * as api from '../index'
import type { Bridge } from './bridge'
import type { Chunk } from './chunk'
import { closedError, type Origin } from './errors'
import { cursor as checkCursor, type Following } from './options'
import { Sink } from './sink'

type Result = IteratorResult<Chunk, undefined>

/** A loop that was dropped without `break` or `return()` must not go on receiving. */
const dropped = new FinalizationRegistry<Sink>((sink) => sink.leave())

export class Subscription implements api.Subscription {
  /** @internal */ readonly origin: Origin
  readonly #sink: Sink

  constructor(sink: Sink, from: Origin) {
    this.origin = from
    this.#sink = sink
    dropped.register(this, sink, sink)
  }

  get streamId(): string {
    return this.#sink.streamId
  }

  get cursor(): string | undefined {
    return this.#sink.cursor
  }

  get outcome(): api.Outcome | undefined {
    return this.#sink.isExhausted ? this.#sink.outcome : undefined
  }

  get reason(): string | undefined {
    return this.#sink.isExhausted ? this.#sink.reason : undefined
  }

  next(): Promise<Result> {
    this.#sink.pass()
    const chunk = this.#sink.take()
    return chunk === undefined ? this.#sink.wait(this) : Promise.resolve({ done: false, value: chunk })
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
    return this.#sink.ack(checkCursor(cursor, 'cursor'))
  }

  ref(): this {
    this.#sink.isReferenced = true
    return this
  }

  unref(): this {
    this.#sink.isReferenced = false
    return this
  }

  #leave(): void {
    dropped.unregister(this.#sink)
    this.#sink.leave()
  }
}

export function subscribe(bridge: Bridge, following: Following, from: Origin): Subscription {
  const sink = new Sink(bridge, following)
  if (bridge.closing) sink.broken(closedError(from))
  else sink.open()
  return new Subscription(sink, from)
}
