import type { ChunkData } from '../index'
import { type Drained, own } from './drained'

const NOTHING = new Uint8Array(0)
/** Runs are joined in this number, so that what a slow reader holds is its own text and not that of whole drains. */
const MAX_RUNS = 16

/** Consecutive chunks of one generation that wait to be read: lengths, text and bytes, cut up when they are. */
export class Batch {
  readonly generation: string
  readonly #tags: number[] = []
  #texts: string[] = []
  #blobs: Uint8Array[] = []
  /** The seq of the next chunk to take. */
  #seq: number
  #taken = 0
  #text = ''
  #textAt = 0
  #bytes: Uint8Array = NOTHING
  #bytesAt = 0

  constructor(generation: string, seq: number) {
    this.generation = generation
    this.#seq = seq
  }

  get seq(): number {
    return this.#seq
  }

  get isEmpty(): boolean {
    return this.#taken === this.#tags.length
  }

  /** Whether a run that begins with `seq` goes on where this batch ends; not once chunks were taken from it. */
  precedes(generation: string, seq: number): boolean {
    return this.#taken === 0 && this.generation === generation && this.#seq + this.#tags.length === seq
  }

  /** Takes over the rest of the run. */
  add(drained: Drained): void {
    const { text, bytes } = drained.rest(this.#tags)
    if (text !== '') {
      this.#texts.push(text)
      // `join` copies: a single string of our own instead of slices of many large ones.
      if (this.#texts.length === MAX_RUNS) this.#texts = [this.#texts.join('')]
    }
    if (bytes.byteLength > 0) this.#blobs.push(bytes)
  }

  /** The next chunk; there is one. */
  take(): ChunkData {
    if (this.#taken === 0) this.#seal()
    const tag = this.#tags[this.#taken++] as number
    this.#seq++
    const length = tag >>> 1
    if ((tag & 1) === 1) {
      const start = this.#textAt
      this.#textAt = start + length
      return this.#text.slice(start, start + length)
    }
    const start = this.#bytesAt
    this.#bytesAt = start + length
    return own(this.#bytes, start, start + length)
  }

  #seal(): void {
    this.#text = this.#texts.length === 1 ? (this.#texts[0] as string) : this.#texts.join('')
    if (this.#blobs.length > 0) this.#bytes = Buffer.concat(this.#blobs)
    this.#texts = []
    this.#blobs = []
  }
}
