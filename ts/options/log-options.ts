// The options of a log's calls.

import { types } from 'node:util'
import type { ChunkData } from '../../index'
import { invalidArgument } from '../errors/errors'
import type { AppendArgs, PageArgs } from './args'
import { type Check, duration, flag, integer, list, object, refuse, text } from './checks'
import { MAX_CHUNK_BYTES, refuseChunk } from './chunk'
import { from as checkFrom, DEFAULT_WAIT_MS, metadata, owner, signal, streamId, wait } from './fields'
import type { Config } from './options'
import { type Following, followed } from './read'

const MOST_CHUNKS = 65_536
/** The most bytes that several chunks of one append may have together. */
export const MOST_TOGETHER = 1 << 20
const PAGE_BYTES = 256 * 1024

/** The media type that a log has by default: bytes. */
export const BYTES = 'application/octet-stream'

export const contentType: Check<string> = (value, field) => {
  const isType = typeof value === 'string' && /^[\x20-\x7e]{1,256}$/.test(value) && value.trim() !== ''
  return isType ? value : refuse(field, 'a media type of 1 to 256 printable ASCII characters', value)
}

const logOptions = object({
  contentType,
  ttl: duration('1s', '36500d'),
  expiresAt,
  owner,
  metadata,
})

const producer = object({
  id: text(1, 256),
  epoch: integer(0, Number.MAX_SAFE_INTEGER, 'an epoch'),
  seq: integer(0, Number.MAX_SAFE_INTEGER, 'appends'),
})
const appendOptions = object({ close: flag, mustExist: flag, producer, order: text(1, 1024) })
const pageOptions = object({
  from,
  limit: integer(1, MOST_CHUNKS, 'chunks'),
  maxBytes: integer(1, PAGE_BYTES, 'bytes'),
})
const forkOptions = object({
  at: checkFrom,
  part: integer(0, Number.MAX_SAFE_INTEGER, 'messages or bytes'),
  sourceOwner: owner,
  close: flag,
})
const readOptions = object({ from, signal, wait })

/** How a log is created, and who may use it. */
export interface LogArgs {
  streamId: string
  owner: string | null
  create: Omit<NonNullable<AppendArgs['create']>, 'isCompared' | 'keepMs'>
  /** How long a log without a fixed end is kept after its last use. */
  keepMs: number
  /** Whether a content type was given. */
  hasType: boolean
}

export function logArgs(id: unknown, given: unknown, config: Config): LogArgs {
  const stream = streamId(id, 'streamId')
  const options = logOptions(given, 'options')
  if (options.ttl !== undefined && options.expiresAt !== undefined) {
    throw invalidArgument('options.expiresAt', 'cannot be given together with ttl')
  }
  return {
    streamId: stream,
    owner: options.owner ?? null,
    create: {
      contentType: options.contentType ?? BYTES,
      ttlMs: options.ttl ?? null,
      expiresAt: options.expiresAt ?? null,
      metadata: options.metadata ?? null,
    },
    keepMs: options.ttl ?? config.ttlActiveMs,
    hasType: options.contentType !== undefined,
  }
}

/** The chunks of an append, in the form in which they cross. */
export interface Payload {
  /** `length << 1 | isText` of each. */
  tags: readonly number[]
  /** All of them, one after the other. */
  data: Uint8Array
}

export function appendArgs(log: LogArgs, given: unknown): AppendArgs {
  const options = appendOptions(given, 'options')
  const { id, epoch, seq } = options.producer ?? {}
  if (options.producer !== undefined && (id === undefined || epoch === undefined || seq === undefined)) {
    throw invalidArgument('options.producer', 'needs id, epoch and seq')
  }
  return {
    streamId: log.streamId,
    owner: log.owner,
    create: options.mustExist ? null : creation(log, false),
    producer: (options.producer as AppendArgs['producer'] | undefined) ?? null,
    order: options.order ?? null,
    contentType: log.hasType ? log.create.contentType : null,
    generation: null,
    close: options.close ?? false,
    isPatient: true,
    fork: null,
  }
}

export function forkArgs(
  log: LogArgs,
  source: unknown,
  given: unknown,
): { fork: NonNullable<AppendArgs['fork']>; close: boolean } {
  const { at, part, sourceOwner, close } = forkOptions(given, 'options')
  return {
    fork: {
      source: streamId(source, 'source'),
      owner: sourceOwner ?? log.owner,
      at: at === undefined || at === 'now' ? null : at,
      part: part ?? 0,
      hasType: log.hasType,
    },
    close: close ?? false,
  }
}

/** How the log is created. One that expires at a fixed time is kept until then; if that has passed, for 1 ms. */
export function creation(log: LogArgs, isCompared: boolean): NonNullable<AppendArgs['create']> {
  const { expiresAt } = log.create
  const keepMs = expiresAt === null ? log.keepMs : Math.max(1, expiresAt - Date.now())
  return { ...log.create, keepMs, isCompared }
}

export function payload(given: unknown, field: string): Payload {
  const chunks = list(given, field) as readonly ChunkData[]
  if (chunks.length > MOST_CHUNKS) {
    throw invalidArgument(field, `must be at most ${MOST_CHUNKS} chunks, got ${chunks.length}`)
  }
  const parts = chunks.map((chunk) => {
    if (typeof chunk === 'string') return Buffer.from(chunk)
    return types.isUint8Array(chunk) ? chunk : refuseChunk(chunk)
  })
  const total = parts.reduce((sum, part) => sum + part.byteLength, 0)
  const most = parts.length === 1 ? MAX_CHUNK_BYTES : MOST_TOGETHER
  if (total > most) {
    throw invalidArgument(
      field,
      `must be at most ${MOST_TOGETHER} bytes together (1 MiB), or one chunk of at most ${MAX_CHUNK_BYTES} (32 MiB), got ${total}`,
    )
  }
  const tags = parts.map(
    (part, index) => (part.byteLength << 1) | (typeof chunks[index] === 'string' ? 1 : 0),
  )
  const [first] = parts
  // A copy, since the caller may change its bytes; those of a text are nobody else's.
  const isOwn = first !== undefined && parts.length === 1 && typeof chunks[0] === 'string'
  return { tags, data: isOwn ? first : Buffer.concat(parts, total) }
}

export function pageArgs(log: LogArgs, given: unknown): PageArgs {
  const options = pageOptions(given, 'options')
  return {
    streamId: log.streamId,
    from: options.from ?? 'start',
    maxBytes: options.maxBytes ?? PAGE_BYTES,
    limit: options.limit ?? MOST_CHUNKS,
    owner: log.owner,
  }
}

/** The options with which a log is followed. */
export function readArgs(log: LogArgs, given: unknown): Following {
  const { signal, ...options } = readOptions(given, 'options')
  const args = followed(log.streamId, { ...options, owner: log.owner ?? undefined }, DEFAULT_WAIT_MS, true)
  return { args, signal, isAuto: true }
}

/** `'start'`, `'now'`, a cursor, or the index of a chunk. */
function from(value: unknown, field: string): string {
  if (typeof value !== 'number') return checkFrom(value, field)
  if (Number.isSafeInteger(value)) return `#${value}`
  return refuse(field, 'a whole number, from 0 or, from the end, negative', value)
}

function expiresAt(value: unknown, field: string): number {
  const time = value instanceof Date ? value.getTime() : value
  // Later ones are no times of JavaScript's.
  if (typeof time === 'number' && Number.isInteger(time) && time >= 0 && time <= 8.64e15) return time
  return refuse(field, 'a Date, or milliseconds since 1970', value)
}
