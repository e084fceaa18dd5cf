/**
 * `tidemark/ai/saved`: a page that keeps the messages of its chats, answers that are under way included, asks for the rest of such an
 * answer alone when it is back. It is added to the transport of `tidemark/ai`.
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

/** Asks the routes; what it is given is a query. */
export type Ask = (query: string) => Promise<Response>

/** What {@link savedAnswer} makes for the transport; undefined: the answer has to come from its beginning. */
export type Saved = (chatId: string, ask: Ask) => Promise<Kept | undefined>

type Chunk = Readonly<Record<string, unknown>>

/** Parts that go on in deltas of their id. */
const SPOKEN: ReadonlySet<unknown> = new Set(['text', 'reasoning'])

/**
 * What a page has kept of a chat's last answer. Of an answer that is under way, or has ended since, the hook is given these parts at
 * once, and from the server comes the rest: each part once, in one message. If what is kept is no part of that answer as the SDK
 * makes it, the answer comes from its beginning.
 *
 * @param lastMessage the chat's last message as the page has it, or a function that is asked each time; one of the user's is none
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
      // The request for the answer tells what is wrong.
      return undefined
    }
  }
}

/** The ids by which the parts that are not over are told, by their kinds; undefined: two of a kind cannot be told apart. */
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

/** The chunks of what the page has, and then those of the rest. */
function join(
  message: SavedMessage,
  open: ReadonlyMap<unknown, unknown>,
  rest: ReadableStream<never>,
  beginsAnew: () => boolean,
): ReadableStream<never> {
  const reader = rest.getReader()
  /** What has begun within the rest. */
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
        // It goes on with the message that it has, where a call's input is incomplete, and cannot begin it anew.
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
