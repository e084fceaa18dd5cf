import type * as api from '../index'
import { headerOf, TooLargeError } from './body'
import type { Bridge } from './bridge'
import { refuse } from './checks'
import { GapError, invalidArgument, origin, TidemarkError } from './errors'
import { EventStream } from './event-stream'
import { cursor, from, type RespondArgs } from './options'

/** What keeps proxies and browsers from holding back, changing or keeping an event stream. */
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-store, no-transform',
  'x-accel-buffering': 'no',
}

const STATUS: Partial<Record<api.ErrorCode, number>> = {
  ERR_INVALID_ARGUMENT: 400,
  ERR_FORBIDDEN: 403,
  ERR_NOT_FOUND: 404,
  ERR_ACTIVE: 409,
  ERR_GAP: 410,
  ERR_CONNECTION: 503,
  ERR_TIMEOUT: 503,
  ERR_STORE: 503,
  ERR_CLOSED: 503,
}

/** `Engine.respond`, its options checked. */
export async function respond(
  bridge: Bridge,
  request: api.StreamRequest,
  { args, pace, format, headers, signal }: RespondArgs,
): Promise<Response> {
  const called = origin(respond)
  checkRequest(request)
  try {
    const place = placeOf(request) ?? args.from
    const signals = [signal, request.signal]
    const { stream, body } = EventStream.open(bridge, { ...args, from: place }, pace, signals, called)
    await stream.opened()
    return new Response(body, { headers: headersFor(format, headers) })
  } catch (error) {
    return refusal(error, headers)
  }
}

export function headersFor(format: RespondArgs['format'], given: Headers): Headers {
  const all = new Headers(HEADERS)
  if (format === 'ui-messages') all.set('x-vercel-ai-ui-message-stream', 'v1')
  for (const [name, value] of given) all.set(name, value)
  return all
}

/** An error as a response: only those that {@link respond} documents, the others are thrown. */
export function refusal(error: unknown, headers?: Headers): Response {
  const status = statusOf(error)
  if (status === undefined) throw error
  const { code, message } = error as TidemarkError
  const resume = error instanceof GapError ? { resume: error.resume } : {}
  const response = Response.json({ code, message, ...resume }, { status })
  for (const [name, value] of headers ?? []) response.headers.set(name, value)
  response.headers.set('content-type', 'application/json')
  response.headers.set('cache-control', 'no-store')
  if (status === 503) response.headers.set('retry-after', '1')
  return response
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof TooLargeError) return 413
  return error instanceof TidemarkError ? STATUS[error.code] : undefined
}

/** Where polyfills of EventSource put the id that they may not send as a header to other origins. */
const LAST_ID = 'lastEventId'

/**
 * Where the client wants to go on. A browser's EventSource repeats its URL when it comes back, so its header, which it
 * keeps up to date, comes first, and the parameter in which polyfills do before the one that the page has chosen.
 */
function placeOf(request: api.StreamRequest): string | undefined {
  const header = headerOf(request.headers, 'last-event-id')
  const query = /\?([^#]*)/.exec(request.url ?? '')?.[1]
  const parameters = new URLSearchParams(query)
  const given = only(parameters, 'cursor')
  const place = given === undefined ? undefined : from(given, 'cursor')
  // Polyfills send an empty one before they have any.
  const last = only(parameters, LAST_ID) || undefined
  if (header !== undefined) return cursor(header, 'Last-Event-ID')
  return last === undefined ? place : cursor(last, LAST_ID)
}

function only(parameters: URLSearchParams, name: string): string | undefined {
  const values = parameters.getAll(name)
  if (values.length > 1) throw invalidArgument(name, 'must be given once')
  return values[0]
}

function checkRequest(request: Partial<api.StreamRequest> | null | undefined): void {
  if (typeof request?.headers === 'object' && request.headers !== null) return
  refuse('request', 'a Request, or what node:http calls one', request)
}
