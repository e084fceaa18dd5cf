import { type Follow, FollowError } from '../client/follow.js'
import { generationOf } from '../util/cursor'

/**
 * The chunks of an answer for the SDK, which knows nothing of the responses that they came in. `open` begins to follow, and
 * tells its callback what comes without a cursor.
 */
export function messageStream(open: (onOther: (data: string) => void) => Follow): ReadableStream<never> {
  let isResumable = false
  let generation: string | undefined
  let following: Follow
  type Controller = ReadableStreamDefaultController<unknown>
  const source = {
    start(controller: Controller) {
      following = open((data) => {
        const chunk = parsed(data)
        // A response that goes on repeats how the open parts began: who has seen them must not see them again.
        if (!isResumable || isEnding(chunk)) controller.enqueue(chunk)
      })
    },
    async pull(controller: Controller) {
      const { done, value } = await following.next()
      if (done) {
        if (following.outcome === undefined) throw new FollowError(CUT, 'ERR_INTERRUPTED')
        return controller.close()
      }
      const of = generationOf(value.cursor)
      generation ??= of
      // What another answer has taken the place of is over.
      if (of !== generation) throw new FollowError('interrupted: superseded', 'ERR_INTERRUPTED')
      isResumable = true
      controller.enqueue(parsed(String(value.data)))
    },
    async cancel() {
      await following.return()
    },
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

/** Chunks by which a server says how an answer has ended, which are no part of it. */
function isEnding(chunk: unknown): boolean {
  const { type } = (chunk ?? {}) as { type?: unknown }
  return type === 'abort' || type === 'error'
}
