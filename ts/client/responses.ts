import { MAX_PAUSE_MS } from '../util/browser-timers.js'

/** Why a loop could not continue, or the error with which the stream ended. */
export class FollowError extends Error {
  /**
   * The server's code (`ERR_FAILED`, `ERR_INTERRUPTED`, `ERR_GAP`, `ERR_FORBIDDEN` …), `ERR_HTTP` if it has none or does not
   * answer with events, or `ERR_INVALID_ARGUMENT` for a URL or headers that cannot be requested.
   */
  readonly code: string
  /** The status of the response that ended the loop, else undefined. */
  readonly status: number | undefined
  /** With `ERR_GAP`: pass it as `from` to continue with the chunks that are left. */
  readonly resume: string | undefined

  /** @internal */
  constructor(message: string, code = 'ERR_HTTP', status?: number, resume?: string) {
    super(message)
    this.name = 'FollowError'
    this.code = code
    this.status = status
    this.resume = resume
  }
}

/** The result, or a final error without the original message, which may repeat a token or a password. */
export function sure<T>(make: () => T, problem: string, code = 'ERR_INVALID_ARGUMENT'): T {
  try {
    return make()
  } catch {
    throw new FollowError(problem, code)
  }
}

/** What a server has sent. */
export function read<T>(make: () => T): T {
  return sure(make, 'the server sent what cannot be read', 'ERR_HTTP')
}

/** The header of a response that is a UI message stream of the AI SDK. */
export const UI_MESSAGES = 'x-vercel-ai-ui-message-stream'

/** Whether a response is an event stream; one without a content type may be. */
export function isEventStream({ headers }: Response): boolean {
  return headers.has(UI_MESSAGES) || /^(text\/event-stream\b.*)?$/i.test(typeOf(headers))
}

/** Statuses that are worth a retry. */
export function isPassing(status: number): boolean {
  return status >= 500 || [408, 425, 429].includes(status)
}

/** The pause that the server asks for, in milliseconds; `Retry-After` gives it in seconds or as a date. */
export function retryAfter({ headers }: Response): number {
  const value = headers.get('retry-after') ?? ''
  const ms = Number.isNaN(+value) ? Date.parse(value) - Date.now() : +value * 1000
  return Math.min(Math.max(ms || 0, 0), MAX_PAUSE_MS)
}

/** The error of a refusal: from the JSON of `engine.respond`, or, for other bodies such as pages, from the status. */
export async function refusal(response: Response): Promise<FollowError> {
  const { status, headers } = response
  const isPage = status === 200
  const said: unknown = isPage ? {} : await response.json().catch(() => {})
  const word = (name: string): string | undefined => {
    const text = (said as Record<string, unknown> | null | undefined)?.[name]
    return typeof text === 'string' ? text : undefined
  }
  const seen = `the server answered with ${isPage ? typeOf(headers) : status}`
  return new FollowError(word('message') ?? seen, word('code'), status, word('resume'))
}

function typeOf(headers: Headers): string {
  return headers.get('content-type') ?? ''
}
