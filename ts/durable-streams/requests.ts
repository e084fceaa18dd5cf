// Reads and checks requests of the Durable Streams protocol.

import type { ChunkData } from '../../index'
import type { Asked } from '../http/asked'
import { BrokenOffError, TooLargeError } from '../http/body'
import { Refusal } from './answers'
import { messagesOf } from './messages'
import { forkPositionOf } from './offsets'

const MAX_ID_BYTES = 512

type Headers = Asked['headers']

/** The stream's id: all of the path after the prefix, including slashes. */
export function idOf(url: URL, prefix: string): string {
  if (!url.pathname.startsWith(prefix)) throw new Refusal(404, 'not_found', 'there is nothing here')
  let id: string
  try {
    id = decodeURIComponent(url.pathname.slice(prefix.length))
  } catch {
    throw new Refusal(400, 'bad_id', 'the path is not well-formed')
  }
  checkId(id)
  return id
}

/** Refuses what no stream can be named. */
export function checkId(id: string): void {
  const isBad =
    id === '' || /\p{Cc}/u.test(id) || Buffer.byteLength(id) > MAX_ID_BYTES || /(^|\/)\.\.?(\/|$)/.test(id)
  if (isBad)
    throw new Refusal(
      400,
      'bad_id',
      `a stream's id is 1 to ${MAX_ID_BYTES} bytes without control characters, "." or ".." between slashes`,
    )
  if (id === '__ds' || id.startsWith('__ds/'))
    throw new Refusal(404, 'not_found', 'there are no reserved streams')
}

/** A body up to a limit. */
export async function bodyOf(asked: Asked, limit: number): Promise<Uint8Array> {
  if (asked.hasBody) checkCodings(asked.headers)
  try {
    return await asked.bytes(limit)
  } catch (error) {
    if (error instanceof TooLargeError) {
      throw new Refusal(413, 'too_large', `a body is at most ${limit} bytes`)
    }
    if (error instanceof BrokenOffError) throw new Refusal(400, 'bad_body', 'the body broke off')
    throw error
  }
}

/** What is stored are the bytes that come: readers would take a compressed body for the stream's own content. */
function checkCodings(headers: Headers): void {
  const codings = { content: headers.get('content-encoding'), transfer: headers.get('transfer-encoding') }
  if (!isOnly(codings.content, 'identity')) {
    throw new Refusal(415, 'bad_encoding', 'a body has no Content-Encoding', {
      'Accept-Encoding': 'identity',
    })
  }
  if (!isOnly(codings.transfer, 'chunked')) {
    throw new Refusal(501, 'bad_encoding', 'a body has no Transfer-Encoding but chunked')
  }
}

const isOnly = (given: string | null, coding: string): boolean =>
  given === null || given === '' || given.trim().toLowerCase() === coding

/**
 * Refuses conditions that cannot be checked in the step that writes: whoever sends one must not take it for met. Answers have tags, the
 * streams that are written have none.
 */
export function checkConditions({ method, headers }: Asked): void {
  const tag = headers.get('if-match')
  // Whatever is appended to or deleted exists.
  if (tag !== null && (tag.trim() !== '*' || method === 'PUT')) {
    throw new Refusal(412, 'bad_condition', 'a stream has no tag; use Stream-Seq or Producer-Id')
  }
  if (method !== 'PUT' && isForNew(headers)) {
    throw new Refusal(412, 'bad_condition', 'whatever is appended to or deleted exists')
  }
  if (headers.get('stream-expected-offset') !== null) {
    throw new Refusal(
      501,
      'bad_condition',
      'Stream-Expected-Offset is not supported; use Stream-Seq or Producer-Id',
    )
  }
}

/** Whether it is only for a stream that there is not yet. */
export function isForNew(headers: Headers): boolean {
  return headers.get('if-none-match')?.trim() === '*'
}

export function isJson(contentType: string | undefined): boolean {
  return contentType?.split(';')[0]?.trim().toLowerCase() === 'application/json'
}

/** The chunks that a body appends. */
export function chunksOf(body: Uint8Array, contentType: string | undefined): ChunkData[] {
  if (body.byteLength === 0) return []
  return isJson(contentType) ? messagesOf(body) : [body]
}

export interface Numbered {
  id: string
  epoch: number
  seq: number
}

export function producerOf(headers: Headers): Numbered | null {
  const names = ['Producer-Id', 'Producer-Epoch', 'Producer-Seq']
  const [id, epoch, seq] = names.map((name) => headers.get(name))
  if (id == null && epoch == null && seq == null) return null
  if (!id || epoch == null || seq == null) {
    throw new Refusal(
      400,
      'bad_producer',
      'Producer-Id, Producer-Epoch and Producer-Seq go together, and none is empty',
    )
  }
  if (Buffer.byteLength(id) > 256) throw new Refusal(400, 'bad_producer', 'Producer-Id is at most 256 bytes')
  return { id, epoch: counted(epoch, 'Producer-Epoch'), seq: counted(seq, 'Producer-Seq') }
}

function counted(text: string, name: string): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(number)) return number
  throw new Refusal(400, 'bad_producer', `${name} is a whole number from 0 to 2^53 - 1`)
}

export function orderOf(headers: Headers): string | null {
  const order = headers.get('Stream-Seq')
  if (order !== null && (order === '' || order.length > 1024)) {
    throw new Refusal(400, 'bad_seq', 'Stream-Seq has 1 to 1024 characters')
  }
  return order
}

export function isClosing(headers: Headers): boolean {
  return headers.get('Stream-Closed')?.trim().toLowerCase() === 'true'
}

/** What the headers of a fork ask for. */
export interface Forking {
  source: string
  /** A cursor or `'start'`; null: the end. */
  at: string | null
  /** How many messages, or bytes, of what follows are added. */
  part: number
}

export function forkingOf({ url, headers }: Asked, prefix: string): Forking | null {
  const [from, offset, sub] = ['Stream-Forked-From', 'Stream-Fork-Offset', 'Stream-Fork-Sub-Offset'].map(
    (name) => headers.get(name),
  )
  if (from == null) {
    if (offset == null && sub == null) return null
    throw new Refusal(400, 'bad_fork', 'Stream-Fork-Offset and -Sub-Offset go with Stream-Forked-From')
  }
  const at = offset == null ? null : forkPositionOf(offset)
  if (at === undefined) {
    throw new Refusal(400, 'bad_offset', 'Stream-Fork-Offset is one that this server has given')
  }
  const part = /^(0|[1-9]\d{0,15})$/.test(sub ?? '0') ? Number(sub ?? '0') : Number.NaN
  if (!Number.isSafeInteger(part) || (part > 0 && at === null)) {
    throw new Refusal(
      400,
      'bad_fork',
      'Stream-Fork-Sub-Offset is a whole number from 0 on, and goes with Stream-Fork-Offset',
    )
  }
  return { source: sourceOf(from, url, prefix), at, part }
}

/** The id of the stream to fork, from its path. Streams of another server cannot be forked. */
function sourceOf(path: string, url: URL, prefix: string): string {
  if (!path.startsWith('/') || !URL.canParse(path, url.origin)) {
    throw new Refusal(400, 'bad_fork', 'Stream-Forked-From is the path of a stream of this server')
  }
  const source = new URL(path, url.origin)
  if (source.origin !== url.origin) {
    throw new Refusal(400, 'bad_fork', 'a stream of another server cannot be forked')
  }
  return idOf(source, prefix)
}

/** The lifetime that a request asks for. */
export function lifetimeOf(headers: Headers): { ttlMs: number | null; expiresAt: number | null } {
  const [ttl, end] = [headers.get('Stream-TTL'), headers.get('Stream-Expires-At')]
  if (ttl !== null && end !== null) {
    throw new Refusal(400, 'bad_ttl', 'Stream-TTL and Stream-Expires-At exclude each other')
  }
  const ttlMs = ttl === null ? null : Number(/^(0|[1-9]\d{0,9})$/.test(ttl) ? ttl : Number.NaN) * 1000
  if (Number.isNaN(ttlMs)) throw new Refusal(400, 'bad_ttl', 'Stream-TTL is a whole number of seconds')
  const expiresAt = end === null ? null : isTime(end) ? Date.parse(end) : Number.NaN
  if (Number.isNaN(expiresAt) || (expiresAt ?? 0) < 0) {
    throw new Refusal(400, 'bad_ttl', 'Stream-Expires-At is a time as in 2030-01-02T03:04:05Z')
  }
  return { ttlMs, expiresAt }
}

/** A day that its month does not have would be taken for one of the next month, and hour 24 for one of the next day. */
function isTime(text: string): boolean {
  const isForm = /^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text)
  return isForm && new Date(text.slice(0, 10)).getUTCDate() === Number(text.slice(8, 10))
}
