import { MAX_PAUSE_MS } from '../util/browser-timers.js'

/** Why a loop could not go on, or with what the stream ended. */
export class FollowError extends Error {
  /**
   * The server's code (`ERR_FAILED`, `ERR_INTERRUPTED`, `ERR_GAP`, `ERR_FORBIDDEN` …), `ERR_HTTP` if it has none or does not
   * answer with events, or `ERR_INVALID_ARGUMENT` for what cannot be requested at all.
   */
  readonly code: string
  /** Of the response that ended the loop, else undefined. */
  readonly status: number | undefined
  /** With `ERR_GAP`: pass it as `from` to go on with what is left. */
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

/** Says of a response that it is a UI message stream of the AI SDK. */
export const UI_MESSAGES = 'x-vercel-ai-ui-message-stream'

/** Whether a response is what was asked for; one that says nothing of its kind may be. */
export function isEventStream({ headers }: Response): boolean {
  return headers.has(UI_MESSAGES) || /^(text\/event-stream\b.*)?$/i.test(typeOf(headers))
}

/** Statuses that may be others the next time. */
export function isPassing(status: number): boolean {
  return status >= 500 || [408, 425, 429].includes(status)
}

/** How long the server wants to be left alone, in milliseconds; it says so in seconds, or by a date. */
export function retryAfter({ headers }: Response): number {
  const value = headers.get('retry-after') ?? ''
  const ms = Number.isNaN(+value) ? Date.parse(value) - Date.now() : +value * 1000
  return Math.min(Math.max(ms || 0, 0), MAX_PAUSE_MS)
}

/** `engine.respond` says as JSON what it refuses; of others, such as pages, what can be seen is told. */
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
