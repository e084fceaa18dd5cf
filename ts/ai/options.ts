import type { HeadersLike } from '../client/follow.js'
import type { MaybePromise } from '../util/deferred.js'
import type { Resolvable } from './resolvable.js'
import type { Saved } from './saved.js'

/** As for `fetch`. */
export type Credentials = 'omit' | 'same-origin' | 'include'

/** The state of an answer's connection. */
export type Connection = 'connected' | 'reconnecting'

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
   * The messages that the page has stored, by `savedAnswer` of `tidemark/ai/saved`: only the rest of an unfinished answer is
   * requested. Default: a resumed answer is sent from its beginning.
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
