import { randomUUID } from 'node:crypto'
import { type Deferred, deferred, ignore } from '../util/deferred'
import { clearTimeout, setTimeout } from '../util/timers'
import { Channels } from './channels'
import {
  chunkChannel,
  DONE_MESSAGE,
  DONE_VALUE,
  FAILED_MESSAGE,
  NO_ANSWER,
  type Request,
  requestChannel,
  sentinelKey,
  type Wire,
} from './protocol'
import { PushStream } from './push-stream'

/** How long a producer has to answer. */
const ACK_MS = 1000

/** One reader of a stream that another process, or this one, makes and relays. */
export class Resumption {
  readonly #wire: Wire
  readonly #sentinel: string
  readonly #requests: string
  readonly #watchdogMs: number
  readonly #text = new PushStream(() => this.#end())
  readonly #answered: Deferred<ReadableStream<string> | null> = deferred()
  #timer: NodeJS.Timeout | undefined
  #leave: () => Promise<unknown> = async () => {}
  #isAnswered = false
  #isOver = false

  constructor(wire: Wire, streamId: string, watchdogMs: number) {
    this.#wire = wire
    this.#sentinel = sentinelKey(wire.prefix, streamId)
    this.#requests = requestChannel(wire.prefix, streamId)
    this.#watchdogMs = watchdogMs
    // It may be given up while the request is still being sent, before anybody awaits it.
    this.#answered.promise.catch(ignore)
  }

  /** Resolves once the producer has answered: null when it has just finished. */
  async start(skipCharacters: number): Promise<ReadableStream<string> | null> {
    const listenerId = randomUUID()
    const request: Request = { listenerId, skipCharacters, failures: true }
    try {
      this.#leave = await Channels.of(this.#wire.subscriber).listen(
        chunkChannel(this.#wire.prefix, listenerId),
        this.#onMessage,
      )
      this.#timer = setTimeout(() => this.#giveUp(), ACK_MS)
      await this.#wire.publisher.publish(this.#requests, JSON.stringify(request))
      return await this.#answered.promise
    } catch (error) {
      this.#end()
      throw error
    }
  }

  readonly #onMessage = (message: string): void => {
    if (this.#isOver) return
    if (!this.#isAnswered) {
      this.#isAnswered = true
      this.#answered.resolve(this.#text.stream)
      this.#watch(0)
    }
    if (message === DONE_MESSAGE) this.#close()
    else if (message.startsWith(FAILED_MESSAGE)) {
      this.#text.fail(new Error(message.slice(FAILED_MESSAGE.length)))
      this.#end()
    } else this.#text.write(message)
  }

  /** There was no answer. */
  async #giveUp(): Promise<void> {
    this.#end()
    try {
      const state = await this.#wire.publisher.get(this.#sentinel)
      if (state === DONE_VALUE) this.#answered.resolve(null)
      else this.#answered.reject(new Error(NO_ANSWER))
    } catch (error) {
      this.#answered.reject(error)
    }
  }

  /** The sentinel shows that a last message was lost; it has to be seen twice, so that messages in flight have time to arrive. */
  #watch(seen: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(async () => {
      const isDone = await this.#wire.publisher.get(this.#sentinel).then(
        (state) => state === DONE_VALUE || state === null,
        () => false,
      )
      if (this.#isOver) return
      if (isDone && seen === 1) this.#close()
      else this.#watch(isDone ? seen + 1 : 0)
    }, this.#watchdogMs)
  }

  #close(): void {
    this.#text.close()
    this.#end()
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#leave().catch(ignore)
  }
}
