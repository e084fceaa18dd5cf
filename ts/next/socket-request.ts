/** A frame as the request that the routes of a chat take. */
import type { IncomingHttpHeaders } from 'node:http'
import type { ResumeFrame, SendFrame } from './socket-frames'

/** What a socket was opened with: a request of `node:http`. */
export interface UpgradeRequest {
  readonly url?: string | undefined
  readonly headers: IncomingHttpHeaders
}

/**
 * What no script in a browser can set on a request of its own, so that a server may believe it, and what is about the connection.
 * A frame cannot set it either.
 */
const UNTOLD =
  /^(cookie2?|origin|host|referer|date|via|te|trailer|expect|upgrade|connection|keep-alive|transfer-encoding|forwarded|content-(length|encoding|type)|accept-(charset|encoding)|access-control-.*|sec-.*|proxy-.*|x-(forwarded|real|vercel)-.*|(cf|true|fly)-.*)$/

/** What belongs to the opening of a socket alone. */
const HANDSHAKE = /^(connection|upgrade|sec-websocket-.*|content-.*|transfer-encoding|keep-alive)$/

function headersOf(opened: UpgradeRequest, frame: Readonly<Record<string, string>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(frame))
    if (!UNTOLD.test(name.toLowerCase())) headers.set(name, value)
  for (const [name, value] of Object.entries(opened.headers)) {
    if (!HANDSHAKE.test(name) && !name.startsWith(':')) headers.set(name, String(value))
  }
  return headers
}

/** Where the socket was opened, as a page at that host has it. */
export function addressOf({ url, headers }: UpgradeRequest): URL {
  const host = headers.host ?? headers[':authority'] ?? 'localhost'
  return new URL(url ?? '/', `http://${host}`)
}

/** What the SDK's transports over HTTP would send. */
export function questionOf(opened: UpgradeRequest, frame: SendFrame, signal: AbortSignal): Request {
  const { id, messages, trigger, messageId, metadata } = frame
  const headers = headersOf(opened, frame.headers)
  headers.set('content-type', 'application/json')
  const body = JSON.stringify({ metadata, ...frame.body, id, messages, trigger, messageId })
  return new Request(addressOf(opened), { method: 'POST', headers, body, signal })
}

/** The same for the current answer, every chunk as it was written, from this one on. */
export function resumptionOf(opened: UpgradeRequest, frame: ResumeFrame, signal: AbortSignal): Request {
  const url = addressOf(opened)
  for (const name of ['watch', 'startIndex', 'cursor', 'lastEventId', 'after']) url.searchParams.delete(name)
  const { after } = frame.body
  if (typeof after === 'string') url.searchParams.set('after', after)
  url.searchParams.set('sequence', String((frame.lastSequence ?? -1) + 1))
  const headers = headersOf(opened, frame.headers)
  headers.delete('last-event-id')
  return new Request(url, { headers, signal })
}

/** Asks for the answer's stop. */
export function stopOf(opened: UpgradeRequest, frame: SendFrame | ResumeFrame): Request {
  return new Request(addressOf(opened), { method: 'DELETE', headers: headersOf(opened, frame.headers) })
}
