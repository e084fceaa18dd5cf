import { defineEvents } from './events.js'
import type { StandardIssue, StandardSchema } from './standard-schema.js'

/**
 * A chat message of the application: `content`, `from`, `text` and all other fields are passed on unchanged.
 * `createdAt` may be written as a `Date` and is read as ISO text, which is its form in JSON.
 */
export interface MessageType {
  id: string
  chatId: string
  createdAt: Date | string
  // biome-ignore lint/suspicious/noExplicitAny: the fields are the application's, in types it has declared itself
  [field: string]: any
}

/** The types of events in a chat; the last three are their names in newer backends. */
export type MessageEventName =
  | 'userMessage'
  | 'aiMessageStart'
  | 'aiMessageChunk'
  | 'aiMessageComplete'
  | 'messageStart'
  | 'agentChunk'
  | 'messageComplete'

/** One event of a chat. */
export interface StreamMessage {
  type: MessageEventName
  message?: MessageType
  messageId?: string
  chunk?: string
  /** `chunk-1`, `chunk-2`, … within one message. */
  chunkId?: string
  chatId: string
}

interface Fields {
  chatId: string
  message?: MessageType | undefined
  messageId?: string | undefined
  chunk?: string | undefined
  chunkId?: string | undefined
}

/** Says what is wrong with a value, if anything is. */
type Check = (value: unknown, path: readonly string[]) => StandardIssue | undefined

const text: Check = (value, path) =>
  typeof value === 'string' ? undefined : { path, message: 'must be a string' }

const optional =
  (check: Check): Check =>
  (value, path) =>
    value === undefined ? undefined : check(value, path)

const date: Check = (value, path) => {
  const isDate = value instanceof Date || typeof value === 'string'
  if (isDate && !Number.isNaN(new Date(value).getTime())) return undefined
  return { path, message: 'must be a date, or its ISO text' }
}

const object =
  (checks: Record<string, Check>): Check =>
  (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return { path, message: 'must be an object' }
    }
    for (const [name, check] of Object.entries(checks)) {
      const issue = check((value as Record<string, unknown>)[name], [...path, name])
      if (issue !== undefined) return issue
    }
    return undefined
  }

const message = object({ id: optional(text), chatId: optional(text), createdAt: optional(date) })
const whole = { chatId: text, message: optional(message), messageId: optional(text), chunkId: optional(text) }

/** A validator that keeps unknown fields, since a newer version may have written them. */
function validator<T extends object>(check: Check): StandardSchema<T> {
  return {
    '~standard': {
      version: 1,
      vendor: 'tidemark',
      validate(value) {
        const issue = check(value, [])
        return issue === undefined ? { value: value as T } : { issues: [issue] }
      },
    },
  }
}

const said = validator<Fields>(object({ ...whole, chunk: optional(text) }))
const piece = validator<Fields & { chunk: string }>(object({ ...whole, chunk: text }))

/**
 * The events of `tidemark/message-stream`, as its writers validate them, for programs that read the same streams on a server or in a
 * browser.
 */
export const messageEvents = defineEvents({
  userMessage: said,
  aiMessageStart: said,
  aiMessageChunk: piece,
  aiMessageComplete: said,
  messageStart: said,
  agentChunk: piece,
  messageComplete: said,
})
