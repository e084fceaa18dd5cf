/**
 * `tidemark/ai/saved`: a page that keeps the messages of its chats, including unfinished answers, requests only the rest of such an
 * answer when it comes back. It is added to the transport of `tidemark/ai`.
 *
 * ```ts
 * import { TidemarkChatTransport } from 'tidemark/ai'
 * import { savedAnswer } from 'tidemark/ai/saved'
 *
 * const transport = new TidemarkChatTransport({ saved: savedAnswer((chatId) => load(chatId).at(-1)) })
 * ```
 *
 * @packageDocumentation
 */

import { messageChunks } from '../messages/message-chunks.js'
import { markOf } from '../messages/message-mark.js'
import { isCursor } from '../util/cursor.js'
import { unrepeated } from './unrepeated.js'

/** A message of any version of the SDK. */
export interface SavedMessage {
  id: string
  role: string
  parts: readonly unknown[]
  metadata?: unknown
}

/** Where the rest of an answer begins, and how it is joined to what the page has. */
export interface Kept {
  /** Undefined: the answer is sent from its beginning. */
  readonly cursor: string | undefined
  continued(rest: ReadableStream<never>, beginsAnew: () => boolean): ReadableStream<never>
}

/** Sends a request with this query to the routes. */
export type Ask = (query: string) => Promise<Response>

/** The result of {@link savedAnswer} for the transport; undefined: the page has no part of an answer. */
export type Saved = (chatId: string, ask: Ask) => Promise<Kept | undefined>

type Chunk = Readonly<Record<string, unknown>>
type Change = (chunk: Chunk) => Chunk[]

/** Parts that continue in deltas with their id. */
const SPOKEN: ReadonlySet<unknown> = new Set(['text', 'reasoning'])

/**
 * The parts that a page has kept of a chat's last answer. If that answer is unfinished, or has ended since, the hook gets these parts at
 * once, and the rest from the server: each part once, in one message. If the kept parts do not match the answer as the SDK builds it,
 * the answer comes from its beginning.
 *
 * @param lastMessage the chat's last message on the page, or a function that returns it each time; a user's message is ignored
 */
export function savedAnswer(
  lastMessage:
    | SavedMessage
    | null
    | undefined
    | ((chatId: string) => SavedMessage | null | undefined | Promise<SavedMessage | null | undefined>),
): Saved {
  return async (chatId, ask) => {
    const message = typeof lastMessage === 'function' ? await lastMessage(chatId) : lastMessage
    if (message?.role !== 'assistant' || !Array.isArray(message.parts)) return undefined
    // `ai` 5 continues a message in which a call's input is incomplete; the others start it over.
    const isIncomplete = message.parts.some((part) => (part as Chunk | null)?.state === 'input-streaming')
    const cursor = await cursorOf(message, ask)
    return {
      cursor,
      continued(chunks, beginsAnew) {
        return changed(chunks, () => {
          // Which of them this SDK is, is known once it reads.
          const isContinued = isIncomplete && !beginsAnew()
          if (cursor !== undefined)
            return [joined(message, isContinued), isContinued ? [] : messageChunks(message, undefined)]
          return [isContinued ? unrepeated(message) : (chunk) => [chunk], []]
        })
      },
    }
  }
}

/** The cursor after which the rest of the answer begins; undefined: the message is not the beginning of the answer. */
async function cursorOf(message: SavedMessage, ask: Ask): Promise<string | undefined> {
  const mark = openParts(message.parts) && markOf(message.parts)
  if (mark === undefined) return undefined
  try {
    const response = await ask(`seen=${encodeURIComponent(message.id)}&mark=${mark}`)
    const isCursorAnswer = response.status === 200 && /json/.test(response.headers.get('content-type') ?? '')
    // Older servers send the answer.
    if (!isCursorAnswer) return void (await response.body?.cancel())
    const { cursor } = (await response.json()) as { cursor?: unknown }
    return isCursor(cursor) ? cursor : undefined
  } catch {
    // The request for the answer will report the error.
    return undefined
  }
}

/** The ids of the unfinished parts, by their kinds; undefined: two of a kind cannot be distinguished. */
function openParts(parts: readonly unknown[]): Map<unknown, unknown> | undefined {
  const open = new Map<unknown, unknown>()
  for (const [index, part] of parts.entries()) {
    const { type, state, id } = (part ?? {}) as Chunk
    if (!SPOKEN.has(type) || state !== 'streaming') continue
    if (open.has(type)) return undefined
    open.set(type, (type === 'reasoning' && id) || `continued-${index}`)
  }
  return open
}

/** Makes the rest's chunks of the kept parts continue these. */
function joined(message: SavedMessage, isContinued: boolean): Change {
  const open = openParts(message.parts)
  /** The parts that have begun for the SDK. */
  const begun = new Set<string>()
  return (chunk) => {
    const [kind = '', what] = `${chunk.type}`.split('-')
    if (!SPOKEN.has(kind)) return [chunk]
    const name = `${kind} ${chunk.id}`
    if (what === 'start') begun.add(name)
    const id = open?.get(kind)
    if (id === undefined || begun.has(name)) return [chunk]
    const isBegun = !isContinued || begun.has(`${kind} ${id}`)
    if (isBegun) return [{ ...chunk, id }]
    if (what === 'end') return []
    // The SDK continues the message, but not the text: what is left of that is a part of its own.
    begun.add(`${kind} ${id}`)
    return [
      { type: `${kind}-start`, id },
      { ...chunk, id },
    ]
  }
}

/** The chunks of a stream, each replaced by what `begin` says, after others. It is called at the first read. */
function changed(
  stream: ReadableStream<never>,
  begin: () => [change: Change, before: Iterable<object>],
): ReadableStream<never> {
  const reader = stream.getReader()
  let change: Change | undefined
  const source = {
    async pull(controller: ReadableStreamDefaultController<unknown>) {
      let before: Iterable<object> = []
      if (change === undefined) [change, before] = begin()
      for (const chunk of before) controller.enqueue(chunk)
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return controller.close()
        const chunks = change(value)
        for (const chunk of chunks) controller.enqueue(chunk)
        if (chunks.length > 0) return
      }
    },
    cancel: (reason: unknown) => reader.cancel(reason),
  }
  return new ReadableStream(source, { highWaterMark: 0 }) as ReadableStream<never>
}
