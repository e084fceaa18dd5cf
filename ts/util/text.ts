import type { ChunkData } from '../../index'

/** The replacement for half a character whose other half never came. */
const REPLACEMENT = '\uFFFD'

/**
 * The text of one writer. A border between two chunks may cut a character of two UTF-16 units into halves that no
 * encoding can express: the first half is kept, and begins the next chunk.
 */
export class SurrogatePairs {
  #half = ''

  /** Whether nothing is kept. */
  get isEmpty(): boolean {
    return this.#half === ''
  }

  /** The chunk with the half that was kept and without the one at its end. A half without another becomes U+FFFD. */
  join(chunk: string): string {
    // It says nothing about what comes next.
    if (chunk === '') return chunk
    const text = this.#half + chunk
    const isCut = isHighSurrogate(text, text.length - 1)
    this.#half = isCut ? text.slice(-1) : ''
    return (isCut ? text.slice(0, -1) : text).toWellFormed()
  }

  /** The rest when no text follows: nothing, or U+FFFD. */
  end(): string {
    const rest = this.#half === '' ? '' : REPLACEMENT
    this.#half = ''
    return rest
  }
}

/** Chunks of text and of bytes as one text, even if their borders cut characters. */
export class WholeText {
  readonly #halves = new SurrogatePairs()
  // `ignoreBOM` means that a byte order mark is kept: the text is the producer's, not ours to trim.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  #isDecoding = false

  /** The chunk's text, with what was kept of earlier chunks and without what has to wait for the next. */
  push(chunk: ChunkData): string {
    if (chunk === '') return chunk
    if (typeof chunk === 'string') return this.#decoded() + this.#halves.join(chunk)
    this.#isDecoding = true
    return this.#halves.end() + this.#decoder.decode(chunk, { stream: true })
  }

  /** The rest when nothing follows: nothing, or U+FFFD. */
  end(): string {
    return this.#decoded() + this.#halves.end()
  }

  /** Bytes of half a character that are not continued. */
  #decoded(): string {
    if (!this.#isDecoding) return ''
    this.#isDecoding = false
    return this.#decoder.decode()
  }
}

export function isHighSurrogate(text: string, at: number): boolean {
  const unit = text.charCodeAt(at)
  return unit >= 0xd800 && unit < 0xdc00
}

/** A chunk's data as bytes: those of the chunk itself, or of its text. */
export function encoded(data: string | Uint8Array): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data) : data
}
