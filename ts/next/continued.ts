/**
 * Messages that are continued: after a tool's approval, or its output from the browser, the next generation goes on with the
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

/** What a request asks for. */
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

/** What a generation is started with. */
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
 * What is meant by these messages. The SDK names in `messageId` which one is continued, if that is an earlier one, or which one
 * is made anew (`trigger`): the answer is then a message of its own, whatever comes last.
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

/** What a question may take of each answer's metadata, in bytes. */
const MAX_QUESTION_BYTES = 16 * 1024

function lastOf(messages: readonly unknown[]): Asked['asked'] {
  const question = messages.at(-1)
  if (idOf(question) === null) return {}
  const isSmall = Buffer.byteLength(JSON.stringify(question)) <= MAX_QUESTION_BYTES
  return { previous: idOf(messages.at(-2)) ?? undefined, question: isSmall ? question : undefined }
}

/** What a generation that answers this has to begin with; asks the store only for what the request does not say. */
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
  // Asked for before the start, but not waited for: whoever resumes must not come too early.
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

/** What `streamText` returns shows its version, where that matters. */
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
