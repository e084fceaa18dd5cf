import type { Outcome } from '../../index'
import { ClosedError, cutError, InterruptedError, TidemarkError } from '../errors/errors'
import { heartbeat, uiDone, uiMessage } from '../http/events'
import { headersFor } from '../http/respond'
import { isTooLarge } from '../options/chunk'
import { HEARTBEAT_MS } from '../options/read'
import { ignore } from '../util/deferred'
import { clearTimeout, setTimeout } from '../util/timers'
import type { Started } from './answer-start'

/**
 * What the client is sent that has asked for the answer: the same events as `engine.respond` sends to others. `wording` has
 * the words for what ends it.
 */
export function answerResponse(
  { chunks, cursor, done }: Started,
  wording: (error: unknown) => string,
  maxDurationMs?: number,
): Response {
  const reader = chunks.getReader()
  let last = ''
  let isOver = false
  let beating: NodeJS.Timeout | undefined
  let limit: NodeJS.Timeout | undefined
  const end = () => {
    isOver = true
    clearTimeout(beating)
    clearTimeout(limit)
  }
  const leave = () => {
    end()
    return reader.cancel().catch(ignore)
  }
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const beat = () => {
        beating?.refresh()
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(heartbeat())
      }
      beating = setTimeout(beat, HEARTBEAT_MS).unref()
      if (maxDurationMs === undefined) return
      const cut = () => {
        controller.error(cutError(null))
        leave()
      }
      limit = setTimeout(cut, maxDurationMs).unref()
    },
    async pull(controller) {
      const tell = (chunk: object) => {
        if (!hasEnded(last)) controller.enqueue(uiMessage(JSON.stringify(chunk)))
      }
      try {
        const result = await reader.read()
        if (isOver) return
        if (!result.done) {
          last = String(result.value)
          beating?.refresh()
          return controller.enqueue(uiMessage(last, cursor()))
        }
        const outcome = await done.catch(unlessTooLarge)
        if (isOver) return
        if (outcome === 'stopped') tell({ type: 'abort' })
      } catch (error) {
        if (isOver) return
        if (isCut(error)) {
          end()
          return controller.error(cutError(null))
        }
        const errorText = error instanceof InterruptedError ? `interrupted: ${error.reason}` : wording(error)
        tell({ type: 'error', errorText })
      }
      end()
      controller.enqueue(uiDone())
      controller.close()
    },
    cancel: leave,
  })
  return new Response(body, { headers: headersFor('ui-messages', new Headers()) })
}

/** Whether the SDK has said by itself that its answer was cut short. */
export function hasEnded(last: string): boolean {
  return /^\{"type":"(abort|error)"/.test(last)
}

/** What could not be kept has been sent all the same. */
function unlessTooLarge(error: unknown): Outcome {
  if (isTooLarge(error)) return 'failed'
  throw error
}

/** Whether this says nothing of how the answer has ended, if it has: who asks elsewhere, or again, is told. */
function isCut(error: unknown): boolean {
  return error instanceof ClosedError || (error instanceof TidemarkError && error.retryable)
}
