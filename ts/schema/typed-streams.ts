import type * as api from 'tidemark'
import { SchemaError, startingAt } from '../errors/errors.js'
import { show } from '../util/shown.js'

/** A producer of typed events: an engine's producer whose `write` and `append` take events. */
export class EventProducer<Input> implements AsyncDisposable {
  readonly #producer: api.Producer
  readonly #encode: (event: Input) => string

  /** @internal */
  constructor(producer: api.Producer, encode: (event: Input) => string) {
    this.#producer = producer
    this.#encode = encode
  }

  get streamId(): string {
    return this.#producer.streamId
  }

  get generation(): string {
    return this.#producer.generation
  }

  get signal(): AbortSignal {
    return this.#producer.signal
  }

  get outcome(): api.Outcome | undefined {
    return this.#producer.outcome
  }

  get ready(): Promise<void> {
    return this.#producer.ready
  }

  toJSON(): api.ProducerJson {
    return this.#producer.toJSON()
  }

  /** As `Producer.write`. Throws a `SchemaError`, and writes nothing, when the event does not fit. */
  write(event: Input): boolean {
    try {
      return this.#producer.write(this.#encode(event))
    } catch (error) {
      throw startingAt(error, EventProducer.prototype.write)
    }
  }

  /** As `Producer.append`. Rejects with a `SchemaError`, and writes nothing, when the event does not fit. */
  async append(event: Input): Promise<string> {
    return this.#producer.append(this.#encode(event))
  }

  flush(): Promise<void> {
    return this.#producer.flush()
  }

  complete(): Promise<api.Outcome> {
    return this.#producer.complete()
  }

  fail(error: unknown): Promise<api.Outcome> {
    return this.#producer.fail(error)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#producer[Symbol.asyncDispose]()
  }
}

/** One event, and its position in the stream. */
export interface EventChunk<Output> {
  readonly seq: number
  /** Pass it as `from` to continue after this event. */
  readonly cursor: string
  readonly event: Output
}

/** A reader of typed events: an engine's subscription that yields them. */
export class EventSubscription<Output>
  implements AsyncIterableIterator<EventChunk<Output>, undefined>, AsyncDisposable
{
  /** How many events did not fit and were skipped. */
  dropped = 0
  readonly #subscription: api.Subscription
  readonly #decode: (text: string) => Output
  readonly #drops: boolean

  /** @internal */
  constructor(subscription: api.Subscription, decode: (text: string) => Output, drops: boolean) {
    this.#subscription = subscription
    this.#decode = decode
    this.#drops = drops
  }

  get streamId(): string {
    return this.#subscription.streamId
  }

  /** The cursor of the last event that arrived, whether or not it was yielded. */
  get cursor(): string | undefined {
    return this.#subscription.cursor
  }

  get outcome(): api.Outcome | undefined {
    return this.#subscription.outcome
  }

  get reason(): string | undefined {
    return this.#subscription.reason
  }

  toJSON(): api.SubscriptionJson & { dropped: number } {
    return { ...this.#subscription.toJSON(), dropped: this.dropped }
  }

  async next(): Promise<IteratorResult<EventChunk<Output>, undefined>> {
    for (;;) {
      const result = await this.#subscription.next()
      if (result.done) return result
      const { seq, cursor } = result.value
      try {
        return { done: false, value: { seq, cursor, event: this.#decode(result.value.text()) } }
      } catch (error) {
        if (error instanceof SchemaError && this.#drops) this.dropped += 1
        else {
          await this.#subscription.return()
          throw error
        }
      }
    }
  }

  async return(): Promise<IteratorResult<EventChunk<Output>, undefined>> {
    await this.#subscription.return()
    return { done: true, value: undefined }
  }

  async throw(error?: unknown): Promise<IteratorResult<EventChunk<Output>, undefined>> {
    await this.#subscription.return()
    throw error
  }

  /** As `Subscription.ack`. */
  ack(cursor: string): Promise<void> {
    return this.#subscription.ack(cursor)
  }

  /** Lets the process exit while this loop waits. */
  unref(): this {
    this.#subscription.unref()
    return this
  }

  /** Keeps the process alive while this loop waits, which is the default. */
  ref(): this {
    this.#subscription.ref()
    return this
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscription.return()
  }
}

show(EventProducer, 'EventProducer')
show(EventSubscription, 'EventSubscription')
