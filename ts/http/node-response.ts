// A web response, written to one of node:http or node:http2.

import type { ServerResponse } from 'node:http'
import type * as api from '../../index'
import { deferred } from '../util/deferred'
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
  if (body === null) response.end()
  else if (isHead) {
    response.end()
    if (body instanceof ReadableStream) await body.cancel()
  } else if (body instanceof ReadableStream) {
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
export function writeStream(
  response: api.ServerResponse,
  stream: EventStream,
  left: AbortSignal,
): Promise<void> {
  const writing = new Writing(response, stream, left)
  stream.pull(writing)
  return writing.done.promise
}

const READY = Promise.resolve()

/** An event stream on its way to a response; no promise is made for each piece. */
class Writing implements Taker {
  readonly done = deferred<void>()
  readonly #response: api.ServerResponse
  readonly #stream: EventStream
  readonly #left: AbortSignal
  /** What was given and is not written yet; nothing: the end. */
  #piece: Uint8Array | undefined
  #isBroken = false

  constructor(response: api.ServerResponse, stream: EventStream, left: AbortSignal) {
    this.#response = response
    this.#stream = stream
    this.#left = left
  }

  enqueue(piece: Uint8Array): void {
    this.#piece = piece
    this.close()
  }

  close(): void {
    // What is given within a drain is written after it: a response may be anybody's, and throw.
    READY.then(this.#write)
  }

  error(): void {
    this.#isBroken = true
    this.close()
  }

  readonly #write = (): void => {
    const piece = this.#piece
    this.#piece = undefined
    if (piece !== undefined && !this.#left.aborted) this.#pass(piece)
    else this.#end()
  }

  #pass(piece: Uint8Array): void {
    try {
      if (writePiece(this.#response, piece)) this.#stream.pull(this)
      else drained(this.#response, this.#left).then(this.#next, this.#fail)
    } catch {
      this.#fail()
    }
  }

  readonly #next = (): void => {
    if (this.#left.aborted) this.#end()
    else this.#stream.pull(this)
  }

  readonly #fail = (): void => {
    this.#isBroken = true
    this.#end()
  }

  #end(): void {
    this.#stream.leave()
    try {
      if (this.#isBroken) cut(this.#response)
      else if (!this.#left.aborted) this.#response.end()
      this.done.resolve()
    } catch (error) {
      this.done.reject(error)
    }
  }
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
