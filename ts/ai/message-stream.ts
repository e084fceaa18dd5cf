import { type Follow, FollowError, type FollowedChunk } from '../client/follow.js'
import { generationOf } from '../util/cursor.js'
import type { Activity } from './activity.js'

/**
 * The chunks of an answer for the SDK, however many responses they came in. `open` begins to follow, and
 * passes events without a cursor to its callback. `from`: what was seen before.
 */
export function messageStream(
  open: (onOther: (data: string) => void) => Follow,
  activity: Activity,
  from?: string,
): ReadableStream<never> {
  let isResumable = from !== undefined
  let isStopped = false
  let isOver = false
  let generation = from && generationOf(from)
  let following: Follow
  const over = () => {
    if (!isOver) activity.end()
    isOver = true
  }
  type Controller = ReadableStreamDefaultController<unknown>
  const source = {
    start(controller: Controller) {
      activity.begin()
      // Perhaps there is nothing but the end to come.
      activity.generation = generation || activity.generation
      following = open((data) => {
        const chunk = parsed(data)
        isStopped ||= typeOf(chunk) === 'abort'
        // A resumed response repeats how the open parts began; a reader that has seen these chunks must not see them again.
        if (!isResumable || isEnding(chunk)) controller.enqueue(chunk)
      })
    },
    async pull(controller: Controller) {
      try {
        const { done, value } = await following.next()
        if (!done) return take(controller, value)
        if (following.outcome === undefined) throw new FollowError(CUT, 'ERR_INTERRUPTED')
        // As after the hook's own `stop`: nothing is sent automatically to a model that was stopped.
        if (isStopped) throw new DOMException('the answer was stopped', 'AbortError')
        controller.close()
        over()
      } catch (error) {
        over()
        throw error
      }
    },
    async cancel() {
      over()
      await following.return()
    },
  }
  function take(controller: Controller, { cursor, data }: FollowedChunk) {
    const of = generationOf(cursor)
    generation ??= of
    // An answer that another one has replaced is over.
    if (of !== generation) throw new FollowError('interrupted: superseded', 'ERR_INTERRUPTED')
    activity.generation = of
    isResumable = true
    const chunk = parsed(String(data))
    isStopped ||= typeOf(chunk) === 'abort'
    controller.enqueue(chunk)
  }
  return new ReadableStream(source, { highWaterMark: 0 }) as ReadableStream<never>
}

const CUT = 'the answer was cut off, and cannot be continued'

function parsed(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    throw new FollowError('the server sent what cannot be read')
  }
}

/** Chunks with which a server says how an answer has ended; they are not part of the answer. */
function isEnding(chunk: unknown): boolean {
  const type = typeOf(chunk)
  return type === 'abort' || type === 'error'
}

function typeOf(chunk: unknown): unknown {
  return ((chunk ?? {}) as { type?: unknown }).type
}
