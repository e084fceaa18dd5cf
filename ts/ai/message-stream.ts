import { type Follow, FollowError, type FollowedChunk } from '../client/follow.js'
import { read } from '../client/responses.js'
import { generationOf } from '../util/cursor.js'
import type { Activity } from './activity.js'

// `messageStream` is long, since all that a stream does shares what is known of its answer.

/**
 * The chunks of an answer for the SDK, however many responses they came in. `open` begins to follow, and
 * passes events without a cursor to its callback. `from`: what was seen before. `hasPrelude`: whether the first chunks are what
 * the page has of the message; called when the first one is there.
 */
export function messageStream(
  open: (onOther: (data: string) => void) => Follow,
  activity: Activity,
  from: string | undefined,
  hasPrelude: () => boolean,
): ReadableStream<never> {
  /** How many `start` chunks are to come before what the page does not have. */
  let starts: number | undefined
  /** What came before: all that there is, if there is one `start`. */
  const held: unknown[] = []
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
        // A resumed response repeats how the open parts began; a reader that has seen these chunks must not see them again, but for
        // those with which a server says how the answer has ended.
        if (!isResumable || ['abort', 'error'].includes(typeOf(chunk) as string)) controller.enqueue(chunk)
      })
    },
    async pull(controller: Controller) {
      try {
        for (;;) {
          const { done, value } = await following.next()
          if (done) break
          if (take(controller, value)) return
        }
        // Of an answer that was stopped before it began, there is only what the page has.
        if (starts && !isStopped) {
          starts = 0
          for (const chunk of held) controller.enqueue(chunk)
          return
        }
        if (following.outcome === undefined)
          throw new FollowError('the answer was cut off', 'ERR_INTERRUPTED')
        // As after the hook's own `stop`: nothing is sent automatically to a model that was stopped.
        if (isStopped) throw new DOMException('the answer was stopped', 'AbortError')
        controller.close()
        over()
      } catch (error) {
        over()
        // The response may go on, with what is of no use.
        following.return().catch(() => {})
        throw error
      }
    },
    async cancel() {
      over()
      await following.return()
    },
  }
  function parsed(data: string): unknown {
    const chunk = read(() => JSON.parse(data)) as unknown
    isStopped ||= typeOf(chunk) === 'abort'
    return chunk
  }
  /** Whether the SDK gets anything of it. */
  function take(controller: Controller, { cursor, data }: FollowedChunk): boolean {
    const of = generationOf(cursor)
    generation ??= of
    // An answer that another one has replaced is over.
    if (of !== generation) throw new FollowError('interrupted: superseded', 'ERR_INTERRUPTED')
    activity.generation = of
    isResumable = true
    const chunk = parsed(String(data))
    starts ??= hasPrelude() ? 2 : 0
    if (starts > 0 && typeOf(chunk) === 'start') starts--
    if (starts > 0) {
      held.push(chunk)
      return false
    }
    controller.enqueue(chunk)
    return true
  }
  return new ReadableStream(source, { highWaterMark: 0 }) as ReadableStream<never>
}

function typeOf(chunk: unknown): unknown {
  return ((chunk ?? {}) as { type?: unknown }).type
}
