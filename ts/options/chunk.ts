// The chunks that may be written, and the errors for anything else.

import { types } from 'node:util'
import { invalidArgument } from '../errors/errors'
import { refuse } from './checks'

const MIB = 1 << 20
/** The largest chunk, in bytes of UTF-8: `MAX_CHUNK` of src/model/frame/chunk.rs. */
export const MAX_CHUNK_BYTES = 32 * MIB

/** For a chunk that goes neither to a producer, which checks it itself, nor to a store, so its length does not matter. */
export function checkChunk(chunk: unknown): void {
  if (typeof chunk !== 'string' && !types.isUint8Array(chunk)) refuseChunk(chunk)
}

/** Says what is wrong with a chunk. */
export function refuseChunk(chunk: unknown): never {
  if (typeof chunk !== 'string' && !types.isUint8Array(chunk)) {
    const object = typeof chunk === 'object' && chunk !== null && !ArrayBuffer.isView(chunk)
    const advice = object ? ' (JSON.stringify it, or use tidemark/schema)' : ''
    return refuse('chunk', 'a string or a Uint8Array', chunk, advice)
  }
  throw tooLarge(Buffer.byteLength(chunk))
}

/** The error for a chunk beyond the limit. */
function tooLarge(bytes: number): Error {
  const error = invalidArgument('chunk', `must be at most ${MAX_CHUNK_BYTES} bytes (32 MiB), got ${bytes}`)
  oversized.add(error)
  return error
}

const oversized = new WeakSet<object>()

/** Whether an error says that a chunk is beyond the limit: it cannot be stored, but may still be passed on. */
export function isTooLarge(error: unknown): boolean {
  return typeof error === 'object' && error !== null && oversized.has(error)
}
