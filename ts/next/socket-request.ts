/** A frame as the request that the routes of a chat take. */
import type { IncomingHttpHeaders } from 'node:http'
import type { ResumeFrame, SendFrame } from './socket-frames'

/** What a socket was opened with: a request of `node:http`. */
export interface UpgradeRequest {
  readonly url?: string | undefined
  readonly headers: IncomingHttpHeaders
}

/** The same, once its address is read. */
export interface Opened {
  readonly address: URL
  readonly headers: IncomingHttpHeaders
}

/**
 * Headers that servers may trust because no script of a page can set them, and headers of the connection: the headers of a frame cannot
 * set them either.
 */
const UNTOLD =
  /^(cookie2?|origin|host|referer|date|via|te|trailer|expect|upgrade|connection|keep-alive|transfer-encoding|forwarded|content-(length|encoding|type)|accept-(charset|encoding)|access-control-.*|sec-.*|proxy-.*|x-(forwarded|real|vercel)-.*|(cf|true|fly)-.*)$/

/** Headers that concern only the opening of a socket. */
const HANDSHAKE = /^(connection|upgrade|sec-websocket-.*|content-.*|transfer-encoding|keep-alive)$/

function headersOf(opened: Opened, frame: Readonly<Record<string, string>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(frame))
    if (!UNTOLD.test(name.toLowerCase())) headers.set(name, value)
  for (const [name, value] of Object.entries(opened.headers)) {
    if (!HANDSHAKE.test(name) && !name.startsWith(':')) headers.set(name, String(value))
  }
  return headers
}

/** The request that the SDK's HTTP transport would send. */
export function questionOf(opened: Opened, frame: SendFrame, signal: AbortSignal): Request {
  const { id, messages, trigger, messageId, metadata } = frame
  const headers = headersOf(opened, frame.headers)
  headers.set('content-type', 'application/json')
  const body = JSON.stringify({ metadata, ...frame.body, id, messages, trigger, messageId })
  return new Request(opened.address, { method: 'POST', headers, body, signal })
}

/** A request for the current answer's chunks after `lastSequence`, as they were written. */
export function resumptionOf(opened: Opened, frame: ResumeFrame, signal: AbortSignal): Request {
  const url = new URL(opened.address)
  for (const name of ['watch', 'startIndex', 'cursor', 'lastEventId', 'after']) url.searchParams.delete(name)
  const { after } = frame.body
  if (typeof after === 'string') url.searchParams.set('after', after)
  url.searchParams.set('sequence', String((frame.lastSequence ?? -1) + 1))
  const headers = headersOf(opened, frame.headers)
  headers.delete('last-event-id')
  return new Request(url, { headers, signal })
}

/** A request to stop the answer. */
export function stopOf(opened: Opened, frame: SendFrame | ResumeFrame): Request {
  return new Request(opened.address, { method: 'DELETE', headers: headersOf(opened, frame.headers) })
}
