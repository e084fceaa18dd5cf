// Offsets of TanStack AI: a client hands one back with nothing else, so it says which run it is of.

import { invalidArgument } from '../errors/errors'
import { foreignId } from '../options/adapters'
import { isCursor } from '../util/cursor'

const FORM = 'tidemark:v1:'

/** Where a reader begins: at the start, at the next chunk, or after a chunk. */
export interface Position {
  /** The run of the chunk. */
  runId: string | undefined
  from: 'start' | 'now' | (string & {})
}

/** Without the characters that a line, a header or a query cannot carry. */
export function offsetOf(runId: string, cursor: string): string {
  return `${FORM}${encodeURIComponent(runId)}:${cursor}`
}

/** The meaning of an offset; refused unless it is one of ours. */
export function positionOf(offset: unknown): Position {
  if (offset === '-1') return { runId: undefined, from: 'start' }
  if (offset === 'now') return { runId: undefined, from: 'now' }
  const [name, cursor] = typeof offset === 'string' ? parts(offset) : []
  const runId = name === undefined ? undefined : decoded(name)
  if (runId === undefined || !isCursor(cursor) || offsetOf(runId, cursor) !== offset) {
    throw invalidArgument('offset', "must be '-1', 'now', or an offset that tidemarkStream has given")
  }
  return { runId: foreignId(runId, 'offset'), from: cursor }
}

function parts(offset: string): string[] {
  if (!offset.startsWith(FORM) || offset.length > 4096) return []
  const at = offset.lastIndexOf(':')
  return [offset.slice(FORM.length, at), offset.slice(at + 1)]
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
