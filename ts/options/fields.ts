// Fields that more than one call has.

import { invalidArgument } from '../errors/errors'
import { isCursor } from '../util/cursor'
import { type Check, duration, integer, object, refuse, text } from './checks'

/** The longest reason of a stop or a failure, in bytes of UTF-8. */
export const MAX_REASON_BYTES = 1024
const MAX_METADATA_BYTES = 64 * 1024

export type Signalled = { signal: AbortSignal | undefined }

export const owner: Check<string> = text(1, 512)
export const consumer: Check<string> = text(1, 256)
export const reason = text(0, MAX_REASON_BYTES)
export const wait: Check<number> = duration('0ms', '1d')
export const flushIntervalMs = integer(0, 10_000, 'milliseconds')

const lifetime = duration('1s', '365d')
/** The smallest TTL that may be given as a number without a unit. */
const LEAST_BARE_TTL_MS = 60_000

export const ttl = object({ active: life, done: life })

/** 1–512 bytes of UTF-8. */
export const streamId: Check<string> = text(1, 512)
export const DEFAULT_WAIT_MS = 30_000
export const maxDurationMs: Check<number> = integer(1, 86_400_000, 'milliseconds')

/** Options passed as the second argument; no argument may follow them. */
export function only(options: unknown, after: unknown): unknown {
  if (after === undefined) return options
  throw invalidArgument('options', 'must be the last argument')
}

/** How long keys live. A small number is refused, since whoever writes it means seconds, as `EX` and `ttlSeconds` take them. */
function life(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value < LEAST_BARE_TTL_MS) {
    const other = value < 1000 ? `'${value}m' for minutes` : `'${value}ms' for milliseconds`
    throw invalidArgument(
      field,
      `needs a unit below ${LEAST_BARE_TTL_MS}, got ${value}: '${value}s' for seconds, ${other}`,
    )
  }
  return lifetime(value, field)
}

export function metadata(value: unknown, field: string): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch (cause) {
    throw invalidArgument(field, `cannot be written as JSON: ${(cause as Error)?.message}`, { cause })
  }
  if (json === undefined) return refuse(field, 'something that JSON can express', value)
  const bytes = Buffer.byteLength(json)
  if (bytes <= MAX_METADATA_BYTES) return json
  throw invalidArgument(field, `must be at most ${MAX_METADATA_BYTES} bytes of JSON, got ${bytes}`)
}

/** `'start'`, `'now'` or a cursor. */
export function from(value: unknown, field: string): string {
  if (value === 'start' || value === 'now' || isCursor(value)) return value
  return refuse(field, `'start', 'now' or the cursor of a chunk`, value)
}

/** The cursor of a chunk. */
export function cursor(value: unknown, field: string): string {
  return isCursor(value) ? value : refuse(field, 'the cursor of a chunk', value)
}

export function signal(value: unknown, field: string): AbortSignal {
  const given = value as Partial<AbortSignal> | null
  if (typeof given?.aborted === 'boolean' && typeof given.addEventListener === 'function') {
    return given as AbortSignal
  }
  return refuse(field, 'an AbortSignal', value)
}

export function headers(value: unknown, field: string): Headers {
  try {
    if (typeof value === 'object' && value !== null)
      return new Headers(value as ConstructorParameters<typeof Headers>[0])
  } catch {
    // The error's message would repeat a value, which may be a session's cookie.
  }
  throw invalidArgument(field, 'must be headers as fetch takes them: valid names, and values of one line')
}
