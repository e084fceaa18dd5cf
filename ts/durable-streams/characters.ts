// Text in events. An append may end within a character, and each event is decoded by itself.

import type * as api from '../../index'
import { encoded } from '../util/text'

/** Holds chunks of a text back until the last character of what is shown is whole. */
export class Characters {
  readonly #isText: boolean
  #held: readonly api.Chunk[] = []

  /** @param isText else nothing is held back */
  constructor(isText: boolean) {
    this.#isText = isText
  }

  /** The first chunk that is held back. */
  get held(): api.Chunk | undefined {
    return this.#held[0]
  }

  /** What can be shown now that these have come. */
  take(chunks: readonly api.Chunk[]): readonly api.Chunk[] {
    if (!this.#isText) return chunks
    const all = this.#held.length === 0 ? chunks : [...this.#held, ...chunks]
    let count = all.length
    while (count > 0 && isCut(lastBytes(all, count))) count--
    this.#held = all.slice(count)
    return count === all.length ? all : all.slice(0, count)
  }

  /** The same when nothing follows them. */
  end(chunks: readonly api.Chunk[] = []): readonly api.Chunk[] {
    const all = [...this.#held, ...chunks]
    this.#held = []
    return all
  }
}

/** The last bytes of so many chunks: as many as a character can lack one of. */
function lastBytes(chunks: readonly api.Chunk[], count: number): Uint8Array {
  let bytes: Uint8Array = new Uint8Array()
  for (let index = count - 1; index >= 0 && bytes.length < 3; index--) {
    const { data } = chunks[index] as api.Chunk
    bytes = Buffer.concat([encoded(data.slice(-3)), bytes])
  }
  return bytes
}

/** Whether bytes end within a character of UTF-8. */
function isCut(bytes: Uint8Array): boolean {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] as number
    // It continues a character.
    if ((byte & 0xc0) === 0x80) continue
    return back < lengthOf(byte)
  }
  return false
}

/** How many bytes a character has that begins with this one. */
function lengthOf(byte: number): number {
  if (byte < 0xc2 || byte > 0xf4) return 1
  if (byte < 0xe0) return 2
  return byte < 0xf0 ? 3 : 4
}
