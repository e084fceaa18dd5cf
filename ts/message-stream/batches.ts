import { invalidArgument } from '../errors/errors'
import { callback } from '../options/checks'
import { type Deferred, deferred, ignore } from '../util/deferred'
import { batchedQueueOptions } from './options'
import type { BatchedQueue, BatchedQueueOptions } from './types'

const DEFAULT_BATCH_TIME_MS = 1000
const DEFAULT_BATCH_SIZE = 100

/** Hands items over in batches, one after the other; an error of the handler rejects the promises of the batch's items. */
export function createBatchedQueue<T>(
  options: BatchedQueueOptions,
  flushHandler: (items: T[]) => unknown,
): BatchedQueue<T> {
  return new Batches(batchedQueueOptions(options, 'options'), callback<T[]>(flushHandler, 'flushHandler'))
}

class Batches<T> implements BatchedQueue<T> {
  readonly #batchTimeMs: number
  readonly #maxBatchSize: number
  readonly #handler: (items: T[]) => unknown
  #batch: { items: T[]; timer: NodeJS.Timeout; done: Deferred<void> } | undefined
  #tail: Promise<void> = Promise.resolve()
  #failure: { is: unknown } | undefined
  #isDestroyed = false

  constructor(options: ReturnType<typeof batchedQueueOptions>, handler: (items: T[]) => unknown) {
    this.#batchTimeMs = options.batchTimeMs ?? DEFAULT_BATCH_TIME_MS
    this.#maxBatchSize = options.maxBatchSize ?? DEFAULT_BATCH_SIZE
    this.#handler = handler
  }

  add(item: T): Promise<void> {
    if (this.#isDestroyed) return unheard(Promise.reject(invalidArgument('item', 'the queue is destroyed')))
    this.#batch ??= {
      items: [],
      // The process' own: whoever tests with fake timers tells them when the time is over.
      timer: setTimeout(() => this.#send(), this.#batchTimeMs),
      done: deferred<void>(),
    }
    const { items, done } = this.#batch
    items.push(item)
    if (items.length >= this.#maxBatchSize) this.#send()
    return unheard(done.promise)
  }

  async flush(): Promise<void> {
    this.#send()
    await this.#tail
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure.is
  }

  destroy(): Promise<void> {
    this.#isDestroyed = true
    return this.flush()
  }

  #send(): void {
    if (this.#batch === undefined) return
    const { items, timer, done } = this.#batch
    clearTimeout(timer)
    this.#batch = undefined
    this.#tail = this.#tail
      .then(() => this.#handler(items))
      .then(
        () => done.resolve(),
        (error) => {
          this.#failure ??= { is: error }
          done.reject(error)
        },
      )
  }
}

/** Awaiting it is optional: `flush` reports the failure too. */
function unheard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(ignore)
  return promise
}
