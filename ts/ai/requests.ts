import { uncached } from '../util/uncached.js'
import type {
  ChatRequest,
  Credentials,
  Prepared,
  SendRequest,
  TidemarkChatTransportOptions,
} from './options.js'
import { resolve } from './resolvable.js'

export type Init = Omit<RequestInit, 'credentials'> & {
  credentials?: Credentials | undefined
}

/** Where a request goes, and with what. */
export interface Target {
  url: string
  init: Init
}

/** The transport's requests, as its options, the hook and the `prepare…` functions make them. */
export class Requests<Message> {
  readonly #options: TidemarkChatTransportOptions<Message>

  constructor(options: TidemarkChatTransportOptions<Message>) {
    this.#options = options
  }

  /** The URL of the chats' `POST`. */
  get api(): string {
    return this.#options.api ?? '/api/chat'
  }

  async post(request: SendRequest<Message>): Promise<Response> {
    const { messages, trigger, messageId, abortSignal = null } = request
    const given = await this.#given(request)
    const prepare = this.#options.prepareSendMessagesRequest
    const prepared = await prepare?.({ ...given, messages, trigger, messageId })
    const headers = new Headers(prepared?.headers ?? given.headers)
    if (!headers.has('content-type')) headers.set('content-type', 'application/json')
    return this.fetch(prepared?.api ?? given.api, {
      method: 'POST',
      headers,
      credentials: prepared?.credentials ?? given.credentials,
      body: JSON.stringify(prepared?.body ?? { ...given.body, id: given.id, messages, trigger, messageId }),
      signal: abortSignal,
    })
  }

  /** The request that follows an answer. */
  async target(request: ChatRequest, after?: string | null): Promise<Target> {
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

  fetch(url: string, init: Init): Promise<Response> {
    const { fetch = globalThis.fetch } = this.#options
    const { credentials, ...rest } = init
    return fetch(url, { ...uncached(), ...rest, ...(credentials && { credentials }) })
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
}
