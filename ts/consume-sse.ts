import type * as api from '../index'
import { decodeEvents } from './answer'
import { type AnswerOptions, answerFields, startAnswer } from './answer-start'
import { callback, methods, object, required, text } from './checks'
import { ignore } from './deferred'
import { streamId as checkStreamId } from './options'

const checkOptions = object({
  ...answerFields,
  owner: text(1, 512),
  controller: methods('an AbortController', 'abort'),
  onError: callback,
})

/**
 * Makes an answer of your own route resumable: for `consumeSseStream` of the SDK's response helpers.
 *
 * ```ts
 * const controller = new AbortController()
 * const result = streamText({ model, messages, abortSignal: controller.signal })
 * return result.toUIMessageStreamResponse({
 *   generateMessageId,
 *   consumeSseStream: consumeSseStream(engine, chatId, { owner, controller }),
 * })
 * ```
 *
 * The controller is aborted by a stop. The client is sent its answer even if it cannot be kept; the error goes to
 * `onError`, by default to the console.
 */
export function consumeSseStream(
  engine: api.Engine,
  streamId: string,
  options: AnswerOptions & { controller: AbortController; onError?: ((error: unknown) => void) | undefined },
): (source: { stream: ReadableStream<string> }) => Promise<void> {
  checkStreamId(streamId, 'streamId')
  const { onError = console.error, ...given } = options ?? {}
  required(checkOptions(given, 'options'), 'options', 'owner', 'controller')
  const { controller, ...rest } = given
  return async ({ stream }) => {
    const open = (signal: AbortSignal) => {
      signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true })
      return stream as ReadableStream<never>
    }
    try {
      const { chunks, done } = await startAnswer(engine, streamId, open, decodeEvents(), rest)
      await chunks.cancel()
      if ((await done) === 'stopped') controller.abort()
    } catch (error) {
      onError(error)
      // The SDK reads both halves of its stream at the pace of the faster one: an unread half would pile up.
      if (!stream.locked) await stream.cancel().catch(ignore)
    }
  }
}
