import type * as api from '../../index'
import { invalidArgument, type Origin, origin } from '../errors/errors'
import type { Bridge } from '../native/bridge'
import { refuse } from '../options/checks'
import { cursor, from } from '../options/fields'
import type { RespondArgs } from '../options/read'
import { headerOf } from './body'
import { EventStream } from './event-stream'
import { holding } from './holding'
import { addHeaders, refusal } from './refusal'

/** Headers that keep proxies and browsers from buffering, changing or caching an event stream. */
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-store, no-transform',
  'x-accel-buffering': 'no',
}

/** `Engine.respond`, its options checked. */
export async function respond(
  bridge: Bridge,
  request: api.StreamRequest,
  args: RespondArgs,
): Promise<Response> {
  const opened = await begin(bridge, request, args, origin(respond))
  if (opened instanceof Response) return opened
  return holding(request, new Response(opened.stream.body(), { headers: opened.headers }))
}

/** An event stream that has found its position, and the headers to send it with, or a response that says why there is none. */
export async function begin(
  bridge: Bridge,
  request: api.StreamRequest,
  { args, limits, format, headers, signal }: RespondArgs,
  called: Origin,
): Promise<{ stream: EventStream; headers: Headers } | Response> {
  checkRequest(request)
  try {
    const position = positionOf(request) ?? args.from
    const signals = { application: signal, client: request.signal }
    const stream = EventStream.open(bridge, { ...args, from: position }, limits, signals, called)
    await stream.opened()
    return { stream, headers: headersFor(format, headers) }
  } catch (error) {
    return refusal(error, limits.onError, headers)
  }
}

export function headersFor(format: RespondArgs['format'], given: Headers): Headers {
  const all = new Headers(HEADERS)
  if (format === 'ui-messages') all.set('x-vercel-ai-ui-message-stream', 'v1')
  addHeaders(all, given)
  return all
}

/** The parameter in which polyfills of EventSource send the id, which they may not send as a header to other origins. */
const LAST_ID = 'lastEventId'

/**
 * Where the client wants to continue. A browser's EventSource repeats its URL when it reconnects but updates its header, so the
 * header comes first; then the parameter of polyfills; then the one that the page has chosen.
 */
export function positionOf(request: api.StreamRequest): string | undefined {
  const header = headerOf(request.headers, 'last-event-id')
  const query = /\?([^#]*)/.exec(request.url ?? '')?.[1]
  const parameters = new URLSearchParams(query)
  const given = only(parameters, 'cursor')
  const chosen = given === undefined ? undefined : from(given, 'cursor')
  // Polyfills send an empty one before they have any.
  const last = only(parameters, LAST_ID) || undefined
  if (header !== undefined) return cursor(header, 'Last-Event-ID')
  return last === undefined ? chosen : cursor(last, LAST_ID)
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
