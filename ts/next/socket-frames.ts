/** The frames of the AI SDK's `WebSocketChatTransport`, as its server reads and writes them. */
import { invalidArgument } from '../errors/errors'
import { isRecord } from '../util/record'

/** What frames that ask for an answer have in common. */
interface AskingFrame {
  readonly requestId: string
  /** The chat. */
  readonly id: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
  readonly metadata?: unknown
}

/** Asks for a new answer. */
export interface SendFrame extends AskingFrame {
  readonly type: 'send'
  readonly trigger: 'submit-message' | 'regenerate-message'
  readonly messageId?: string | undefined
  readonly messages: readonly unknown[]
}

/**
 * Asks for the current answer, after the chunk with this number if there is one. With `body.after`, the id of the last message, an
 * answer to that message is sent although it has ended.
 */
export interface ResumeFrame extends AskingFrame {
  readonly type: 'resume'
  readonly lastSequence?: number | undefined
}

/** The client does not want the answer to that request any more. */
export interface AbortFrame {
  readonly type: 'abort'
  readonly requestId: string
}

export type ChatFrame = SendFrame | ResumeFrame | AbortFrame

const MAX_ID_BYTES = 256

/** Parses a frame; throws if the text is none. */
export function parseFrame(text: string): ChatFrame {
  const frame: unknown = JSON.parse(text)
  if (!isRecord(frame) || !isRequestId(frame.requestId)) throw invalidArgument('frame', 'has no requestId')
  if (frame.type === 'abort') return frame as unknown as AbortFrame
  const { type, id, headers, body } = frame
  if (typeof id !== 'string' || !isRecord(body) || !isRecord(headers)) throw malformed()
  if (!isHeaders(headers)) throw malformed()
  if (type === 'resume' && isSequence(frame.lastSequence)) return frame as unknown as ResumeFrame
  if (type === 'send' && isQuestion(frame)) return frame as unknown as SendFrame
  throw malformed()
}

/** Whether a request can have them: names and values of HTTP. */
function isHeaders(headers: Record<string, unknown>): boolean {
  try {
    new Headers(headers as Record<string, string>)
    return Object.values(headers).every((value) => typeof value === 'string')
  } catch {
    return false
  }
}

const malformed = () => invalidArgument('frame', 'must be a send, resume or abort of WebSocketChatTransport')

function isQuestion({ trigger, messageId, messages }: Record<string, unknown>): boolean {
  const isKnown = trigger === 'submit-message' || trigger === 'regenerate-message'
  return isKnown && (messageId === undefined || typeof messageId === 'string') && Array.isArray(messages)
}

function isSequence(value: unknown): boolean {
  return value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)
}

function isRequestId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= MAX_ID_BYTES
}

/** Confirms that there is an answer to resume. */
export const startFrame = (requestId: string) => JSON.stringify({ type: 'start', requestId })

/** A chunk, which is JSON already. */
export const chunkFrame = (requestId: string, sequence: number, chunk: string) =>
  `{"type":"chunk","requestId":${JSON.stringify(requestId)},"sequence":${sequence},"chunk":${chunk}}`

export const endFrame = (requestId: string) => JSON.stringify({ type: 'end', requestId })

export const noActiveFrame = (requestId: string) => JSON.stringify({ type: 'no-active', requestId })

export const errorFrame = (requestId: string, errorText: string) =>
  JSON.stringify({ type: 'error', requestId, errorText })
