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

/** A message of any version of the SDK. */
export interface SavedMessage {
  id: string
  role: string
  parts: readonly unknown[]
  metadata?: unknown
}

/** Where the rest of an answer begins, and how it is joined to what the page has. */
export interface Kept {
  readonly cursor: string
  continued(rest: ReadableStream<never>, beginsAnew: () => boolean): ReadableStream<never>
}

/** Sends a request with this query to the routes. */
export type Ask = (query: string) => Promise<Response>

/** The result of {@link savedAnswer} for the transport; undefined: the answer has to come from its beginning. */
export type Saved = (chatId: string, ask: Ask) => Promise<Kept | undefined>

type Chunk = Readonly<Record<string, unknown>>

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
    const open = openParts(message.parts)
    const mark = markOf(message.parts)
    if (open === undefined || mark === undefined) return undefined
    try {
      const response = await ask(`seen=${encodeURIComponent(message.id)}&mark=${mark}`)
      const isPlace = response.status === 200 && /json/.test(response.headers.get('content-type') ?? '')
      // Older servers send the answer.
      if (!isPlace) return void (await response.body?.cancel())
      const { cursor } = (await response.json()) as { cursor?: unknown }
      if (!isCursor(cursor)) return undefined
      const continued: Kept['continued'] = (rest, beginsAnew) => join(message, open, rest, beginsAnew)
      return { cursor, continued }
    } catch {
      // The request for the answer will report the error.
      return undefined
    }
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

/** The chunks of the kept parts, then those of the rest. */
function join(
  message: SavedMessage,
  open: ReadonlyMap<unknown, unknown>,
  rest: ReadableStream<never>,
  beginsAnew: () => boolean,
): ReadableStream<never> {
  const reader = rest.getReader()
  /** The parts that have begun within the rest. */
  const begun = new Set<string>()
  let isFirst = true
  const named = (chunk: Chunk): Chunk => {
    const [kind, what] = `${chunk.type}`.split('-')
    if (!SPOKEN.has(kind)) return chunk
    const name = `${kind} ${chunk.id}`
    if (what === 'start') begun.add(name)
    else if ((what === 'delta' || what === 'end') && !begun.has(name) && open.has(kind))
      return { ...chunk, id: open.get(kind) }
    return chunk
  }
  const source = {
    async pull(controller: ReadableStreamDefaultController<unknown>) {
      if (isFirst) {
        isFirst = false
        // The SDK continues its message, in which a call's input is incomplete, and cannot start that call again.
        const goesOn =
          !beginsAnew() && message.parts.some((part) => (part as Chunk | null)?.state === 'input-streaming')
        if (!goesOn) for (const chunk of messageChunks(message, undefined)) controller.enqueue(chunk)
      }
      const { done, value } = await reader.read()
      if (done) controller.close()
      else controller.enqueue(named(value))
    },
    cancel: (reason: unknown) => reader.cancel(reason),
  }
  return new ReadableStream(source, { highWaterMark: 0 }) as ReadableStream<never>
}
