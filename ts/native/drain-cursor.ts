import { ownText } from '../util/own'
import { AGAIN } from './native'

const NOTHING: Uint8Array = new Uint8Array(0)

/** The content of one drain, with the positions up to which its text and bytes have been used. */
export class DrainCursor {
  readonly #words: Uint32Array
  #text = ''
  #textAt = 0
  /** Where the last chunk of text began, its length, and, once it was read, its text. */
  #lastAt = 0
  #lastUnits = 0
  #last: string | undefined
  #bytes = NOTHING
  #bytesAt = 0
  #at = 0
  #end = 0

  constructor(words: Uint32Array) {
    this.#words = words
  }

  open(text: string, bytes: Uint8Array | undefined): void {
    this.#text = text
    this.#textAt = 0
    this.#last = undefined
    this.#bytes = bytes ?? NOTHING
    this.#bytesAt = 0
  }

  /** Forgets the text and the bytes, so that they are not kept until the next drain. */
  close(): void {
    this.open('', undefined)
  }

  /** The next `units` of text: a view that keeps the whole drain, for what is parsed and forgotten. */
  take(units: number): string {
    const start = this.#textAt
    this.#textAt = start + units
    return this.#text.slice(start, start + units)
  }

  /** The same, for text that is kept. */
  own(units: number): string {
    return ownText(this.take(units), this.#text)
  }

  /** A run of `count` chunks begins, whose tags (`length << 1 | isText`, or {@link AGAIN}) are at `at`. */
  run(at: number, count: number): void {
    this.#at = at
    this.#end = at + count
  }

  /** How many chunks of the run are left. */
  get left(): number {
    return this.#end - this.#at
  }

  /** The next chunk of the run. */
  chunk(): string | Uint8Array {
    const tag = this.#words[this.#at++] as number
    if (tag === AGAIN) return this.#again()
    if ((tag & 1) === 1) {
      this.#pass(tag >>> 1)
      return this.#again()
    }
    const start = this.#bytesAt
    this.#bytesAt = start + (tag >>> 1)
    return ownBytes(this.#bytes, start, this.#bytesAt)
  }

  /** The rest of the run, as lengths, one text and one array of bytes. */
  rest(tags: number[]): { text: string; bytes: Uint8Array } {
    const bytesAt = this.#bytesAt
    const first = this.#at
    let again = ''
    if (this.#words[first] === AGAIN) {
      again = this.#again()
      tags.push((again.length << 1) | 1)
      this.#at++
    }
    for (let i = this.#at; i < this.#end; i++) tags.push(this.#words[i] as number)
    const textAt = this.#textAt
    this.skip()
    return {
      text: again + ownText(this.#text.slice(textAt, this.#textAt), this.#text),
      bytes: this.#bytesAt === bytesAt ? NOTHING : ownBytes(this.#bytes, bytesAt, this.#bytesAt),
    }
  }

  /** Skips the rest of the run. */
  skip(): void {
    for (; this.#at < this.#end; this.#at++) {
      const tag = this.#words[this.#at] as number
      if (tag === AGAIN) continue
      if ((tag & 1) === 1) this.#pass(tag >>> 1)
      else this.#bytesAt += tag >>> 1
    }
  }

  /** Moves to the text's next chunk, which is then the last one. */
  #pass(units: number): void {
    this.#lastAt = this.#textAt
    this.#lastUnits = units
    this.#last = undefined
    this.#textAt += units
  }

  /** The last chunk of text; all its readers share it. */
  #again(): string {
    this.#last ??= ownText(this.#text.slice(this.#lastAt, this.#lastAt + this.#lastUnits), this.#text)
    return this.#last
  }
}

/** A copy of the bytes: a caller that transfers or changes its chunk must not affect others. */
export function ownBytes(source: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start)
  copy.set(source.subarray(start, end))
  return copy
}
