import type * as api from '../../index'
import { FailedError, InterruptedError, type Origin, timeoutError } from '../errors/errors'
import type { Bridge } from '../native/bridge'
import type { ResultArgs } from '../options/read'
import { clearTimeout, setTimeout } from '../util/timers'
import type { Chunk } from './chunk'
import { Subscription } from './subscription'
import { WholeText } from './whole-text'

/** A generation that has ended with any outcome, and the error of its loop, if there was one. */
export interface Ended<Message> {
  result: api.StreamResult<Message>
  error: FailedError | InterruptedError | undefined
}

/** Reads a generation to its end. Rejects if it cannot be read as a whole, or not in time. */
export async function ended<Message>(
  bridge: Bridge,
  { following, timeoutMs, format, reduce }: ResultArgs<Message>,
  from: Origin,
): Promise<Ended<Message>> {
  const { streamId } = following.args
  const end = new AbortController()
  const given = following.signal
  const abort = () => end.abort(given?.reason)
  if (given?.aborted) abort()
  given?.addEventListener('abort', abort)
  const expire = () => end.abort(timeoutError(streamId, timeoutMs ?? 0, from))
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs)
  const subscription = new Subscription(bridge, { ...following, signal: end.signal }, from)
  const reading = new Reading(subscription, new WholeText(format))
  try {
    const message = reduce === undefined ? undefined : await reading.reduce(reduce)
    while ((await reading.next()) !== undefined);
    const { outcome, reason, cursor } = subscription
    const { chunks, text, error } = reading
    const result = { outcome: outcome as api.Outcome, reason, cursor, chunks, text: text.end(), message }
    return { result, error }
  } finally {
    clearTimeout(timer)
    given?.removeEventListener('abort', abort)
    await subscription.return()
  }
}

class Reading {
  readonly chunks: Chunk[] = []
  readonly text: WholeText
  /** The outcome, from the error that a loop throws. */
  error: FailedError | InterruptedError | undefined
  readonly #subscription: Subscription
  /** Why nothing more can be read. */
  #broken: { error: unknown } | undefined

  constructor(subscription: Subscription, text: WholeText) {
    this.#subscription = subscription
    this.text = text
  }

  /** Undefined: the generation has ended. */
  async next(): Promise<Chunk | undefined> {
    if (this.#broken !== undefined) throw this.#broken.error
    try {
      const { value } = await this.#subscription.next()
      if (value === undefined) return undefined
      this.chunks.push(value)
      this.text.add(value)
      return value
    } catch (error) {
      if (error instanceof FailedError || error instanceof InterruptedError) {
        this.error = error
        return undefined
      }
      this.#broken = { error }
      throw error
    }
  }

  /** The last message that the function yields. */
  async reduce<Message>(reduce: NonNullable<ResultArgs<Message>['reduce']>): Promise<Message | undefined> {
    const pull = async (controller: ReadableStreamDefaultController<never>) => {
      const chunk = await this.next()
      if (chunk === undefined) controller.close()
      else controller.enqueue(chunk.json<never>())
    }
    let message: Message | undefined
    try {
      for await (message of reduce(new ReadableStream<never>({ pull }, { highWaterMark: 0 })));
    } catch (error) {
      // Our own error says more than what the function made of it.
      throw this.#broken === undefined ? error : this.#broken.error
    }
    return message
  }
}
