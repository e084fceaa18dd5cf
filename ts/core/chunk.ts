import type * as api from '../../index'
import { cursorAt } from '../util/cursor'
import { parse } from '../util/parsed'
import { show } from '../util/shown'

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
    return cursorAt(this.#generation, this.seq)
  }

  toJSON(): api.ChunkJson {
    const { seq, cursor, data } = this
    if (typeof data === 'string') return { seq, cursor, data }
    return {
      seq,
      cursor,
      bytes: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
    }
  }

  text(): string {
    return typeof this.data === 'string' ? this.data : decoder.decode(this.data)
  }

  json<T = unknown>(): T {
    try {
      return parse(this.text(), this.seq) as T
    } catch (cause) {
      throw new SyntaxError(`chunk ${this.seq} is not JSON: ${(cause as Error).message}`, { cause })
    }
  }
}

/** The fields with which a chunk is printed. */
export const fieldsOf = ({ seq, cursor, data }: Chunk): object => ({ seq, cursor, data })

show(Chunk, 'Chunk', fieldsOf)
