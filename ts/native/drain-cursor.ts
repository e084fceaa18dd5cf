import { ownText } from '../util/own'

const NOTHING: Uint8Array = new Uint8Array(0)

/** The content of one drain, with the positions up to which its text and bytes have been used. */
export class DrainCursor {
  readonly #words: Uint32Array
  #text = ''
  #textAt = 0
  #bytes = NOTHING
  #bytesAt = 0
  #at = 0
  #end = 0
  /** Where the run begins, and the text of its first chunk, once somebody has read it. */
  #firstAt = 0
  #firstTextAt = 0
  #firstBytesAt = 0
  #first: string | undefined

  constructor(words: Uint32Array) {
    this.#words = words
  }

  open(text: string, bytes: Uint8Array | undefined): void {
    this.#text = text
    this.#textAt = 0
    this.#first = undefined
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

  /** A run of `count` chunks begins, whose tags (`length << 1 | isText`) are at `at`. */
  run(at: number, count: number): void {
    this.#at = at
    this.#end = at + count
    this.#firstAt = at
    this.#firstTextAt = this.#textAt
    this.#firstBytesAt = this.#bytesAt
    this.#first = undefined
  }

  /** Back to the beginning of the run, for the next one who gets it. */
  again(): void {
    this.#at = this.#firstAt
    this.#textAt = this.#firstTextAt
    this.#bytesAt = this.#firstBytesAt
  }

  /** How many chunks of the run are left. */
  get left(): number {
    return this.#end - this.#at
  }

  /** The next chunk of the run. */
  chunk(): string | Uint8Array {
    const at = this.#at++
    const tag = this.#words[at] as number
    if ((tag & 1) === 1) {
      if (at !== this.#firstAt) return this.own(tag >>> 1)
      // Most runs are of one chunk, which all of its readers share.
      if (this.#first === undefined) this.#first = this.own(tag >>> 1)
      else this.#textAt += tag >>> 1
      return this.#first
    }
    const start = this.#bytesAt
    this.#bytesAt = start + (tag >>> 1)
    return ownBytes(this.#bytes, start, this.#bytesAt)
  }

  /** The rest of the run, as lengths, one text and one array of bytes. */
  rest(tags: number[]): { text: string; bytes: Uint8Array } {
    const bytesAt = this.#bytesAt
    for (let i = this.#at; i < this.#end; i++) tags.push(this.#words[i] as number)
    const textAt = this.#textAt
    this.skip()
    return {
      text: ownText(this.#text.slice(textAt, this.#textAt), this.#text),
      bytes: this.#bytesAt === bytesAt ? NOTHING : ownBytes(this.#bytes, bytesAt, this.#bytesAt),
    }
  }

  /** Skips the rest of the run. */
  skip(): void {
    for (; this.#at < this.#end; this.#at++) {
      const tag = this.#words[this.#at] as number
      if ((tag & 1) === 1) this.#textAt += tag >>> 1
      else this.#bytesAt += tag >>> 1
    }
  }
}

/** So many bytes that hold anything, and belong to nobody else. */
export function memory(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}

/** A copy of the bytes: a caller that transfers or changes its chunk must not affect others. */
export function ownBytes(source: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start)
  copy.set(source.subarray(start, end))
  return copy
}
