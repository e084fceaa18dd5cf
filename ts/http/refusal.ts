import type { ErrorCode } from '../../index'
import { GapError, TidemarkError } from '../errors/errors'
import { type OnError, wordsOf } from '../errors/wording'
import { TooLargeError } from './body'

const STATUS: Partial<Record<ErrorCode, number>> = {
  ERR_INVALID_ARGUMENT: 400,
  ERR_FORBIDDEN: 403,
  ERR_NOT_FOUND: 404,
  ERR_ACTIVE: 409,
  ERR_GAP: 410,
  ERR_CONNECTION: 503,
  ERR_TIMEOUT: 503,
  ERR_STORE: 503,
  ERR_CLOSED: 503,
}

/** For errors whose own messages name servers, users and commands; `src/sse/framing.rs` has the same. */
const NEUTRAL: Partial<Record<ErrorCode, string>> = {
  ERR_CONNECTION: 'the store cannot be reached',
  ERR_TIMEOUT: 'the store did not answer in time',
  ERR_STORE: 'the store refused',
}

/**
 * An error as a response: only for errors that {@link Engine.respond} documents; others are thrown. `onError` gets errors
 * whose messages the response leaves out.
 */
export function refusal(error: unknown, onError: OnError | undefined, headers?: Headers): Response {
  const status = statusOf(error)
  if (status === undefined) throw error
  report(error, onError)
  const { code, message } = error as TidemarkError
  const resume = error instanceof GapError ? { resume: error.resume } : {}
  const response = Response.json({ code, message: NEUTRAL[code] ?? message, ...resume }, { status })
  if (headers !== undefined) addHeaders(response.headers, headers)
  response.headers.set('content-type', 'application/json')
  response.headers.set('cache-control', 'no-store')
  if (status === 503) response.headers.set('retry-after', '1')
  return response
}

/** Each replaces those of its name; cookies, of which there may be many, are one header each. */
export function addHeaders(all: Headers, given: Headers): void {
  for (const [name, value] of given) if (name !== 'set-cookie') all.set(name, value)
  for (const cookie of given.getSetCookie()) all.append('set-cookie', cookie)
}

/** Reports an error of which the client gets only the code. */
export function report(error: unknown, onError: OnError | undefined): void {
  if (error instanceof TidemarkError && NEUTRAL[error.code] !== undefined) wordsOf(error, onError)
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof TooLargeError) return 413
  return error instanceof TidemarkError ? STATUS[error.code] : undefined
}
