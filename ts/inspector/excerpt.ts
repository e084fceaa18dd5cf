import type { ChunkData } from '../../index'
import type { Excerpt } from './answers'

/** The limit of an excerpt, in UTF-16 units. */
const MOST = 2_000

/** The beginning of a chunk's data, as text. */
export function excerpt(data: ChunkData): Excerpt {
  const isBytes = typeof data !== 'string'
  const text = isBytes ? Buffer.from(data.subarray(0, MOST / 2)).toString('hex') : data.slice(0, MOST)
  const isCut = isBytes ? data.length > MOST / 2 : data.length > MOST
  return { text: text.toWellFormed(), isBytes, isCut }
}
