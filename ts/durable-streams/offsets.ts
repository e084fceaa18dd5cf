// Offsets of Durable Streams: cursors, in a form that sorts as the chunks do.

import { cursorAt, generationOf, seqOf } from '../util/cursor'

const OFFSET = /^([0-7][0-9A-HJKMNP-TV-Z]{25})_(\d{16})$/
/** The protocol's own texts for the beginning and for what is beyond every end, which some clients know. */
export const FIRST = '0000000000000000_0000000000000000'
const BEYOND = '9999999999999999_9999999999999999'

/** Whether a text names a place in a stream, and not what is there by now. */
export function isOffset(text: unknown): text is string {
  return typeof text === 'string' && (text === FIRST || OFFSET.test(text))
}

/** The offset of a cursor. Chunks that a fork has inherited keep the offsets of the stream that they come from. */
export function offsetOf(cursor: string, origins?: readonly string[]): string {
  return offsetAt(generationOf(cursor), seqOf(cursor), origins)
}

/** The same of its parts. */
export function offsetAt(generation: string, seq: number, origins: readonly string[] = []): string {
  const origin = origins.find((origin) => seq <= seqOf(origin))
  return `${origin === undefined ? generation : generationOf(origin)}_${String(seq).padStart(16, '0')}`
}

/** The position of an offset; undefined if the text is none. */
export function positionOf(offset: string): string | undefined {
  if (offset === '-1' || offset === FIRST) return 'start'
  if (offset === 'now' || offset === BEYOND) return 'now'
  const [, generation, seq] = OFFSET.exec(offset) ?? []
  const number = Number(seq)
  return generation === undefined || !Number.isSafeInteger(number) ? undefined : cursorAt(generation, number)
}

/** The position of an offset at which to fork, where `-1` and `now` are not allowed; undefined if the text is none. */
export function forkPositionOf(offset: string): string | undefined {
  const position = offset === FIRST || OFFSET.test(offset) ? positionOf(offset) : undefined
  return (
    position ??
    (offset === BEYOND ? cursorAt('7ZZZZZZZZZZZZZZZZZZZZZZZZZ', Number.MAX_SAFE_INTEGER) : undefined)
  )
}

const EPOCH = Date.UTC(2024, 9, 9)
const INTERVAL_MS = 20_000

/** A text that keeps caches from answering a poll with an earlier poll's answer. It is not a position in the stream. */
export function cacheCursor(given: string | null): string {
  const now = Math.floor((Date.now() - EPOCH) / INTERVAL_MS)
  const known = given !== null && /^\d{1,15}$/.test(given) ? Number(given) : -1
  if (known < now) return String(now)
  const jitter = 1 + Math.floor(Math.random() * 3600)
  return String(known + Math.ceil((jitter * 1000) / INTERVAL_MS))
}
