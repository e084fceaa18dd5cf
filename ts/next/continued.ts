/**
 * Continued messages: after a tool's approval, or its output from the browser, the next generation continues the
 * assistant's message. The client that asks has the parts so far; every other reader needs them first.
 */
import type * as api from '../../index'
import { type AiVersion, type Continued, messageChunks } from '../messages/message-chunks'
import { type Check, oneOf } from '../options/checks'
import type { Answer, Prelude } from './answer'
import type { AnswerMetadata } from './answer-start'
import { preludeFrom, previousOf, questionBefore } from './previous'

/** The version of `ai` in the browser. */
export const aiVersion: Check<5 | 6 | 7> = oneOf(5, 6, 7)

/** The answer that a request asks for. */
export interface Asked {
  /** The message that the answer continues. Undefined: none, or the request does not say. */
  readonly continued: Continued | undefined
  /** Whether it is certain that the client begins a message, so that it can be given an id. */
  readonly isNew: boolean
  /** Whether the request says nothing of messages at all. */
  readonly isUnknown: boolean
  /** The message that is answered; null: the request does not say. */
  readonly after: string | null
  /** The last message, as it is, and the id of the one in front of it, as far as the request says. */
  readonly asked: Pick<AnswerMetadata, 'previous' | 'question'>
}

/** The options of a generation. */
export interface Beginning {
  metadata: Pick<AnswerMetadata, 'after' | 'previous' | 'question' | 'isContinued'>
  prelude: Prelude
}

/** The messages that a request brings: all of the chat's, or the last one. */
export function messagesIn({ messages, message }: Readonly<Record<string, unknown>>): unknown[] {
  if (Array.isArray(messages)) return messages
  return typeof message === 'object' && message !== null ? [message] : []
}

/**
 * Interprets the messages. The SDK names in `messageId` the message that is continued, if that is an earlier one, or the one that
 * is regenerated (`trigger`): then the answer is a new message, whatever comes last.
 */
export function askedFor(messages: readonly unknown[], body: Readonly<Record<string, unknown>> = {}): Asked {
  const last = messages.at(-1)
  const isAnew = body.trigger === 'regenerate-message'
  const named = messages.find((message) => isAssistants(message) && message.id === body.messageId)
  const isQuestion = last != null && !isAssistants(last)
  const question = isAnew || isQuestion ? last : messages.findLast((message) => roleOf(message) === 'user')
  return {
    continued: isAnew ? undefined : [named, last].find(isAssistants),
    isNew: isQuestion,
    isUnknown: last == null,
    after: idOf(question),
    asked: lastOf(messages),
  }
}

/** The most bytes that a question may take in an answer's metadata. */
const MAX_QUESTION_BYTES = 16 * 1024

function lastOf(messages: readonly unknown[]): Asked['asked'] {
  const question = messages.at(-1)
  if (idOf(question) === null) return {}
  const isSmall = Buffer.byteLength(JSON.stringify(question)) <= MAX_QUESTION_BYTES
  return { previous: idOf(messages.at(-2)) ?? undefined, question: isSmall ? question : undefined }
}

/** The prelude of the answer; asks the store only if the request does not have it. */
export async function beginning(
  engine: api.Engine,
  streamId: string,
  owner: string,
  { continued, isUnknown, after, asked }: Asked,
  version: AiVersion,
): Promise<Beginning> {
  if (continued !== undefined) {
    const question = after ?? questionBefore(await previousOf(engine, streamId, owner), continued.id)
    return {
      metadata: { ...asked, after: question, isContinued: true },
      prelude: preludeOf(continued, version),
    }
  }
  // Requested before the start but not awaited, so that the start is not delayed for readers that resume.
  const prelude = isUnknown ? preludeFrom(engine, previousOf(engine, streamId, owner)) : {}
  return { metadata: { ...asked, after }, prelude }
}

function preludeOf(continued: Continued, version: AiVersion): Prelude {
  return {
    *opened(answer) {
      for (const chunk of messageChunks(continued, version ?? versionOf(answer))) yield JSON.stringify(chunk)
    },
  }
}

/** The version of `ai`, as far as the result of `streamText` shows it. */
function versionOf(answer: Answer | undefined): AiVersion {
  return answer !== undefined && 'toUIMessageStream' in answer && 'responseMessages' in answer ? 7 : undefined
}

function isAssistants(message: unknown): message is Continued {
  return roleOf(message) === 'assistant' && idOf(message) !== null
}

function roleOf(message: unknown): unknown {
  return (message as { role?: unknown } | null | undefined)?.role
}

function idOf(message: unknown): string | null {
  const id = (message as { id?: unknown } | null | undefined)?.id
  return typeof id === 'string' && id.length <= 512 ? id : null
}
