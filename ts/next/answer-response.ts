import type { Outcome } from '../../index'
import { ClosedError, cutError, InterruptedError, TidemarkError } from '../errors/errors'
import { heartbeat, uiDone, uiMessage } from '../http/events'
import { headersFor } from '../http/respond'
import { isTooLarge } from '../options/chunk'
import { HEARTBEAT_MS } from '../options/read'
import { clearTimeout, setTimeout } from '../util/timers'
import type { Started } from './answer-start'

/**
 * The response to the client that asked for the answer: the same events as `engine.respond` sends to others. `wording` turns
 * the error that ends the answer into text.
 */
export function answerResponse(
  { events, done }: Started,
  wording: (error: unknown) => string,
  maxDurationMs?: number,
): Response {
  let hasEnded = false
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
    events.leave()
  }
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      // A timer would keep a body that was dropped.
      const held = new WeakRef(controller)
      beating = setTimeout(() => {
        beating?.refresh()
        const waiting = held.deref()
        if (waiting !== undefined && (waiting.desiredSize ?? 0) > 0) waiting.enqueue(heartbeat())
      }, HEARTBEAT_MS).unref()
      if (maxDurationMs === undefined) return
      const cut = () => {
        held.deref()?.error(cutError(null))
        leave()
      }
      limit = setTimeout(cut, maxDurationMs).unref()
    },
    async pull(controller) {
      const tell = (chunk: object) => {
        if (!hasEnded) controller.enqueue(uiMessage(JSON.stringify(chunk)))
      }
      try {
        const result = await events.next()
        if (isOver) return
        if (!result.done) {
          // Before it is handed over: what becomes of its memory then is not known.
          hasEnded = isEnding(result.value)
          beating?.refresh()
          return controller.enqueue(result.value)
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
  dropped.register(body, leave)
  return new Response(body, { headers: headersFor('ui-messages', new Headers()) })
}

/** A body that was dropped must not keep receiving. */
const dropped = new FinalizationRegistry<() => void>((leave) => leave())

/** Whether the SDK says by itself, in the last of these events, that its answer was cut short. */
function isEnding(events: Uint8Array): boolean {
  const bytes = Buffer.from(events.buffer, events.byteOffset, events.byteLength)
  // A JSON text has no line's end in it. What is in no store has no line before it.
  const at = bytes.lastIndexOf('\ndata: ') + 1
  return isCutShort(bytes.toString('latin1', at + DATA, at + DATA + TYPE))
}

const DATA = 'data: '.length
const TYPE = '{"type":"abort"'.length

/** Whether the SDK says by itself, with this chunk, that its answer was cut short. */
export function isCutShort(chunk: string): boolean {
  return /^\{"type":"(abort|error)"/.test(chunk)
}

/** Chunks that could not be stored were still sent. */
function unlessTooLarge(error: unknown): Outcome {
  if (isTooLarge(error)) return 'failed'
  throw error
}

/** Whether the error leaves open how the answer ended; a request elsewhere, or a later one, can find out. */
function isCut(error: unknown): boolean {
  return error instanceof ClosedError || (error instanceof TidemarkError && error.retryable)
}
