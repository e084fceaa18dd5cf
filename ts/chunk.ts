import type * as api from '../index'

// `ignoreBOM` means that a byte order mark is kept: the text is the producer's, not ours to trim.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export class Chunk implements api.Chunk {
  readonly seq: number
  readonly data: api.ChunkData
  readonly #generation: string

  constructor(generation: string, seq: number, data: api.ChunkData) {
    this.seq = seq
    this.data = data
    this.#generation = generation
  }

  get cursor(): string {
    return `${this.#generation}.${this.seq}`
  }

  text(): string {
    return typeof this.data === 'string' ? this.data : decoder.decode(this.data)
  }

  json<T = unknown>(): T {
    try {
      return JSON.parse(this.text()) as T
    } catch (cause) {
      throw new SyntaxError(`chunk ${this.seq} is not JSON: ${(cause as Error).message}`, { cause })
    }
  }
}
