// Options and arguments of the adapters to other projects' interfaces.

import type { Engine as PublicEngine } from '../../index'
import { invalidArgument } from '../errors/errors'
import { type Check, methods, text } from './checks'
import { MAX_CHUNK_BYTES, refuseChunk } from './chunk'
import { MOST_TOGETHER } from './log-options'

const anEngine = methods('an engine', 'log')

/** An engine of this package. */
export function engine(value: unknown, field: string): PublicEngine {
  return anEngine(value, field) as PublicEngine
}

/** The beginning of the ids of an adapter's streams. */
export const prefix: Check<string> = text(0, 64)

/** The longest id that an adapter takes: with a prefix, it is still a stream's id. */
const MAX_ID_BYTES = 448
const id: Check<string> = text(1, MAX_ID_BYTES)

/**
 * An id from elsewhere, often from a client. Refused are control characters, which could end a header or a line of a log, and `..` as a
 * step of a path.
 */
export function foreignId(value: unknown, field: string): string {
  const given = id(value, field)
  const isBad = /[\p{Cc}\u2028\u2029]/u.test(given) || /(^|[/\\])\.\.?([/\\]|$)/.test(given)
  if (!isBad) return given
  throw invalidArgument(field, 'must have neither control characters nor . or .. as a step of a path')
}

const MAX_CHUNKS = 1024

/** Chunks in lists that can be appended at once. Nothing is done if one of them is too large. */
export function batches<T extends string | Uint8Array>(chunks: readonly T[]): T[][] {
  const lists: T[][] = []
  let room = 0
  for (const chunk of chunks) {
    const bytes = Buffer.byteLength(chunk)
    if (bytes > MAX_CHUNK_BYTES) refuseChunk(chunk)
    const last = lists.at(-1)
    if (last === undefined || bytes > room || last.length === MAX_CHUNKS) {
      lists.push([chunk])
      room = MOST_TOGETHER - bytes
    } else {
      last.push(chunk)
      room -= bytes
    }
  }
  return lists
}
