import { called } from '../errors/errors'
import { streamId } from '../options/fields'
import type { StreamMessage } from '../schema/message-events'
import { ignore } from '../util/deferred'
import { defaultEngine } from './default-engine'
import { queueOptions, reasonOf } from './options'
import { isComplete } from './predecessor'
import { Publisher } from './publisher'
import type { StreamQueue, StreamQueueOptions } from './types'

const DEFAULT_BATCH_SIZE = 100

/**
 * A chat's stream, to be written event by event. The first event starts the stream, and a complete event ends it; an
 * event after that starts it again.
 */
export function createStreamQueue(chatId: string, options: StreamQueueOptions = {}): StreamQueue {
  return called(
    createStreamQueue,
    () => new ChatQueue(streamId(chatId, 'chatId'), queueOptions(options, 'options')),
  )
}

class ChatQueue implements StreamQueue {
  readonly #chatId: string
  readonly #options: ReturnType<typeof queueOptions>
  readonly #controller = new AbortController()
  /** Settles when all earlier calls are done. */
  #tail: Promise<void> = Promise.resolve()
  #publisher: Publisher | undefined
  #unflushed = 0

  constructor(chatId: string, options: ReturnType<typeof queueOptions>) {
    this.#chatId = chatId
    this.#options = options
    if (options.signal?.aborted) this.#onAbort()
    else options.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  enqueue(event: StreamMessage): Promise<void> {
    return this.#inTurn(() => this.#put(event))
  }

  cleanup(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    return this.#inTurn(() => this.#complete())
  }

  /** The promise may be ignored, as with the previous backend: the next call reports the failure again. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#tail.then(work)
    this.#tail = turn.catch(ignore)
    return turn
  }

  async #put(event: StreamMessage): Promise<void> {
    const isLast = isComplete(event)
    this.#check(isLast)
    this.#publisher ??= await this.#open()
    this.#check(isLast)
    const full = this.#publisher.write(event)
    if (isLast) return this.#complete()
    this.#unflushed += 1
    if (this.#unflushed >= (this.#options.maxBatchSize ?? DEFAULT_BATCH_SIZE)) {
      this.#unflushed = 0
      this.#publisher.flush().catch(ignore)
    }
    return full
  }

  /** After a stop, only the complete event may be written. */
  #check(isLast: boolean): void {
    if (this.signal.aborted && !(isLast && this.#publisher !== undefined)) throw this.signal.reason
  }

  async #open(): Promise<Publisher> {
    const { owner, schema, batchTimeMs, expireAfterSeconds } = this.#options
    const publisher = await Publisher.open(defaultEngine(), this.#chatId, {
      owner,
      schema,
      flushIntervalMs: batchTimeMs,
      ttlSeconds: expireAfterSeconds,
    })
    const abort = () => this.#controller.abort(publisher.signal.reason)
    if (publisher.signal.aborted) abort()
    else publisher.signal.addEventListener('abort', abort, { once: true })
    return publisher
  }

  async #complete(): Promise<void> {
    const publisher = this.#publisher
    this.#publisher = undefined
    await publisher?.complete()
  }

  readonly #onAbort = (): void => {
    const reason = this.#options.signal?.reason
    this.#controller.abort(reason)
    this.#inTurn(async () => this.#publisher?.stop(reasonOf(reason)))
  }
}
