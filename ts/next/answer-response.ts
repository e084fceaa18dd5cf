import type { Outcome } from '../../index'
import { ClosedError, cutError, InterruptedError, TidemarkError } from '../errors/errors'
import { headersFor } from '../http/respond'
import { HEARTBEAT_MS, isTooLarge } from '../options/options'
import { ignore } from '../util/deferred'
import { clearTimeout, setTimeout } from '../util/timers'
import type { Started } from './answer-start'

const encoder = new TextEncoder()

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
  let reading: ReturnType<typeof reader.read> | undefined
  let last = ''
  let isLeft = false
  let limit: NodeJS.Timeout | undefined
  const leave = () => {
    isLeft = true
    clearTimeout(limit)
    return reader.cancel().catch(ignore)
  }
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      if (maxDurationMs === undefined) return
      const cut = () => {
        controller.error(cutError(null))
        leave()
      }
      limit = setTimeout(cut, maxDurationMs).unref()
    },
    async pull(controller) {
      const send = (data: string, id = '') => controller.enqueue(encoder.encode(`${id}data: ${data}\n\n`))
      try {
        reading ??= reader.read()
        const result = await beforeHeartbeat(reading)
        if (isLeft) return
        if (result === undefined) return controller.enqueue(encoder.encode(': heartbeat\n\n'))
        reading = undefined
        if (!result.done) {
          last = String(result.value)
          const place = cursor()
          return send(last, place && `id: ${place}\n`)
        }
        const outcome = await done.catch(unlessTooLarge)
        if (isLeft) return
        if (outcome === 'stopped' && !hasEnded(last)) send(JSON.stringify({ type: 'abort' }))
      } catch (error) {
        if (isLeft) return
        clearTimeout(limit)
        if (isCut(error)) return controller.error(cutError(null))
        const errorText = error instanceof InterruptedError ? `interrupted: ${error.reason}` : wording(error)
        if (!hasEnded(last)) send(JSON.stringify({ type: 'error', errorText }))
      }
      clearTimeout(limit)
      send('[DONE]')
      controller.close()
    },
    cancel: leave,
  })
  return new Response(body, { headers: headersFor('ui-messages', new Headers()) })
}

/** What was read, or undefined if that takes longer than a proxy may bear. */
async function beforeHeartbeat<T>(reading: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), HEARTBEAT_MS).unref()
  })
  return Promise.race([reading, late]).finally(() => clearTimeout(timer))
}

/** Whether the SDK has said by itself that its answer was cut short. */
function hasEnded(last: string): boolean {
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
