import type { Chunk, Outcome, Subscription } from '../../index'
import type { Engine } from '../core/engine'
import { called, NotFoundError, outcomeError, SchemaError } from '../errors/errors'
import { streamId } from '../options/fields'
import { messageEvents, type StreamMessage } from '../schema/message-events'
import { now, sleep } from '../util/timers'
import { defaultEngine } from './default-engine'
import { subscribeOptions } from './options'
import { isComplete, oldEvents, parseOld } from './predecessor'
import { STORED_AT } from './publisher'
import type { MessageSchema, MessageSubscription, SubscribeOptions } from './types'

/** How often a stream that a server of the previous backend may be writing is checked. */
const OLD_EVERY_MS = 500
/** Silence after which that server is taken for dead, unless the reader says how long to wait. */
const OLD_SILENCE_MS = 30_000

type Result = IteratorResult<StreamMessage, undefined>

/**
 * Follows the events of a chat, from its start or from the reader's position: stored events, then live ones, up to the complete
 * event. The loop ends when the run ends: quietly if the run was completed or stopped, otherwise by throwing `ERR_FAILED` or
 * `ERR_INTERRUPTED` after every event. Leaving the loop, or aborting the signal, frees everything at once.
 */
export function subscribeToMessageChunkStream(
  chatId: string,
  options: SubscribeOptions = {},
): MessageSubscription {
  return called(
    subscribeToMessageChunkStream,
    () => new Follower(streamId(chatId, 'chatId'), subscribeOptions(options, 'options')),
  )
}

class Follower implements MessageSubscription {
  readonly #chatId: string
  readonly #options: ReturnType<typeof subscribeOptions>
  readonly #schema: MessageSchema
  readonly #events = this.#read()
  /** Aborted by the caller's signal, and to leave at once though an event is waited for. */
  readonly #leaving = new AbortController()
  #subscription: Subscription | undefined
  #outcome: Outcome | undefined
  #cursor: string | undefined
  #isLeft = false

  constructor(chatId: string, options: ReturnType<typeof subscribeOptions>) {
    this.#chatId = chatId
    this.#options = options
    this.#schema = options.schema ?? messageEvents
  }

  get cursor(): string | undefined {
    return this.#cursor
  }

  get outcome(): Outcome | undefined {
    return this.#outcome ?? this.#subscription?.outcome
  }

  get reason(): string | undefined {
    return this.#subscription?.reason
  }

  next(): Promise<Result> {
    return this.#events.next()
  }

  return(): Promise<Result> {
    this.#isLeft = true
    this.#leaving.abort()
    return this.#events.return(undefined)
  }

  async throw(error: unknown): Promise<Result> {
    await this.return()
    throw error
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async *#read(): AsyncGenerator<StreamMessage, undefined, undefined> {
    const { signal } = this.#options
    const leaving = this.#leaving
    // The caller's signal may last, and must not keep a loop that was dropped.
    const onAbort = () => leaving.abort(signal?.reason)
    try {
      if (signal?.aborted) onAbort()
      else signal?.addEventListener('abort', onAbort)
      this.#leaving.signal.throwIfAborted()
      const engine = defaultEngine()
      const { from, wait } = this.#options
      const isWhole = from === undefined || from === 'start'
      try {
        // The rare case is paid for by itself: a chat that has a stream is read as it would be without old ones.
        return yield* this.#live(engine, isWhole ? 0 : wait)
      } catch (error) {
        if (!(error instanceof NotFoundError) || !isWhole) throw error
      }
      if (yield* this.#old(engine)) return undefined
      return yield* this.#live(engine, wait)
    } catch (error) {
      if (this.#isLeft) return undefined
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async *#live(
    engine: Engine,
    wait: number | undefined,
  ): AsyncGenerator<StreamMessage, undefined, undefined> {
    const { from, owner, userId } = this.#options
    const subscription = engine.subscribe(this.#chatId, {
      from,
      owner,
      consumer: userId,
      wait,
      signal: this.#leaving.signal,
    })
    this.#subscription = subscription
    let isOver = false
    try {
      for await (const chunk of subscription) {
        // Nothing follows the complete event but the end of the run, which tells the outcome.
        if (isOver) return undefined
        const event = this.#decode(chunk)
        if (event === undefined) continue
        isOver = isComplete(event)
        this.#cursor = chunk.cursor
        yield event
      }
    } catch (error) {
      if (!isOver) throw error
    }
    return undefined
  }

  /** What a chunk holds, unless the reader does not want it. */
  #decode(chunk: Chunk): StreamMessage | undefined {
    const { fromTimestamp = 0, validate = 'off' } = this.#options
    try {
      const { [STORED_AT]: storedAt, ...event } = messageEvents.decode(
        chunk.text(),
        false,
      ) as StreamMessage & {
        [STORED_AT]?: number
      }
      if (storedAt !== undefined && storedAt < fromTimestamp) return undefined
      return validate === 'off' ? event : (this.#schema.parse(event) as StreamMessage)
    } catch (error) {
      if (validate === 'drop' && error instanceof SchemaError) return undefined
      throw error
    }
  }

  /** Reads what the previous backend has left of the chat and still writes. Returns whether that is all there is to read. */
  async *#old(engine: Engine): AsyncGenerator<StreamMessage, boolean, undefined> {
    const { fromTimestamp = 0, wait = OLD_SILENCE_MS } = this.#options
    let after = ''
    let heard = now()
    for (;;) {
      const page = await oldEvents(engine, this.#chatId, after, fromTimestamp)
      this.#leaving.signal.throwIfAborted()
      if (page === null || (page.next === '' && page.events.length === 0)) return false
      after = page.next
      for (const event of page.events.map(parseOld)) {
        heard = now()
        if (event === undefined) continue
        yield event
        if (isComplete(event)) {
          this.#outcome = 'complete'
          return true
        }
      }
      if (page.more) continue
      // The chat continues in a stream of ours.
      if ((await engine.status(this.#chatId)) !== null) return false
      if (now() - heard > wait) {
        this.#outcome = 'interrupted'
        throw outcomeError('interrupted', this.#chatId, 'lease')
      }
      await sleep(OLD_EVERY_MS, this.#leaving.signal)
    }
  }
}
