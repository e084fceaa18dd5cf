import type { ResumableStreamEntry } from 'assistant-stream/resumable' with { 'resolution-mode': 'import' }
import type { Chunk } from '../../index'
import type { Log } from '../core/log'
import { cursor as checkCursor, signal as checkSignal } from '../options/fields'
import { encoded } from '../util/text'
import { notFound } from './errors'

/** Data is bytes; the one chunk of text, at the end, says that the stream has failed, and why. */
const MARK = 'failed: '
/** The longest message that is kept; it fits into a chunk. */
const MAX_WORDS = 16_384

/** The last chunk of a failed stream. */
export function marker(error: unknown): string {
  const words = error === undefined ? 'Stream errored' : String(error)
  return MARK + words.slice(0, MAX_WORDS).toWellFormed()
}

/** Why a stream has failed, from its last chunk. */
export function failureOf({ data }: Chunk): string | undefined {
  return typeof data === 'string' && data.startsWith(MARK) ? data.slice(MARK.length) : undefined
}

/** The chunks after a cursor, to the end. Ends quietly when it is aborted, or the stream is deleted. */
export async function* read(
  log: Log,
  id: string,
  cursor: string,
  given: AbortSignal,
): AsyncGenerator<ResumableStreamEntry, void, undefined> {
  const from = cursor === '' ? 'start' : checkCursor(cursor, 'cursor')
  const signal = checkSignal(given, 'signal')
  if (signal.aborted) return
  if ((await log.look({ from, limit: 1 })) === null) throw notFound(id)
  try {
    for await (const chunk of log.read({ from, signal, wait: 0 })) {
      const failure = failureOf(chunk)
      if (failure !== undefined) throw new Error(failure)
      // A copy, which the reader may change.
      yield { cursor: chunk.cursor, chunk: new Uint8Array(encoded(chunk.data)) }
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
