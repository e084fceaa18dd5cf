// Text in events. An append may end within a character, and each event is decoded by itself.

import type * as api from '../../index'
import type { Log } from '../core/log'
import { cursorAt, generationOf } from '../util/cursor'
import { encoded } from '../util/text'
import { bytesOf } from './bodies'

/** A character has at most four bytes. */
const MOST_BEFORE_LAST = 3
/** Larger pieces of a text are worth showing before the character is whole that the last one has cut. */
const MOST_HELD_BYTES = 1024

/**
 * The text of a stream's chunks from some place on. Chunks are held back until the last character is whole, so that whoever comes back with
 * the offset of what was shown can go on from there, as text or as bytes. A writer may cut characters forever: more chunks than one character
 * can be cut into, or larger ones, are shown without the last character, and who comes back for more text is given that.
 */
export class Characters {
  readonly #log: Log
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  #held: readonly api.Chunk[] = []
  /** The last bytes taken: as many as a character can lack one of. */
  #last: Uint8Array = new Uint8Array()
  #hasBegun = false

  constructor(log: Log) {
    this.#log = log
  }

  /** The first chunk that is held back. */
  get held(): api.Chunk | undefined {
    return this.#held[0]
  }

  /** What can be shown now that these have come; all of it, when nothing follows them. */
  async take(chunks: readonly api.Chunk[], isEnd: boolean): Promise<string> {
    await this.#begin(chunks[0])
    const all = [...this.#held, ...chunks]
    let count = this.#wholeOf(all, this.#held.length)
    const isCut = !isEnd && count < all.length && isMuch(all.slice(count))
    if (isEnd || isCut) count = all.length
    this.#held = all.slice(count)
    if (count === 0 && !isEnd) return ''
    return this.#decoder.decode(bytesOf(all.slice(0, count)), { stream: isCut })
  }

  /** Whoever begins within a character needs what came before. */
  async #begin(first: api.Chunk | undefined): Promise<void> {
    if (this.#hasBegun || first === undefined) return
    this.#hasBegun = true
    if (!continues(first)) return
    this.#last = await bytesBefore(this.#log, first)
    const half = halfOf(this.#last)
    if (half > 0) this.#decoder.decode(this.#last.subarray(-half), { stream: true })
  }

  /** How many chunks end with a whole character, or with one that the next does not continue; those from `from` on are new. */
  #wholeOf(all: readonly api.Chunk[], from: number): number {
    let count = 0
    for (let index = from; index < all.length; index++) {
      const chunk = all[index] as api.Chunk
      if (chunk.data.length > 0 && !continues(chunk)) count = index
      this.#last = lastOf(this.#last, chunk)
      if (halfOf(this.#last) === 0) count = index + 1
    }
    return count
  }
}

function isMuch(chunks: readonly api.Chunk[]): boolean {
  const bytes = chunks.reduce((sum, { data }) => sum + data.length, 0)
  return chunks.length > MOST_BEFORE_LAST || bytes > MOST_HELD_BYTES
}

/** Whether a chunk begins within a character. */
function continues({ data }: api.Chunk): boolean {
  return typeof data !== 'string' && isWithin(data[0])
}

const isWithin = (byte: number | undefined): boolean => ((byte ?? 0) & 0xc0) === 0x80

/** The last three bytes of some and of a chunk after them. */
function lastOf(before: Uint8Array, { data }: api.Chunk): Uint8Array {
  const bytes = encoded(data.slice(-3))
  return bytes.length < 3 ? Buffer.concat([before, bytes]).subarray(-3) : bytes.subarray(-3)
}

/** Up to three bytes before a chunk. */
async function bytesBefore(log: Log, { cursor, seq }: api.Chunk): Promise<Uint8Array> {
  let bytes: Uint8Array = new Uint8Array()
  for (let before = seq - 1; before > 0 && bytes.length < 3; before--) {
    const page = await log.look({ from: cursorAt(generationOf(cursor), before - 1), limit: 1 })
    const chunk = page?.chunks[0]
    // What was there may be gone by now.
    if (chunk?.seq !== before) break
    bytes = Buffer.concat([lastOf(new Uint8Array(), chunk), bytes]).subarray(-3)
  }
  return bytes
}

/** How many bytes at the end are the beginning of a character of UTF-8 that is not whole. */
function halfOf(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] as number
    if (isWithin(byte)) continue
    return back < lengthOf(byte) ? back : 0
  }
  return 0
}

/** How many bytes a character has that begins with this one. */
function lengthOf(byte: number): number {
  if (byte < 0xc2 || byte > 0xf4) return 1
  if (byte < 0xe0) return 2
  return byte < 0xf0 ? 3 : 4
}
