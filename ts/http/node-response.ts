// A web response, written to one of node:http or node:http2.

import type { ServerResponse } from 'node:http'
import type * as api from '../../index'
import type { Answer, Asked } from './asked'
import type { EventStream, Taker } from './event-stream'

/** INTERNAL_ERROR of HTTP/2, so that a cut response does not look like a complete one. */
const H2_INTERNAL_ERROR = 2

type Http2Response = { stream: { close(code: number): void } }

/** Answers without a body, whose length is not told. */
const NO_BODY = new Set([204, 304])

/** An answer, or a web response. */
export async function writeAnswer(
  response: ServerResponse,
  answer: Answer | Response,
  asked: Asked,
): Promise<void> {
  const { body, status } = answer
  const isHead = asked.method === 'HEAD'
  if (answer instanceof Response) writeHead(response, answer)
  else if (isHead || body instanceof ReadableStream || NO_BODY.has(status)) {
    response.writeHead(status, answer.headers)
  } else {
    const length = body === null ? 0 : Buffer.byteLength(body)
    response.writeHead(status, { ...answer.headers, 'Content-Length': length })
  }
  if (body === null || isHead) response.end()
  else if (body instanceof ReadableStream) {
    flushHead(response)
    await writeBody(response, body, asked.signal)
  } else response.end(body)
}

/** Status and headers. */
export function writeHead(
  response: api.ServerResponse,
  { status, headers }: Pick<Response, 'status' | 'headers'>,
): void {
  response.statusCode = status
  for (const [name, value] of headers) if (name !== 'set-cookie') response.setHeader(name, value)
  const cookies = headers.getSetCookie()
  if (cookies.length > 0) response.setHeader('set-cookie', cookies)
}

/** Sends the headers: HTTP/1 holds them back until there is a body, and an event stream may have none yet. */
export function flushHead(response: api.ServerResponse): void {
  if ('flushHeaders' in response) response.flushHeaders()
}

/** Sends a body to its end, at the client's pace, unless the client leaves. A body that breaks cuts the connection. */
export async function writeBody(
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
    // The body breaks where a clean end would be taken for the answer's; the cause was reported already.
    cut(response)
    return
  }
  if (!left.aborted) response.end()
}

/** The same for an event stream, without the body that a web response needs. */
export async function writeStream(
  response: api.ServerResponse,
  stream: EventStream,
  left: AbortSignal,
): Promise<void> {
  let piece: Uint8Array | undefined
  let isOver = false
  let isBroken = false
  // What is given within a drain is written after it: a response may be anybody's, and throw.
  const taker: Taker = {
    enqueue(given) {
      piece = given
    },
    close() {
      isOver = true
    },
    error() {
      isOver = true
      isBroken = true
    },
  }
  try {
    while (!isOver) {
      piece = undefined
      await stream.pull(taker)
      if (left.aborted) stream.leave()
      else if (piece !== undefined && !writePiece(response, piece)) await drained(response, left)
    }
  } catch {
    isBroken = true
    stream.leave()
  }
  if (isBroken) cut(response)
  else if (!left.aborted) response.end()
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
