import type { ChunkData, Subscription } from '../../index'
import { refuse } from '../options/checks'
import { ownText } from '../util/own'
import { isHighSurrogate, WholeText } from '../util/text'

/** Longer texts are cut: they may have any length, and chunks have a limit. */
const MAX_UNITS = 256 * 1024

/** How many UTF-16 units a reader has already; accepts the same values as the original. */
export function unitsToSkip(skipCharacters: unknown): number {
  const units = Math.trunc(Number(skipCharacters ?? 0))
  if (units < 0) return refuse('skipCharacters', 'a number from 0', skipCharacters)
  return Number.isFinite(units) ? units : 0
}

/** Cuts text so that no piece is too long and no character is in two pieces. */
export function* pieces(text: string): Generator<string, void> {
  let start = 0
  while (text.length - start > MAX_UNITS) {
    let end = start + MAX_UNITS
    if (isHighSurrogate(text, end - 1)) end -= 1
    yield text.slice(start, end)
    start = end
  }
  yield start === 0 ? text : text.slice(start)
}

/** A source's chunks, short enough to be stored. */
export class Chunks implements AsyncIterableIterator<ChunkData, undefined> {
  readonly #reader: ReadableStreamDefaultReader<ChunkData>
  #rest: Iterator<string, void> | undefined

  /** Throws if the stream is locked, or is not a stream. */
  constructor(stream: ReadableStream<ChunkData>) {
    this.#reader = stream.getReader()
  }

  async next(): Promise<IteratorResult<ChunkData, undefined>> {
    for (;;) {
      const piece = this.#rest?.next()
      if (piece?.done === false) return piece
      const { done, value } = await this.#reader.read()
      if (done) return { done: true, value: undefined }
      // Other chunks pass unchanged: the engine accepts bytes, and refuses anything else.
      if (typeof value !== 'string') return { done: false, value }
      this.#rest = pieces(value)
    }
  }

  async return(): Promise<IteratorResult<ChunkData, undefined>> {
    await this.#reader.cancel()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

/** A subscription's chunks as the text that they are, without the first `skip` UTF-16 units. */
export function textOf(subscription: Subscription, skip: number): ReadableStream<string> {
  const texts = textsOf(subscription)
  const source = {
    async pull(controller: ReadableStreamDefaultController<string>) {
      for (;;) {
        const { done, value: text } = await texts.next()
        if (done) return controller.close()
        if (skip === 0) return controller.enqueue(text)
        const rest = ownText(text.slice(skip), text)
        skip = Math.max(0, skip - text.length)
        if (rest !== '') return controller.enqueue(rest)
      }
    },
    async cancel() {
      await subscription.return()
    },
  }
  // Only a reader that reads to the failure gets it, not one that has left before.
  return new ReadableStream<string>(source, { highWaterMark: 0 })
}

/** A text for each chunk, and one for bytes of an incomplete character at the end, with any outcome. */
async function* textsOf(subscription: Subscription): AsyncGenerator<string, undefined> {
  const whole = new WholeText()
  let failure: { error: unknown } | undefined
  try {
    for await (const { data } of subscription) yield whole.push(data)
  } catch (error) {
    failure = { error }
  }
  const rest = whole.end()
  if (rest !== '') yield rest
  if (failure !== undefined) throw failure.error
  return undefined
}
