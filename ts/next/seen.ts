import type * as api from '../../index'
import { MessageSketch } from '../messages/message-mark'
import { cursorAt } from '../util/cursor'
import type { AnswerMetadata } from './answer-start'

/** What a page has of a message: its id, and the mark of what it has come to. */
export interface Seen {
  readonly id: string
  readonly mark: string
}

/**
 * The cursor after which comes what the page does not have; undefined: it has all, or something that is no part of this answer. The
 * first cursor that fits is taken: what follows without making the message longer may come twice, and says the same again.
 */
export async function cursorOfSeen(
  engine: api.Engine,
  { streamId, generation, lastSeq, state, owner, metadata }: api.StreamStatus,
  { id, mark }: Seen,
): Promise<string | undefined> {
  // The page's copy of a message that was continued may be an earlier one, which matches nothing in the answer.
  if ((metadata as Partial<AnswerMetadata> | null)?.isContinued) return undefined
  const sketch = new MessageSketch()
  let found: string | undefined
  const from = cursorAt(generation, 0)
  try {
    const chunks = engine.subscribe(streamId, { from, owner: owner ?? undefined, wait: 0 })
    for await (const { seq, cursor, data } of chunks) {
      sketch.take(JSON.parse(String(data)) ?? {})
      if (sketch.id !== id) return undefined
      if (found === undefined && sketch.is(mark)) found = cursor
      if (found !== undefined && state === 'active') return found
      if (seq >= lastSeq) break
    }
  } catch {
    // An answer that cannot be read any more has no such cursor.
    return undefined
  }
  return sketch.is(mark) ? undefined : found
}
