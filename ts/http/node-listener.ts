// The handler for servers of node:http.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { flushHead, writeBody, writeHead } from './node-response'

/** A listener for `http.createServer`, Express or Connect. */
export function toNodeListener(
  handler: (request: Request) => Promise<Response>,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (incoming, response) => {
    serve(handler, incoming, response).catch(() => response.destroy())
  }
}

async function serve(
  handler: (request: Request) => Promise<Response>,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const left = new AbortController()
  response.on('close', () => left.abort())
  const answer = await handler(requestOf(incoming, left.signal))
  writeHead(response, answer)
  // A body that was not read to its end would be taken for the next request.
  if (!incoming.complete) response.setHeader('connection', 'close')
  if (answer.body === null || incoming.method === 'HEAD') {
    response.end()
    return
  }
  flushHead(response)
  await writeBody(response, answer.body, left.signal)
}

function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value)
  }
  const { method = 'GET' } = incoming
  // Express removes its mount path from `url`, and keeps the requested path in another field.
  const path = (incoming as { originalUrl?: string }).originalUrl ?? incoming.url ?? '/'
  const protocol = 'encrypted' in incoming.socket ? 'https' : 'http'
  const url = new URL(
    path.startsWith('/') ? `${protocol}://${headers.get('host') ?? 'localhost'}${path}` : path,
  )
  const takesBody = method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS'
  const body =
    takesBody && mayHaveBody(incoming) ? (Readable.toWeb(incoming) as ReadableStream<Uint8Array>) : null
  return new Request(url, { method, headers, body, signal, duplex: 'half' } as RequestInit)
}

function mayHaveBody({ httpVersionMajor, headers }: IncomingMessage): boolean {
  // HTTP/2 needs no length to tell where a body ends.
  if (httpVersionMajor > 1 || headers['transfer-encoding'] !== undefined) return true
  return Number(headers['content-length'] ?? 0) > 0
}
