/**
 * Announces to a browser when a chat's next answer has begun, so that idle tabs and other devices follow it: one response for all
 * chats that the browser shows.
 */
import type * as api from '../../index'
import { ClosedError, ForbiddenError, GapError, NotFoundError } from '../errors/errors'
import { heartbeat } from '../http/events'
import { report } from '../http/refusal'
import { headersFor } from '../http/respond'
import { HEARTBEAT_MS } from '../options/read'
import { cursorAt, generationOf } from '../util/cursor'
import { clearInterval, clearTimeout, setInterval, setTimeout } from '../util/timers'
import type { AnswerMetadata } from './answer-start'

/** A chat that may be watched, and the stream of its answers. */
export interface WatchedChat {
  readonly chatId: string
  readonly streamId: string
  readonly owner: string
}

/** An announcement: the current or last answer of a chat, when the response begins and each time another one begins. */
interface Announcement extends Pick<AnswerMetadata, 'after' | 'previous' | 'messageId' | 'question'> {
  chatId: string
  /** The answer's id, a ULID; null: there is none. */
  generation: string | null
  state: api.StreamStatus['state'] | null
}

export interface WatchOptions extends Pick<api.RespondOptions, 'onError' | 'maxDurationMs'> {
  /** The client's signal. */
  signal: AbortSignal
}

/** How many chats one response watches. */
export const MAX_WATCHED = 32

/** How long an authorization is trusted; then the client has to reconnect. */
const LONGEST_MS = 10 * 60_000
/** Clients reconnect spread over this time, not all at once. */
const SPREAD_MS = 1000
const encoder = new TextEncoder()

/** Server-sent events, each a {@link Announcement}; ends so that the client reconnects, possibly to another server. */
export function watchResponse(
  engine: api.Engine,
  chats: readonly WatchedChat[],
  { signal, onError, maxDurationMs = LONGEST_MS }: WatchOptions,
): Response {
  const left = new AbortController()
  const connection = Date.now().toString(36)
  // Only the latest of each chat is kept, so a slow client costs no more.
  const untold = new Map<string, Announcement>()
  let count = 0
  let beating: NodeJS.Timeout
  let limit: NodeJS.Timeout
  let leave = () => {}
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      leave = () => {
        clearInterval(beating)
        clearTimeout(limit)
        signal.removeEventListener('abort', abandon)
        left.abort()
      }
      const abandon = () => {
        leave()
        controller.close()
      }
      const finish = () => {
        if (left.signal.aborted) return
        const retryMs = Math.round(Math.random() * SPREAD_MS)
        controller.enqueue(encoder.encode(`retry: ${retryMs}\nevent: away\ndata: {}\n\n`))
        abandon()
      }
      beating = setInterval(() => {
        if ((controller.desiredSize ?? 0) > 0) controller.enqueue(heartbeat())
      }, HEARTBEAT_MS).unref()
      limit = setTimeout(finish, Math.min(maxDurationMs, LONGEST_MS)).unref()
      signal.addEventListener('abort', abandon)
      if (signal.aborted) return abandon()
      for (const chat of chats) {
        const tell = (told: Announcement) => {
          untold.set(chat.chatId, told)
          if ((controller.desiredSize ?? 0) > 0) send(controller)
        }
        watch(engine, chat, left.signal, tell).catch((error) => {
          if (left.signal.aborted || error instanceof ForbiddenError) return
          if (!(error instanceof ClosedError)) report(error, onError)
          finish()
        })
      }
    },
    pull: send,
    cancel: () => leave(),
  })

  function send(controller: ReadableStreamDefaultController<Uint8Array>) {
    if (left.signal.aborted) return
    for (const [chatId, told] of untold) {
      untold.delete(chatId)
      const id = `${connection}.${++count}`
      controller.enqueue(encoder.encode(`id: ${id}\ndata: ${JSON.stringify(told)}\n\n`))
    }
  }

  return new Response(body, { headers: headersFor('events', new Headers()) })
}

/** Watches a chat until the signal is aborted, or its stream has another owner. */
async function watch(
  engine: api.Engine,
  { chatId, streamId, owner }: WatchedChat,
  signal: AbortSignal,
  tell: (told: Announcement) => void,
): Promise<void> {
  while (!signal.aborted) {
    const status = await engine.status(streamId)
    if (status !== null && status.owner !== owner) return
    tell(toldOf(chatId, status))
    let known = status?.generation
    const from = status === null ? 'start' : cursorAt(status.generation, status.lastSeq)
    try {
      const options = { from, owner, follow: 'all', wait: '1d', signal } as const
      for await (const { cursor } of engine.subscribe(streamId, options).unref()) {
        const generation = generationOf(cursor)
        if (generation === known) continue
        known = generation
        const status = await engine.status(streamId)
        if (status !== null) tell(toldOf(chatId, status))
      }
    } catch (error) {
      // It was deleted, has expired, or is far ahead.
      if (!(error instanceof NotFoundError || error instanceof GapError)) throw error
    }
  }
}

function toldOf(chatId: string, status: api.StreamStatus | null): Announcement {
  const { after = null, previous, messageId, question } = (status?.metadata ?? {}) as Partial<AnswerMetadata>
  const { generation = null, state = null } = status ?? {}
  return { chatId, generation, state, after, previous, messageId, question }
}
