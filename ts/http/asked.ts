// A request as handlers of our own see it. Requests of `node:http` need no web objects for that, which cost more than most answers.

import { bytesOf } from './body'
import { holding } from './holding'

export interface Asked {
  readonly method: string
  readonly url: URL
  readonly headers: { get(name: string): string | null }
  /** Whether there is a body, which may be empty. */
  readonly hasBody: boolean
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal
  /** Calls back when the client leaves, at once if it has; the result takes that back. */
  onLeave(tell: () => void): () => void
  /** The same request for the application. */
  readonly request: Request
  /** Reads the body; rejects with a `TooLargeError` if it has more bytes than this. */
  bytes(most: number): Promise<Uint8Array>
}

/** An answer that needs no web object on `node:http`. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | ReadableStream<Uint8Array> | null
}

/** Answers requests; a response of the application's is passed on. */
export type Answerer = (asked: Asked) => Promise<Answer | Response>

const answerers = new WeakMap<object, Answerer>()

/** A handler of web requests, which `toNodeListener` calls without any. */
export function webHandler(answerer: Answerer): (request: Request) => Promise<Response> {
  const handler = async (request: Request) => holding(request, responseOf(await answerer(askedOf(request))))
  answerers.set(handler, answerer)
  return handler
}

/** What a handler was made of by {@link webHandler}; any other one is given the web request. */
export function answererOf(handler: (request: Request) => Promise<Response>): Answerer {
  return answerers.get(handler) ?? (({ request }) => handler(request))
}

function askedOf(request: Request): Asked {
  const { method, headers } = request
  return {
    method,
    headers,
    request,
    url: new URL(request.url),
    get hasBody() {
      return request.body !== null
    },
    get signal() {
      return request.signal
    },
    onLeave(tell) {
      const { signal } = request
      signal.addEventListener('abort', tell)
      if (signal.aborted) tell()
      return () => signal.removeEventListener('abort', tell)
    },
    bytes: (most) => bytesOf(request, most),
  }
}

function responseOf(answer: Answer | Response): Response {
  if (answer instanceof Response) return answer
  const { status, headers, body } = answer
  return new Response(body as ConstructorParameters<typeof Response>[0], { status, headers })
}
