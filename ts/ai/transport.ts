import { Follow, FollowError } from '../client/follow.js'
import { isPassing, refusal } from '../client/responses.js'
import { setTimeout } from '../util/browser-timers.js'
import { Activity } from './activity.js'
import { remember } from './known.js'
import { messageStream } from './message-stream.js'
import type { ChatRequest, Connection, SendRequest, TidemarkChatTransportOptions } from './options.js'
import { apiOf, type Init, postOf, send, targetOf } from './requests.js'
import type { Kept } from './saved.js'

/** The class of the transport's errors. */
export { FollowError }

/** The stream of a message's chunks, in the form of the SDK's version; the types do not distinguish versions. */
export type MessageChunks = ReadableStream<never>

/** Most connections are cut by a proxy or a deploy, so an early retry succeeds. */
const FIRST_RETRY_MS = 100

/** How often the transport asks, within three seconds, before it gives up. */
const TRIES = 5

/** Which answer is meant, and what the page has of it. */
interface Wanted {
  /** The message that is answered, or continued. */
  after?: string | null | undefined
  /** What the page has kept of the answer. */
  kept?: Kept | undefined
  /** Whether the page has the message, which the answer continues. */
  isContinued?: boolean | undefined
  /** When the answer was requested, by a request that may have arrived: one that began before is another. */
  askedAt?: number | undefined
}

/** A `transport` of `useChat`, for one chat or many. */
export class TidemarkChatTransport<Message = unknown> {
  #beginsAnew = false
  readonly #options: TidemarkChatTransportOptions<Message>
  readonly #activities = new Map<string, Activity>()

  constructor(options: TidemarkChatTransportOptions<Message> = {}) {
    this.#options = options
  }

  /** A resumed answer is sent from its beginning: `ai` 6 and 7 then start the message over; `ai` 5 does not read this. */
  get resumeStreamIsReplay(): true {
    this.#beginsAnew = true
    return true
  }

  /** Requests an answer, and follows it to its end. */
  sendMessages(request: SendRequest<Message>): Promise<MessageChunks> {
    return this.#busy(request, (activity) => {
      activity.onAsk?.(request.messages)
      return this.#send(request, activity)
    })
  }

  async #send(given: SendRequest<Message>, activity: Activity): Promise<MessageChunks> {
    const wanted = wantedBy(given)
    for (
      let request = given;
      ;
      request = { ...given, messages: activity.latest?.(given.messages) ?? given.messages }
    ) {
      const target = await postOf(this.#options, request)
      activity.asks++
      activity.past = activity.generation
      const askedAt = Date.now()
      let failure: unknown
      try {
        const response = await send(this.#options, target)
        if (response.ok) return this.#stream(request, response, wanted)
        failure = await refusal(response)
      } catch (error) {
        failure = error
      }
      request.abortSignal?.throwIfAborted()
      const { status = 408 } = failure as Partial<FollowError>
      if (status === 409 && (await this.#makesWay(request))) continue
      // The request may have arrived anyway: then its answer is there, or will be.
      const found =
        [408, 502, 504].includes(status) &&
        (await this.#follow(request, { ...wanted, askedAt }).catch(() =>
          request.abortSignal?.throwIfAborted(),
        ))
      if (!found) throw failure
      return found
    }
  }

  /** The chat's current answer; null if there is none. */
  reconnectToStream(request: ChatRequest): Promise<MessageChunks | null> {
    return this.#busy(request, async (activity) => {
      const { after, saved } = this.#options
      const { chatId, abortSignal: signal = null } = request
      const kept = await saved?.(chatId, (query) => this.#ask(request, `?${query}`, { signal }))
      const wanted = activity.after ?? (typeof after === 'function' ? after(chatId) : after)
      activity.after = undefined
      return this.#follow(request, { after: wanted, kept })
    })
  }

  /**
   * Ends the answer, wherever the model is called; every tab keeps the part that it has. Resolves to `'stopping'`; `'ended'`, if it was
   * over; or `'kept'`, if it has not started yet: it is stopped if it starts within 10 s. While the network is away, it is tried again
   * for three seconds. The hook's own `stop` only stops reading.
   */
  async stop(chatId: string): Promise<'stopping' | 'ended' | 'kept'> {
    const activity = this.activityOf(chatId)
    const { asks, generation, past } = activity
    // Of an answer that the page is still waiting for, there is none.
    const seen = generation === past ? '' : generation
    let query = ''
    const response = await persisting(
      // It outlives the page that is being left.
      () => this.#ask({ chatId }, query, { method: 'DELETE', keepalive: true }),
      // A request that has arrived, and was answered in vain, must not stop the next answer, not even another tab's.
      () => {
        query = seen && `?generation=${seen}`
        return activity.asks === asks && (!seen || activity.generation === seen)
      },
    )
    return ((await response.json()) as { result: 'stopping' | 'ended' | 'kept' }).result
  }

  /** @internal */
  get isWatching(): boolean {
    return this.#options.watch === true
  }

  /** @internal The URL of the chats' `POST`, which identifies the server. */
  get api(): string {
    return apiOf(this.#options)
  }

  /** @internal */
  activityOf(chatId: string): Activity {
    const known = this.#activities.get(chatId) ?? new Activity()
    this.#activities.set(chatId, known)
    return known
  }

  /** @internal Follows the announcements about chats; ends when it is aborted. */
  followWatched(chatIds: readonly string[], signal: AbortSignal): Follow {
    const chatId = chatIds[0] as string
    const query = chatIds.map((id) => `watch=${encodeURIComponent(id)}`).join('&')
    return new Follow(`?${query}`, { ...this.#pace, signal }, (query, { signal = null }) =>
      this.#ask({ chatId }, String(query), { signal }),
    )
  }

  get #pace() {
    const { silenceMs, maxRetryMs = 10_000 } = this.#options
    return { silenceMs, minRetryMs: FIRST_RETRY_MS, maxRetryMs }
  }

  /** A request counts as in flight until it fails or its stream takes over. */
  async #busy<T>(request: ChatRequest, work: (activity: Activity) => Promise<T>): Promise<T> {
    const { chatId } = request
    remember(chatId, this)
    const activity = this.activityOf(chatId)
    activity.begin()
    try {
      return await work(activity)
    } finally {
      activity.end()
    }
  }

  /** Whether a retry may succeed: the answer in the way is over, or is being stopped. */
  async #makesWay(request: ChatRequest): Promise<boolean> {
    const { whileBusy = 'refuse' } = this.#options
    if (whileBusy === 'refuse') return false
    if (whileBusy === 'interrupt') await this.stop(request.chatId)
    else {
      const chunks = await this.#follow(request, {})
      // Its errors go to those who wait for it.
      await chunks?.pipeTo(new WritableStream()).catch(() => {})
    }
    request.abortSignal?.throwIfAborted()
    return true
  }

  async #follow(request: ChatRequest, wanted: Wanted): Promise<MessageChunks | null> {
    const { abortSignal: signal = null } = request
    const { after, kept, askedAt } = wanted
    const response = await persisting(
      async () => {
        const { past } = this.activityOf(request.chatId)
        const ago = askedAt ? `?ago=${Date.now() - askedAt}&past=${past}` : ''
        const query = kept?.cursor ? `?replay=exact&cursor=${kept.cursor}` : ago
        const response = await this.#ask(request, query, { signal }, after)
        // The server may not have got to it yet.
        if (askedAt && response.status === 204) throw new Error()
        return response
      },
      () => !signal?.throwIfAborted(),
    )
    if (response.status === 204) return null
    const chunks = this.#stream(request, response, wanted)
    return kept ? kept.continued(chunks, () => this.#beginsAnew) : chunks
  }

  /** A request about the current answer. Functions are called each time: their token may have expired. */
  async #ask(request: ChatRequest, query: string, more: Init, after?: string | null): Promise<Response> {
    const { url, init } = await targetOf(this.#options, request, query, after)
    return send(this.#options, { url, init: { ...init, ...more } })
  }

  /** The chunks of an answer whose first response has arrived. */
  #stream(request: ChatRequest, response: Response, wanted: Wanted): MessageChunks {
    const { after, kept, isContinued = false, askedAt } = wanted
    const activity = this.activityOf(request.chatId)
    const tell = (connection: Connection) => {
      activity.isLost = connection === 'reconnecting'
      this.#options.onConnection?.(connection, request.chatId)
    }
    if (activity.isLost) tell('connected')
    const given = [response]
    // Only the response to the request itself leaves out what the page has of a message that is continued.
    let isWhole = Boolean(askedAt)
    return messageStream(
      (onOther) =>
        // Nothing is repeated on a resume, so that even a connection that is cut after each chunk makes progress.
        new Follow(
          '?replay=exact',
          { ...this.#pace, from: kept?.cursor, signal: request.abortSignal, onOther },
          async (query, { signal = null }) => {
            const first = given.pop()
            if (first !== undefined) return first
            tell('reconnecting')
            isWhole = true
            const next = await this.#ask(request, String(query), { signal }, after)
            if (next.ok) tell('connected')
            return next
          },
        ),
      activity,
      kept?.cursor,
      () => isWhole && isContinued,
    )
  }
}

/** Tries again, within three seconds, what failed in passing: what broke the connection before may do so again. */
async function persisting(ask: () => Promise<Response>, isWanted: () => boolean): Promise<Response> {
  for (let tries = 1; ; tries++) {
    try {
      const response = await ask()
      if (response.ok) return response
      throw await refusal(response)
    } catch (error) {
      const mayPass = !(error instanceof FollowError) || isPassing(error.status ?? 0)
      if (!mayPass || !isWanted() || tries === TRIES) throw error
      await new Promise((resolve) => setTimeout(resolve, FIRST_RETRY_MS * 2 ** tries))
      if (!isWanted()) throw error
    }
  }
}

/** What is meant by a request for an answer: the message that is answered, or continued; the routes decide in the same way. */
function wantedBy({ messages, trigger, messageId }: SendRequest<unknown>): Wanted {
  const all = messages as { id?: string; role?: unknown }[]
  const isAnew = trigger === 'regenerate-message'
  const named = all.find(({ id, role }) => !isAnew && role === 'assistant' && id === messageId)
  const { id, role } = named ?? all.at(-1) ?? {}
  return { after: id, isContinued: role === 'assistant' && !isAnew }
}
