import { type Follow, FollowError, follow, type HeadersLike } from '../client/follow.js'
import { isPassing, refusal } from '../client/responses.js'
import { setTimeout } from '../util/browser-timers.js'
import type { MaybePromise } from '../util/deferred.js'
import { uncached } from '../util/uncached.js'
import { Activity } from './activity.js'
import { remember } from './known.js'
import { messageStream } from './message-stream.js'
import { type Resolvable, resolve } from './resolvable.js'
import type { Kept, Saved } from './saved.js'

/** The class of the transport's errors. */
export { FollowError }

type Credentials = 'omit' | 'same-origin' | 'include'

/** The state of an answer's connection. */
export type Connection = 'connected' | 'reconnecting'

/** The stream of a message's chunks, in the form of the SDK's version; the types do not distinguish versions. */
export type MessageChunks = ReadableStream<never>

export interface TidemarkChatTransportOptions<Message = unknown> {
  /**
   * Where `POST` of `chatRoutes` is; `GET` and `DELETE` are at `<api>/<chat's id>/stream`. Default `/api/chat`.
   */
  api?: string | undefined
  /** Headers of every request; a function is called for each one, for a token that expires. */
  headers?: Resolvable<HeadersLike> | undefined
  /** As for `fetch`; `'include'` sends cookies to another origin. */
  credentials?: Resolvable<Credentials> | undefined
  /** Fields for the body of every `POST`. */
  body?: Resolvable<object> | undefined
  /** Default: the global one. */
  fetch?: typeof fetch | undefined
  /**
   * What to do if a message is sent while the chat is being answered, possibly for another tab: `'queue'` waits for the end of that
   * answer, `'interrupt'` stops it, `'refuse'` fails with `ERR_ACTIVE`. Default `'refuse'`.
   */
  whileBusy?: 'queue' | 'interrupt' | 'refuse' | undefined
  /**
   * The id of the last message that the page has when it is loaded, or a function that returns it. It tells the routes whether the
   * page lacks an answer that has ended meanwhile.
   */
  after?: string | ((chatId: string) => string | null | undefined) | undefined
  /**
   * What the page has kept of an answer that may be under way, by `savedAnswer` of `tidemark/ai/saved`: the rest is asked for
   * alone. Default: a resumed answer is sent from its beginning.
   */
  saved?: Saved | undefined
  /**
   * Lets chats follow what begins in another tab or on another device: those that are given to `useWatch` of `tidemark/react`, or
   * to `watch` of `tidemark/ai/watch`. One connection for each browser. Default false.
   */
  watch?: boolean | undefined
  /** Called when an answer's connection is lost, and when it is back. */
  onConnection?: ((connection: Connection, chatId: string) => void) | undefined
  /** Milliseconds without a byte, even of a heartbeat, after which the connection counts as lost. Default 45,000. */
  silenceMs?: number | undefined
  /** The longest pause between two attempts to connect, in milliseconds. Default 10,000. */
  maxRetryMs?: number | undefined
  /** As in the SDK's transports: changes the request of a `POST`. */
  prepareSendMessagesRequest?: ((request: PreparedSend<Message>) => MaybePromise<PreparedRequest>) | undefined
  /** The same for the request that follows an answer. When an answer is resumed, a cursor is added to its URL. */
  prepareReconnectToStreamRequest?:
    | ((request: Prepared) => MaybePromise<Omit<PreparedRequest, 'body'>>)
    | undefined
}

/** The argument of the `prepare…` functions. */
export interface Prepared {
  id: string
  api: string
  headers: Record<string, string>
  credentials: Credentials | undefined
  body: object
  requestMetadata: unknown
}

export interface PreparedSend<Message> extends Prepared {
  messages: Message[]
  trigger: string
  messageId: string | undefined
}

/** The result of the `prepare…` functions; a missing field stays as it was. */
export interface PreparedRequest {
  api?: string
  headers?: HeadersLike
  credentials?: Credentials
  body?: object
}

/** Options that the SDK passes with each request. */
export interface ChatRequest {
  chatId: string
  abortSignal?: AbortSignal | undefined
  headers?: HeadersLike | undefined
  body?: object | undefined
  metadata?: unknown
}

export interface SendRequest<Message> extends ChatRequest {
  messages: Message[]
  trigger: string
  messageId?: string | undefined
}

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
        response = await this.#post(request)
      } catch (error) {
        if (request.abortSignal?.aborted) throw error
        // The request may have arrived anyway: then its answer is there.
        const found = await this.#follow(request, asked).catch(() => null)
        if (found === null) throw error
        return found
      }
      if (response.ok) return this.#stream(await this.#target(request, asked), request, response)
      const refused = await refusal(response)
      if (response.status !== 409 || !(await this.#makesWay(request))) throw refused
    }
  }

  /** The chat's current answer; null if there is none. */
  reconnectToStream(request: ChatRequest): Promise<MessageChunks | null> {
    return this.#busy(request, async (activity) => {
      const { after, saved } = this.#options
      const kept = await saved?.(request.chatId, async (query) => {
        const { url, init } = await this.#target(request)
        return this.#fetch(withQuery(url, query), { ...init, signal: request.abortSignal ?? null })
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
    const { url, init } = await this.#target({ chatId })
    const response = await this.#fetch(url, { ...init, method: 'DELETE' })
    if (!response.ok) throw await refusal(response)
    return ((await response.json()) as { result: 'stopping' | 'ended' | 'kept' }).result
  }

  /** @internal */
  get isWatching(): boolean {
    return this.#options.watch === true
  }

  /** @internal The URL of the chats' `POST`, which identifies the server. */
  get api(): string {
    return this.#options.api ?? '/api/chat'
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
    const { url } = await this.#target({ chatId })
    const query = chatIds.map((id) => `watch=${encodeURIComponent(id)}`).join('&')
    return follow(withQuery(url, query), {
      ...this.#pace,
      signal,
      fetch: async (url, { signal = null } = {}) => {
        const { init } = await this.#target({ chatId })
        return this.#fetch(String(url), { ...init, signal })
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

  async #post(request: SendRequest<Message>): Promise<Response> {
    const { messages, trigger, messageId, abortSignal = null } = request
    const given = await this.#given(request)
    const prepare = this.#options.prepareSendMessagesRequest
    const prepared = await prepare?.({ ...given, messages, trigger, messageId })
    const headers = new Headers(prepared?.headers ?? given.headers)
    if (!headers.has('content-type')) headers.set('content-type', 'application/json')
    return this.#fetch(prepared?.api ?? given.api, {
      method: 'POST',
      headers,
      credentials: prepared?.credentials ?? given.credentials,
      body: JSON.stringify(prepared?.body ?? { ...given.body, id: given.id, messages, trigger, messageId }),
      signal: abortSignal,
    })
  }

  /** The request that follows an answer. */
  async #target(request: ChatRequest, after?: string | null): Promise<Target> {
    const given = await this.#given(request)
    const prepared = await this.#options.prepareReconnectToStreamRequest?.(given)
    const api = prepared?.api ?? `${given.api}/${encodeURIComponent(given.id)}/stream`
    const [base, query] = api.split('?')
    const all = new URLSearchParams(query)
    if (after != null && !all.has('after')) all.set('after', after)
    const headers = new Headers(prepared?.headers ?? given.headers)
    const credentials = prepared?.credentials ?? given.credentials
    return { url: all.size > 0 ? `${base}?${all}` : `${base}`, init: { headers, credentials } }
  }

  /** A request as the options and the hook describe it, before it is prepared. */
  async #given({ chatId, metadata, ...request }: ChatRequest): Promise<Prepared> {
    const { api } = this
    const { headers, credentials, body } = this.#options
    const all = new Headers(await resolve(headers))
    for (const [name, value] of new Headers(request.headers)) all.set(name, value)
    return {
      id: chatId,
      api,
      headers: Object.fromEntries(all),
      credentials: await resolve(credentials),
      body: { ...(await resolve(body)), ...request.body },
      requestMetadata: metadata,
    }
  }

  async #follow(request: ChatRequest, after?: string | null, kept?: Kept): Promise<MessageChunks | null> {
    const { abortSignal: signal = null } = request
    for (let tries = 1; ; tries++) {
      const target = await this.#target(request, after)
      const query = kept?.cursor ? `replay=exact&cursor=${kept.cursor}` : ''
      try {
        const response = await this.#fetch(withQuery(target.url, query), { ...target.init, signal })
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
      const { init } = await this.#target(request)
      const response = await this.#fetch(String(url), { ...init, signal })
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

  #fetch(url: string, init: Init): Promise<Response> {
    const { fetch = globalThis.fetch } = this.#options
    const { credentials, ...rest } = init
    return fetch(url, { ...uncached(), ...rest, ...(credentials && { credentials }) })
  }
}

type Init = Omit<RequestInit, 'credentials'> & {
  credentials?: Credentials | undefined
}

interface Target {
  url: string
  init: Init
}

function withQuery(url: string, query: string): string {
  return (query && `${url}${url.includes('?') ? '&' : '?'}${query}`) || url
}

/** The id of the message that is answered, or continued. */
function questionOf(messages: readonly unknown[]): string | undefined {
  const { id } = (messages.at(-1) ?? {}) as { id?: unknown }
  return typeof id === 'string' ? id : undefined
}
