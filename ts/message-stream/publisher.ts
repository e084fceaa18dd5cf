import type { Outcome, Producer } from '../../index'
import { put } from '../core/copy'
import type { Engine } from '../core/engine'
import { StoppedError } from '../errors/errors'
import { KeepAlive } from '../native/keep-alive'
import { messageEvents, type StreamMessage } from '../schema/message-events'
import { ignore } from '../util/deferred'
import { clearTimeout, setTimeout } from '../util/timers'
import { readFlag, setFlag } from './predecessor'
import type { MessageSchema } from './types'

/** The time at which an event was stored, in milliseconds since 1970: a stored field that readers do not get. */
export const STORED_AT = '_at'

/** How often the stop flag of the previous backend is checked. */
const FLAG_EVERY_MS = 1000

interface PublisherOptions {
  owner?: string | undefined
  metadata?: unknown
  ttlSeconds?: number | undefined
  flushIntervalMs?: number | undefined
  schema?: MessageSchema | false | undefined
}

/** A chat that is being written. It starts a new generation, which fences the previous writer. */
export class Publisher {
  readonly signal: AbortSignal
  readonly #engine: Engine
  readonly #chatId: string
  readonly #owner: string | undefined
  readonly #producer: Producer
  readonly #schema: MessageSchema | false
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  private constructor(engine: Engine, producer: Producer, options: PublisherOptions) {
    this.signal = producer.signal
    this.#engine = engine
    this.#chatId = producer.streamId
    this.#owner = options.owner
    this.#producer = producer
    this.#schema = options.schema ?? messageEvents
  }

  static async open(engine: Engine, chatId: string, options: PublisherOptions): Promise<Publisher> {
    const { owner, metadata, ttlSeconds, flushIntervalMs } = options
    const life = ttlSeconds === undefined ? undefined : (`${ttlSeconds}s` as const)
    const producer = await engine.produce(chatId, {
      owner,
      metadata,
      ifActive: 'takeover',
      ttl: { active: life, done: life },
      flushIntervalMs,
    })
    const publisher = new Publisher(engine, producer, options)
    await publisher.#watch()
    return publisher
  }

  /** Throws if the event does not fit. Returns a promise if the next event should wait. */
  write(event: StreamMessage): Promise<void> | undefined {
    if (this.#schema !== false) this.#schema.parse(event)
    return put(this.#producer, JSON.stringify({ ...event, [STORED_AT]: Date.now() }))
  }

  /** Requests a stop, as anybody might; resolves when the signal is aborted. */
  async stop(reason: string): Promise<void> {
    const result = await this.#engine.stop(this.#chatId, { reason, owner: this.#owner })
    if (result !== 'stopping' || this.signal.aborted) return
    // Between the answer and the stop's arrival nothing else keeps the process alive.
    const alive = new KeepAlive()
    alive.hold()
    await new Promise((resolve) => this.signal.addEventListener('abort', resolve, { once: true }))
    alive.close()
  }

  flush(): Promise<void> {
    return this.#producer.flush()
  }

  async complete(): Promise<Outcome> {
    this.#unwatch()
    try {
      return await this.#producer.complete()
    } finally {
      // The flag has taken effect, and must not stop the next run.
      if (this.signal.aborted && this.signal.reason instanceof StoppedError) {
        await setFlag(this.#engine, this.#chatId, false).catch(ignore)
      }
    }
  }

  fail(error: unknown): Promise<Outcome> {
    this.#unwatch()
    return this.#producer.fail(error)
  }

  /** Servers of the previous backend stop a chat by a flag. Nobody waits for it but the first event. */
  async #watch(): Promise<void> {
    const isSet = await readFlag(this.#engine, this.#chatId).catch(() => false)
    if (isSet === null || this.#isOver || this.signal.aborted) return
    if (isSet) {
      await this.stop('').catch(ignore)
      if (this.signal.aborted) return
    }
    this.#timer = setTimeout(() => this.#watch().catch(ignore), FLAG_EVERY_MS).unref()
  }

  #unwatch(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }
}
