const NOTHING: Uint8Array = new Uint8Array(0)

/** What one drain brought, with the places up to which its text and bytes have been used. */
export class Drained {
  readonly #words: Uint32Array
  #text = ''
  #textAt = 0
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
    this.#bytes = bytes ?? NOTHING
    this.#bytesAt = 0
  }

  /** Forgets the text and the bytes, so that they are not kept until the next drain. */
  close(): void {
    this.open('', undefined)
  }

  /** The next `units` of text. */
  take(units: number): string {
    const start = this.#textAt
    this.#textAt = start + units
    return this.#text.slice(start, start + units)
  }

  /** A run of `count` chunks begins, whose tags (`length << 1 | isText`) are at `at`. */
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
    if ((tag & 1) === 1) return this.take(tag >>> 1)
    const start = this.#bytesAt
    this.#bytesAt = start + (tag >>> 1)
    return own(this.#bytes, start, this.#bytesAt)
  }

  /** The rest of the run, as lengths, one text and one array of bytes. */
  rest(tags: number[]): { text: string; bytes: Uint8Array } {
    const textAt = this.#textAt
    const bytesAt = this.#bytesAt
    const first = this.#at
    this.skip()
    for (let i = first; i < this.#end; i++) tags.push(this.#words[i] as number)
    return {
      text: this.#text.slice(textAt, this.#textAt),
      bytes: this.#bytesAt === bytesAt ? NOTHING : own(this.#bytes, bytesAt, this.#bytesAt),
    }
  }

  /** Passes over the rest of the run. */
  skip(): void {
    for (; this.#at < this.#end; this.#at++) {
      const tag = this.#words[this.#at] as number
      if ((tag & 1) === 1) this.#textAt += tag >>> 1
      else this.#bytesAt += tag >>> 1
    }
  }
}

/** A copy with memory of its own: a caller that transfers or changes its chunk must not touch anybody else's. */
export function own(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start)
  copy.set(bytes.subarray(start, end))
  return copy
}
