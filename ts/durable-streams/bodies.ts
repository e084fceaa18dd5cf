import type * as api from '../../index'
import { encoded } from '../util/text'

/** Chunks of JSON as one array. */
export function arrayOf(chunks: readonly api.Chunk[]): string {
  return `[${chunks.map((chunk) => chunk.text()).join(',')}]`
}

/** Chunks one after the other. */
export function bytesOf(chunks: readonly api.Chunk[]): Buffer {
  return Buffer.concat(chunks.map(({ data }) => encoded(data)))
}
