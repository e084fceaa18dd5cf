import type { ChunkData, Subscription } from '../../index'
import { refuse } from '../checks'
import { ownText } from '../own'

/** Longer chunks are cut: in UTF-8 they would not fit into one. */
const MAX_UNITS = 256 * 1024

const HIGH_SURROGATE = /[\uD800-\uDBFF]$/

/** How many UTF-16 units a reader has already, as liberal as the original about how it is said. */
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
    if (HIGH_SURROGATE.test(text[end - 1] as string)) end -= 1
    yield text.slice(start, end)
    start = end
  }
  yield start === 0 ? text : text.slice(start)
}

/** A source's chunks, made fit to be stored: short enough, and no character cut in two by their borders. */
export class Chunks implements AsyncIterableIterator<ChunkData, undefined> {
  readonly #reader: ReadableStreamDefaultReader<ChunkData>
  /** The first half of a character that the source has cut in two. */
  #half = ''
  #rest: Iterator<string, void> | undefined

  /** Throws when the stream is locked, or none. */
  constructor(stream: ReadableStream<ChunkData>) {
    this.#reader = stream.getReader()
  }

  async next(): Promise<IteratorResult<ChunkData, undefined>> {
    for (;;) {
      const piece = this.#rest?.next()
      if (piece?.done === false) return piece
      this.#rest = undefined
      const { done, value } = await this.#reader.read()
      // What is not text goes on as it is: the engine takes bytes, and says what is wrong with the rest.
      if (!done && typeof value !== 'string') return { done: false, value }
      const text = this.#whole(value as string | undefined)
      if (text !== undefined) this.#rest = pieces(text)
      else if (done) return { done: true, value: undefined }
    }
  }

  async return(): Promise<IteratorResult<ChunkData, undefined>> {
    await this.#reader.cancel()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** The chunk without half a character at its end; `undefined` when nothing else is there. */
  #whole(chunk: string | undefined): string | undefined {
    const text = this.#half + (chunk ?? '')
    const half = chunk === undefined ? '' : (HIGH_SURROGATE.exec(text)?.[0] ?? '')
    this.#half = half
    const whole = text.slice(0, text.length - half.length)
    return whole === '' && chunk !== '' ? undefined : whole.toWellFormed()
  }
}

/** A subscription's chunks as the text that they are, without the first `skip` UTF-16 units. */
export function textOf(subscription: Subscription, skip: number): ReadableStream<string> {
  const decoder = new TextDecoder()
  const source = {
    async pull(controller: ReadableStreamDefaultController<string>) {
      for (;;) {
        const { done, value } = await subscription.next()
        if (done) return controller.close()
        const { data } = value
        const text = typeof data === 'string' ? data : decoder.decode(data, { stream: true })
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
  // A failure is for who reads that far, not for who has left before.
  return new ReadableStream<string>(source, { highWaterMark: 0 })
}
