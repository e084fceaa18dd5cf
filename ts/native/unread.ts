import type { ChunkData } from '../../index'
import { ownText } from '../util/own'
import { type DrainCursor, ownBytes } from './drain-cursor'
import type { Large } from './large'

const NOTHING = new Uint8Array(0)

/** Short chunks that follow each other are pieces of one copy, of so many UTF-16 units: one of them that is kept keeps no more. */
const SHARED = 512

/** Consecutive chunks of one generation that wait to be read: lengths, text and bytes, cut up when they are read. */
export class Unread {
  readonly generation: string
  readonly #tags: number[] = []
  #texts: string[] = []
  #blobs: Uint8Array[] = []
  /** The seq of the next chunk to take. */
  #seq: number
  #taken = 0
  #text = ''
  #textAt = 0
  /** A copy of the text from `#copyAt` to `#copyEnd`. */
  #copy = ''
  #copyAt = 0
  #copyEnd = 0
  #bytes: Uint8Array = NOTHING
  #bytesAt = 0

  constructor(generation: string, seq: number) {
    this.generation = generation
    this.#seq = seq
  }

  get seq(): number {
    return this.#seq
  }

  /** The next chunk costs its length. */
  get bytes(): undefined {
    return undefined
  }

  get isEmpty(): boolean {
    return this.#taken === this.#tags.length
  }

  /** Whether a run that begins with `seq` continues these; false once some of them were taken. */
  precedes(generation: string, seq: number): boolean {
    return this.#taken === 0 && this.generation === generation && this.#seq + this.#tags.length === seq
  }

  /** Takes over the rest of the run. */
  add(drain: DrainCursor): void {
    const { text, bytes } = drain.rest(this.#tags)
    if (text !== '') this.#texts.push(text)
    if (bytes.byteLength > 0) this.#blobs.push(bytes)
  }

  /** The next chunk; there must be one. */
  take(): ChunkData {
    if (this.#taken === 0) this.#seal()
    const tag = this.#tags[this.#taken++] as number
    this.#seq++
    const length = tag >>> 1
    if ((tag & 1) === 1) return this.#cut(length)
    const start = this.#bytesAt
    this.#bytesAt = start + length
    return ownBytes(this.#bytes, start, this.#bytesAt)
  }

  #cut(length: number): string {
    const start = this.#textAt
    const end = start + length
    this.#textAt = end
    if (end > this.#copyEnd) {
      this.#copyAt = start
      this.#copyEnd = Math.max(end, Math.min(start + SHARED, this.#text.length))
      this.#copy = ownText(this.#text.slice(start, this.#copyEnd), this.#text)
    }
    return this.#copy.slice(start - this.#copyAt, end - this.#copyAt)
  }

  #seal(): void {
    this.#text = this.#texts.join('')
    if (this.#blobs.length > 0) this.#bytes = Buffer.concat(this.#blobs)
    this.#texts = []
    this.#blobs = []
  }
}

/** A large chunk that waits to be read. */
export class UnreadLarge {
  readonly generation: string
  readonly seq: number
  readonly bytes: number
  readonly #large: Large
  isEmpty = false

  constructor(generation: string, seq: number, large: Large) {
    this.generation = generation
    this.seq = seq
    this.bytes = large.bytes
    this.#large = large
  }

  take(): ChunkData {
    this.isEmpty = true
    return this.#large.take()
  }
}
