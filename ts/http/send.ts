import type * as api from '../../index'
import { invalidArgument } from '../errors/errors'
import type { Bridge } from '../native/bridge'
import { refuse } from '../options/checks'
import type { RespondArgs } from '../options/read'
import { respond } from './respond'

/** INTERNAL_ERROR of HTTP/2: an answer that is cut off is not one that has ended. */
const H2_INTERNAL_ERROR = 2

type Http2Response = { stream: { close(code: number): void } }

/** `Engine.send`, its options checked. */
export async function send(
  bridge: Bridge,
  request: api.StreamRequest,
  response: api.ServerResponse,
  args: RespondArgs,
): Promise<void> {
  checkResponse(response)
  const left = new AbortController()
  const leave = (): void => left.abort()
  // A response closes when its client has left, and when it has ended.
  response.on('close', leave)
  response.on('error', leave)
  request?.signal?.addEventListener('abort', leave)
  if (request?.signal?.aborted || response.destroyed) leave()
  try {
    const { headers, url } = request ?? {}
    const answer = await respond(bridge, { headers, url, signal: left.signal } as api.StreamRequest, args)
    if (left.signal.aborted) return
    begin(response, answer)
    const isHead = (request as { method?: unknown }).method === 'HEAD'
    if (isHead) {
      leave()
      response.end()
    } else await write(response, answer.body, left.signal)
  } finally {
    request?.signal?.removeEventListener('abort', leave)
    response.off('close', leave)
  }
}

function begin(response: api.ServerResponse, { status, headers }: Response): void {
  response.statusCode = status
  for (const [name, value] of headers) if (name !== 'set-cookie') response.setHeader(name, value)
  const cookies = headers.getSetCookie()
  if (cookies.length > 0) response.setHeader('set-cookie', cookies)
  // HTTP/1 keeps them until there is something to send; an event stream may have nothing yet.
  if ('flushHeaders' in response) response.flushHeaders()
}

async function write(
  response: api.ServerResponse,
  body: ReadableStream<Uint8Array> | null,
  left: AbortSignal,
): Promise<void> {
  try {
    for await (const piece of body ?? []) {
      if (left.aborted) return
      if (!writePiece(response, piece)) await drained(response, left)
    }
  } catch {
    // The body breaks where a clean end would be taken for the answer's; it was said to whom it concerns.
    cut(response)
    return
  }
  if (!left.aborted) response.end()
}

function writePiece(response: api.ServerResponse, piece: Uint8Array): boolean {
  return (response as { write(piece: Uint8Array): boolean }).write(piece)
}

function drained(response: api.ServerResponse, left: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const on = (): void => {
      response.off('drain', on)
      left.removeEventListener('abort', on)
      resolve()
    }
    response.on('drain', on)
    left.addEventListener('abort', on)
    if (left.aborted) on()
  })
}

function cut(response: api.ServerResponse): void {
  if ('stream' in response) (response as Http2Response).stream.close(H2_INTERNAL_ERROR)
  else response.destroy()
}

function checkResponse(response: Partial<api.ServerResponse> | null | undefined): void {
  const isOne = ['write', 'end', 'setHeader', 'on', 'off'].every(
    (name) => typeof (response as Record<string, unknown> | null | undefined)?.[name] === 'function',
  )
  if (!isOne)
    refuse('response', "the response of node:http, or of node:http2 (Fastify's reply.raw)", response)
  if (response?.headersSent) throw invalidArgument('response', 'must not have begun')
}
