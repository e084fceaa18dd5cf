/**
 * The previous answer, for requests that do not say what they continue: it is in the stream for as long as it is kept.
 */

import type * as api from '../../index'
import { FailedError, InterruptedError } from '../errors/errors'
import { cursorAt } from '../util/cursor'
import type { Prelude } from './answer'
import type { AnswerMetadata } from './answer-start'
import { chunkOf, type UIChunk } from './ui-chunk'

/** Deltas are joined up to this length. */
const JOINED_UNITS = 64 * 1024

/** The answer that the stream holds now; null also if it cannot be read, since the next answer must not wait for it. */
export async function previousOf(
  engine: api.Engine,
  streamId: string,
  owner: string,
): Promise<api.StreamStatus | null> {
  const status = engine.state === 'degraded' ? null : await engine.status(streamId).catch(() => null)
  return status?.owner === owner ? status : null
}

/** The message that a continuation of `messageId` answered, if the previous answer was of the same message. */
export function questionBefore(previous: api.StreamStatus | null, messageId: string): string | null {
  const metadata = (previous?.metadata ?? {}) as Partial<AnswerMetadata>
  return metadata.messageId === messageId ? (metadata.after ?? null) : null
}

/**
 * The chunks of the previous answer, if the new answer has the same message id and that message waits for a tool; otherwise
 * the message is regenerated.
 */
export function preludeFrom(engine: api.Engine, asked: Promise<api.StreamStatus | null>): Prelude {
  return {
    async begun(first) {
      const { type, messageId } = chunkOf(first)
      if (type !== 'start' || typeof messageId !== 'string') return []
      const previous = await asked
      // An active answer may be the one that waits for this.
      if (previous === null || previous.state === 'active') return []
      try {
        return await partsOf(engine, previous, messageId)
      } catch {
        // The previous answer may be gone; the new one continues without it.
        return []
      }
    },
  }
}

async function partsOf(engine: api.Engine, previous: api.StreamStatus, messageId: string): Promise<string[]> {
  const { streamId, generation, firstSeq, lastSeq, owner } = previous
  const texts: string[] = []
  const waiting = new Set<unknown>()
  let joined: UIChunk | undefined
  const flush = () => {
    if (joined !== undefined) texts.push(JSON.stringify(joined))
    joined = undefined
  }
  const from = cursorAt(generation, 0)
  const chunks = engine.subscribe(streamId, { from, owner: owner ?? undefined, wait: 0 })
  try {
    for await (const { seq, data } of chunks) {
      const chunk = kept(chunkOf(String(data)), seq === firstSeq)
      if (seq === firstSeq && chunk?.messageId !== messageId) return []
      if (chunk?.type === 'tool-input-available') waiting.add(chunk.toolCallId)
      else if (TOLD.has(chunk?.type)) waiting.delete(chunk?.toolCallId)
      const longer = joined && chunk && join(joined, chunk)
      if (longer !== undefined) joined = longer
      else if (chunk !== undefined) {
        flush()
        joined = chunk
      }
      // The current generation is the one that waits for this.
      if (seq >= lastSeq) break
    }
  } catch (error) {
    if (!(error instanceof FailedError || error instanceof InterruptedError)) throw error
  }
  flush()
  return waiting.size > 0 ? texts : []
}

/** Chunks after which a tool call is over. */
const TOLD: ReadonlySet<unknown> = new Set([
  'tool-output-available',
  'tool-output-error',
  'tool-output-denied',
])

/** What of a chunk belongs to the message: not that it ends, or that a continuation of it begins, since a prelude has one `start`. */
function kept(chunk: UIChunk, isFirst: boolean): UIChunk | undefined {
  const { type, messageMetadata } = chunk
  if (type === 'abort' || type === 'error' || chunk.transient === true) return undefined
  if (type !== 'finish' && (isFirst || type !== 'start')) return chunk
  return messageMetadata == null ? undefined : { type: 'message-metadata', messageMetadata }
}

/** Joins two deltas, if nothing is lost. */
function join(first: UIChunk, second: UIChunk): UIChunk | undefined {
  const name = DELTAS.get(first.type as string)
  if (name === undefined) return undefined
  const { [name]: head, ...rest } = first
  const { [name]: tail, ...others } = second
  if (JSON.stringify(rest) !== JSON.stringify(others) || `${head}`.length + `${tail}`.length > JOINED_UNITS)
    return undefined
  return { ...first, [name]: `${head}${tail}` }
}

const DELTAS: ReadonlyMap<string, string> = new Map([
  ['text-delta', 'delta'],
  ['reasoning-delta', 'delta'],
  ['tool-input-delta', 'inputTextDelta'],
])
