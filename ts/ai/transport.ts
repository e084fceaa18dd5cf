import { type Follow, FollowError, follow } from '../client/follow.js'
import { isPassing, refusal } from '../client/responses.js'
import { setTimeout } from '../util/browser-timers.js'
import { Activity } from './activity.js'
import { remember } from './known.js'
import { messageStream } from './message-stream.js'
import type { ChatRequest, Connection, SendRequest, TidemarkChatTransportOptions } from './options.js'
import { apiOf, post, send, type Target, targetOf } from './requests.js'
import type { Kept } from './saved.js'

/** The class of the transport's errors. */
export { FollowError }

/** The stream of a message's chunks, in the form of the SDK's version; the types do not distinguish versions. */
export type MessageChunks = ReadableStream<never>

/** Most connections are cut by a proxy or a deploy, so an early retry succeeds. */
const FIRST_RETRY_MS = 100

/** How often the transport asks, within three seconds, whether there is an answer before it gives up. */
const TRIES = 5

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
    const asked = questionOf(given.messages)
    for (
      let request = given;
      ;
      request = { ...given, messages: activity.latest?.(given.messages) ?? given.messages }
    ) {
      let response: Response
      try {
        response = await post(this.#options, request)
      } catch (error) {
        if (request.abortSignal?.aborted) throw error
        // The request may have arrived anyway: then its answer is there.
        const found = await this.#follow(request, asked).catch(() => null)
        if (found === null) throw error
        return found
      }
      if (response.ok) return this.#stream(await targetOf(this.#options, request, asked), request, response)
      const refused = await refusal(response)
      if (response.status !== 409 || !(await this.#makesWay(request))) throw refused
    }
  }

  /** The chat's current answer; null if there is none. */
  reconnectToStream(request: ChatRequest): Promise<MessageChunks | null> {
    return this.#busy(request, async (activity) => {
      const { after, saved } = this.#options
      const kept = await saved?.(request.chatId, async (query) => {
        const { url, init } = await targetOf(this.#options, request)
        return send(this.#options, withQuery(url, query), { ...init, signal: request.abortSignal ?? null })
      })
      const wanted = activity.after ?? (typeof after === 'function' ? after(request.chatId) : after)
      activity.after = undefined
      return this.#follow(request, wanted, kept)
    })
  }

  /**
   * Ends the answer, wherever the model is called; every tab keeps the part that it has. Resolves to `'stopping'`; `'ended'`, if it was
   * over; or `'kept'`, if it has not started yet: it is stopped if it starts within 10 s. The hook's own `stop` only stops reading.
   */
  async stop(chatId: string): Promise<'stopping' | 'ended' | 'kept'> {
    const { url, init } = await targetOf(this.#options, { chatId })
    const response = await send(this.#options, url, { ...init, method: 'DELETE' })
    if (!response.ok) throw await refusal(response)
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
  async followWatched(chatIds: readonly string[], signal: AbortSignal): Promise<Follow> {
    const chatId = chatIds[0] as string
    const { url } = await targetOf(this.#options, { chatId })
    const query = chatIds.map((id) => `watch=${encodeURIComponent(id)}`).join('&')
    return follow(withQuery(url, query), {
      ...this.#pace,
      signal,
      fetch: async (url, { signal = null } = {}) => {
        const { init } = await targetOf(this.#options, { chatId })
        return send(this.#options, String(url), { ...init, signal })
      },
    })
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
      const chunks = await this.#follow(request)
      // Its errors go to those who wait for it.
      await chunks?.pipeTo(new WritableStream()).catch(() => {})
    }
    request.abortSignal?.throwIfAborted()
    return true
  }

  async #follow(request: ChatRequest, after?: string | null, kept?: Kept): Promise<MessageChunks | null> {
    const { abortSignal: signal = null } = request
    for (let tries = 1; ; tries++) {
      const target = await targetOf(this.#options, request, after)
      const query = kept?.cursor ? `replay=exact&cursor=${kept.cursor}` : ''
      try {
        const response = await send(this.#options, withQuery(target.url, query), { ...target.init, signal })
        if (response.status === 204) return null
        if (!response.ok) throw await refusal(response)
        const chunks = this.#stream(target, request, response, kept?.cursor)
        return kept ? kept.continued(chunks, () => this.#beginsAnew) : chunks
      } catch (error) {
        // What broke the connection before may do so again.
        const mayPass = !(error instanceof FollowError) || isPassing(error.status ?? 0)
        if (!mayPass || signal?.aborted || tries === TRIES) throw error
        await new Promise((resolve) => setTimeout(resolve, FIRST_RETRY_MS * 2 ** tries))
      }
    }
  }

  /** The chunks of an answer whose first response has arrived. */
  #stream(target: Target, request: ChatRequest, response: Response, from?: string): MessageChunks {
    const { onConnection } = this.#options
    const tell = (connection: Connection) => onConnection?.(connection, request.chatId)
    let first: Response | undefined = response
    const again: typeof fetch = async (url, { signal = null } = {}) => {
      tell('reconnecting')
      // Functions are called again: their token may have expired.
      const { init } = await targetOf(this.#options, request)
      const response = await send(this.#options, String(url), { ...init, signal })
      if (response.ok) tell('connected')
      return response
    }
    return messageStream(
      (onOther) =>
        // Nothing is repeated on a resume, so that even a connection that is cut after each chunk makes progress.
        follow(withQuery(target.url, 'replay=exact'), {
          ...this.#pace,
          from,
          signal: request.abortSignal,
          onOther,
          fetch: async (url, init) => {
            const response = first ?? (await again(url, init))
            first = undefined
            return response
          },
        }),
      this.activityOf(request.chatId),
      from,
    )
  }
}

function withQuery(url: string, query: string): string {
  return (query && `${url}${url.includes('?') ? '&' : '?'}${query}`) || url
}

/** The id of the message that is answered, or continued. */
function questionOf(messages: readonly unknown[]): string | undefined {
  const { id } = (messages.at(-1) ?? {}) as { id?: unknown }
  return typeof id === 'string' ? id : undefined
}
