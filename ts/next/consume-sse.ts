import type * as api from '../../index'
import { type OnError, wording as wordingOf } from '../errors/wording'
import { callback, list, methods, object, required, text } from '../options/checks'
import { streamId as checkStreamId } from '../options/fields'
import { ignore } from '../util/deferred'
import { decodeEvents } from './answer'
import { type AnswerMetadata, type AnswerOptions, answerFields, startAnswer } from './answer-start'
import { aiVersion, askedFor, beginning } from './continued'

const checkOptions = object({
  ...answerFields,
  owner: text(1, 512),
  messages: list,
  aiVersion,
  controller: methods('an AbortController', 'abort'),
  onError: callback<unknown>,
})

export interface ConsumeSseOptions extends AnswerOptions {
  /** Aborted by a stop. */
  controller: AbortController
  /** As given to `toUIMessageStreamResponse` for `originalMessages`; the last one is enough. */
  messages?: readonly unknown[] | undefined
  /** As for `chatRoutes`. */
  aiVersion?: 5 | 6 | 7 | undefined
  onError?: OnError | undefined
}

/**
 * Makes an answer of your own route resumable. Pass it as `consumeSseStream` of the SDK's response helpers.
 *
 * ```ts
 * const controller = new AbortController()
 * const result = streamText({ model, messages, abortSignal: controller.signal })
 * return result.toUIMessageStreamResponse({
 *   originalMessages: messages,
 *   generateMessageId,
 *   consumeSseStream: consumeSseStream(engine, chatId, { owner, controller, messages }),
 * })
 * ```
 *
 * With the chat's `messages`, or the last of them, a reader that resumes gets a continued message as a whole, and
 * `?after=` finds the answer. Without them, the stream's previous answer is used, if it is of the same message.
 *
 * A stop aborts the controller. The client gets its answer even if it cannot be stored; the error goes to
 * `onError`, by default to the console. Clients that resume an answer whose stream has broken get the text that `onError` returns,
 * by default only that there was an error.
 */
export function consumeSseStream(
  engine: api.Engine,
  streamId: string,
  options: ConsumeSseOptions,
): (source: { stream: ReadableStream<string> }) => Promise<void> {
  checkStreamId(streamId, 'streamId')
  required(checkOptions(options, 'options'), 'options', 'owner', 'controller')
  const { onError, controller, messages = [], aiVersion: version, ...rest } = options
  return async ({ stream }) => {
    const open = (signal: AbortSignal) => {
      signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true })
      return stream as ReadableStream<never>
    }
    const wording = wordingOf(onError)
    try {
      const asked = askedFor(messages)
      const begun = await beginning(engine, streamId, rest.owner, asked, version)
      const messageId = asked.continued?.id
      const { done } = await startAnswer(engine, streamId, open, decodeEvents(), {
        ...rest,
        wording,
        isUnread: true,
        prelude: begun.prelude,
        metadata: { ...begun.metadata, messageId } satisfies AnswerMetadata,
      })
      if ((await done) === 'stopped') controller.abort()
    } catch (error) {
      wording(error)
      // The SDK reads both halves of its stream at the pace of the faster one: an unread half would pile up.
      if (!stream.locked) await stream.cancel().catch(ignore)
    }
  }
}
