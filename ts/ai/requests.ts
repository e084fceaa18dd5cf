// The transport's requests, as its options, the hook and the `prepare…` functions make them.

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

/** The URL of the chats' `POST`. */
export function apiOf({ api = '/api/chat' }: { api?: string | undefined }): string {
  return api
}

export async function post<Message>(
  options: TidemarkChatTransportOptions<Message>,
  request: SendRequest<Message>,
): Promise<Response> {
  const { messages, trigger, messageId, abortSignal = null } = request
  const given = await unprepared(options, request)
  const prepared = await options.prepareSendMessagesRequest?.({ ...given, messages, trigger, messageId })
  const headers = new Headers(prepared?.headers ?? given.headers)
  if (!headers.has('content-type')) headers.set('content-type', 'application/json')
  return send(options, prepared?.api ?? given.api, {
    method: 'POST',
    headers,
    credentials: prepared?.credentials ?? given.credentials,
    body: JSON.stringify(prepared?.body ?? { ...given.body, id: given.id, messages, trigger, messageId }),
    signal: abortSignal,
  })
}

/** The request that follows an answer. */
export async function targetOf<Message>(
  options: TidemarkChatTransportOptions<Message>,
  request: ChatRequest,
  after?: string | null,
): Promise<Target> {
  const given = await unprepared(options, request)
  const prepared = await options.prepareReconnectToStreamRequest?.(given)
  const api = prepared?.api ?? `${given.api}/${encodeURIComponent(given.id)}/stream`
  const [base, query] = api.split('?')
  const all = new URLSearchParams(query)
  if (after != null && !all.has('after')) all.set('after', after)
  const headers = new Headers(prepared?.headers ?? given.headers)
  const credentials = prepared?.credentials ?? given.credentials
  return { url: all.size > 0 ? `${base}?${all}` : `${base}`, init: { headers, credentials } }
}

export function send<Message>(
  { fetch = globalThis.fetch }: TidemarkChatTransportOptions<Message>,
  url: string,
  { credentials, ...init }: Init,
): Promise<Response> {
  return fetch(url, { ...uncached(), ...init, ...(credentials && { credentials }) })
}

/** A request as the options and the hook describe it, before it is prepared. */
async function unprepared<Message>(
  options: TidemarkChatTransportOptions<Message>,
  { chatId, metadata, ...request }: ChatRequest,
): Promise<Prepared> {
  const { headers, credentials, body } = options
  const all = new Headers(await resolve(headers))
  for (const [name, value] of new Headers(request.headers)) all.set(name, value)
  return {
    id: chatId,
    api: apiOf(options),
    headers: Object.fromEntries(all),
    credentials: await resolve(credentials),
    body: { ...(await resolve(body)), ...request.body },
    requestMetadata: metadata,
  }
}
