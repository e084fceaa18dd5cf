import { TextDecoder } from 'node:util'
import type { Chunk } from './chunk'

/** The text of many chunks. */
export class WholeText {
  readonly #isMessage: boolean
  #decoder: TextDecoder | undefined
  #text = ''
  /** Where the text of the current step begins. */
  #step = 0

  /** `'ui-messages'`: the text parts in the chunks of the AI SDK's message stream; else the chunks themselves. */
  constructor(format: 'text' | 'ui-messages') {
    this.#isMessage = format === 'ui-messages'
  }

  add(chunk: Chunk): void {
    if (this.#isMessage) this.#hear(chunk.json())
    else if (typeof chunk.data !== 'string') this.#text += this.#decode(chunk.data)
    else this.#text = this.end() + chunk.data
  }

  /** The whole text; half a character at the end of bytes becomes U+FFFD. */
  end(): string {
    if (this.#decoder === undefined) return this.#text
    this.#text += this.#decoder.decode()
    this.#decoder = undefined
    return this.#text
  }

  /** Bytes may be cut within a character. */
  #decode(bytes: Uint8Array): string {
    this.#decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })
    return this.#decoder.decode(bytes, { stream: true })
  }

  #hear(given: unknown): void {
    const { type, delta } = (given ?? {}) as { type?: unknown; delta?: unknown }
    if (type === 'text-delta' && typeof delta === 'string') this.#text += delta
    else if (type === 'start-step') this.#step = this.#text.length
    // The step is started over (`ai` 7).
    else if (type === 'reset-step') this.#text = this.#text.slice(0, this.#step)
  }
}
