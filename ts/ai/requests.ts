// The transport's requests, as its options, the hook and the `prepare…` functions make them.

import { uncached } from '../util/uncached.js'
import type {
  ChatRequest,
  Credentials,
  Prepared,
  PreparedRequest,
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

/** The request for an answer. */
export async function postOf<Message>(
  options: TidemarkChatTransportOptions<Message>,
  request: SendRequest<Message>,
): Promise<Target> {
  const { messages, trigger, messageId, abortSignal = null } = request
  const given = await unprepared(options, request)
  const prepared = await options.prepareSendMessagesRequest?.({ ...given, messages, trigger, messageId })
  const { headers, credentials } = sentWith(given, prepared)
  if (!headers.has('content-type')) headers.set('content-type', 'application/json')
  const init: Init = {
    method: 'POST',
    headers,
    credentials,
    body: JSON.stringify(prepared?.body ?? { ...given.body, id: given.id, messages, trigger, messageId }),
    signal: abortSignal,
  }
  return { url: prepared?.api ?? given.api, init }
}

/** A request about the current answer, with this query (`?…`, or nothing). */
export async function targetOf<Message>(
  options: TidemarkChatTransportOptions<Message>,
  request: ChatRequest,
  query: string,
  after?: string | null,
): Promise<Target> {
  const given = await unprepared(options, request)
  const prepared = await options.prepareReconnectToStreamRequest?.(given)
  const api = prepared?.api ?? `${given.api}/${encodeURIComponent(given.id)}/stream`
  const [base, own = ''] = api.split('?')
  const fields = new URLSearchParams(own + query.replace('?', '&'))
  if (after != null && !fields.has('after')) fields.set('after', after)
  const all = String(fields)
  return { url: base + (all && `?${all}`), init: sentWith(given, prepared) }
}

function sentWith(given: Prepared, prepared: PreparedRequest | undefined) {
  return {
    headers: new Headers(prepared?.headers ?? given.headers),
    credentials: prepared?.credentials ?? given.credentials,
  }
}

export function send<Message>(
  { fetch = globalThis.fetch }: TidemarkChatTransportOptions<Message>,
  { url, init: { credentials, ...init } }: Target,
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
