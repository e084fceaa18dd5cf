import { clearTimeout, setTimeout } from 'node:timers'
import type { ChunkData, Outcome } from '../index'
import { ignore } from './deferred'
import { ClosedError, InterruptedError } from './errors'
import { headersFor } from './respond'

const HEARTBEAT_MS = 15_000
const encoder = new TextEncoder()

/**
 * What the client is sent that has asked for the answer: the same events as `engine.respond` sends to others. `wording` has
 * the words for what ends it.
 */
export function answerResponse(
  chunks: ReadableStream<ChunkData>,
  done: Promise<Outcome | undefined>,
  wording: (error: unknown) => string,
): Response {
  const reader = chunks.getReader()
  let reading: ReturnType<typeof reader.read> | undefined
  let last = ''
  let isLeft = false
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const send = (data: string) => controller.enqueue(encoder.encode(`data: ${data}\n\n`))
      try {
        reading ??= reader.read()
        const result = await beforeHeartbeat(reading)
        if (isLeft) return
        if (result === undefined) return controller.enqueue(encoder.encode(': heartbeat\n\n'))
        reading = undefined
        if (!result.done) {
          last = String(result.value)
          return send(last)
        }
        const outcome = await done
        if (isLeft) return
        if (outcome === 'stopped' && !hasEnded(last)) send(JSON.stringify({ type: 'abort' }))
      } catch (error) {
        if (isLeft) return
        const errorText = interruption(error) ?? wording(error)
        if (!hasEnded(last)) send(JSON.stringify({ type: 'error', errorText }))
      }
      send('[DONE]')
      controller.close()
    },
    cancel() {
      isLeft = true
      // What has ended the answer is the client's business no more.
      return reader.cancel().catch(ignore)
    },
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

/** The words that those get who resume it. */
function interruption(error: unknown): string | undefined {
  if (error instanceof InterruptedError) return `interrupted: ${error.reason}`
  return error instanceof ClosedError ? 'interrupted: closed' : undefined
}
