// GET and HEAD.

import type { Log, LookedAt } from '../core/log'
import { NOWHERE, TidemarkError } from '../errors/errors'
import type { Answer, Asked } from '../http/asked'
import { BYTES } from '../options/log-options'
import { cursorBefore } from '../util/cursor'
import { answer, Refusal } from './answers'
import { arrayOf, bytesOf } from './bodies'
import { eventStream } from './events'
import { cacheCursor, offsetAt, offsetOf, positionOf } from './offsets'
import { isJson } from './requests'
import type { Farewell, Waiting } from './waiting'
import { missing } from './writing'

export interface ReadLimits {
  /** Ends live reading. */
  farewell: Farewell
  waiting: Waiting
  longPollMs: number
  sseMs: number
}

export async function head(log: Log): Promise<Answer> {
  const status = await log.check()
  if (status === null) throw await missing(log)
  const { ttlMs = null, expiresAt = null, contentType = BYTES } = status.log ?? {}
  return answer(200, {
    'Content-Type': contentType,
    'Cache-Control': 'no-store',
    'Stream-Next-Offset': offsetAt(status.generation, status.lastSeq, status.log?.fork?.origins),
    // In whole seconds; logs that were not created over HTTP may have others.
    'Stream-TTL': ttlMs === null ? undefined : String(Math.ceil(ttlMs / 1000)),
    'Stream-Expires-At': expiresAt === null ? undefined : new Date(expiresAt).toISOString(),
    'Stream-Closed': status.state === 'active' ? undefined : 'true',
    'Stream-Outcome': status.state === 'active' ? undefined : status.state,
  })
}

export async function read(log: Log, asked: Asked, limits: ReadLimits): Promise<Answer> {
  const { searchParams } = asked.url
  const live = searchParams.get('live')
  const offsets = searchParams.getAll('offset')
  const from = offsets.length > 1 ? undefined : positionOf(offsets[0] ?? '-1')
  const isLive = live === 'long-poll' || live === 'sse'
  if (from === undefined || (isLive && offsets.length === 0)) {
    throw new Refusal(400, 'bad_offset', 'offset is -1, now, or one that this server has given')
  }
  const cursor = cacheCursor(searchParams.get('cursor'))
  if (live === 'long-poll') return poll(log, from, cursor, asked, limits)
  const page = await found(log, log.look({ from }, NOWHERE))
  if (live === 'sse') return eventStream(log, page, cursor, asked, limits.farewell, limits.sseMs)
  return catchUp(page, asked, offsets[0] === 'now')
}

/** A page, which is refused when it or its stream is not there. */
async function found(log: Log, looked: Promise<LookedAt | null>): Promise<LookedAt> {
  try {
    const page = await looked
    if (page !== null) return page
  } catch (error) {
    if (!(error instanceof TidemarkError) || error.code !== 'ERR_GAP') throw error
    throw new Refusal(410, 'gone', 'what comes after the offset is not there any more', {
      'Cache-Control': 'no-store',
    })
  }
  throw await missing(log)
}

function fieldsOf(page: LookedAt) {
  return {
    'Content-Type': page.contentType ?? BYTES,
    // A page of whoever has made the stream is not one of the application's.
    'Content-Security-Policy': isJson(page.contentType) ? undefined : 'sandbox',
    'Stream-Next-Offset': offsetOf(page.next, page.origins),
    'Stream-Up-To-Date': page.upToDate ? 'true' : undefined,
    'Stream-Closed': page.closed ? 'true' : undefined,
    'Stream-Outcome': page.outcome,
  }
}

function bodyOf({ chunks, contentType }: LookedAt): Uint8Array | string {
  return isJson(contentType) ? arrayOf(chunks) : bytesOf(chunks)
}

function catchUp(page: LookedAt, asked: Asked, isNow: boolean): Answer {
  if (isNow) return answer(200, { ...fieldsOf(page), 'Cache-Control': 'no-store' }, bodyOf(page))
  return tagged(page, asked, { ...fieldsOf(page), 'Cache-Control': 'private, no-cache' })
}

/** A page with its tag, which changes when the stream is closed; without the page, if the client has it. */
function tagged(page: LookedAt, { headers }: Asked, fields: Record<string, string | undefined>): Answer {
  const start = page.chunks[0] === undefined ? page.next : cursorBefore(page.chunks[0])
  const tag = `"${offsetOf(start, page.origins)}:${offsetOf(page.next, page.origins)}${page.closed ? ':c' : ''}"`
  const all = { ...fields, ETag: tag }
  const known = headers.get('if-none-match')?.split(',') ?? []
  const isKnown = known.some((each) => ['*', tag].includes(each.trim().replace(/^W\//, '')))
  return isKnown ? answer(304, all) : answer(200, all, bodyOf(page))
}

async function poll(
  log: Log,
  from: string,
  cursor: string,
  asked: Asked,
  { waiting, longPollMs }: ReadLimits,
): Promise<Answer> {
  let room = waiting.known(log, from)
  let at = from
  if (room === undefined) {
    const page = await found(log, waiting.look(log, from))
    if (page.chunks.length > 0 || page.closed) return polled(page, cursor, asked, from)
    room = await waiting.room(log, page)
    at = page.next
  }
  const page = await room.growth(at, asked, longPollMs)
  return polled(page ?? (await found(log, waiting.look(log, at, room))), cursor, asked, from)
}

function polled(page: LookedAt, cursor: string, asked: Asked, from: string): Answer {
  const fields = { ...fieldsOf(page), 'Stream-Cursor': cursor, 'Cache-Control': 'no-store' }
  if (page.chunks.length === 0) {
    return answer(204, { ...fields, 'Content-Type': undefined, 'Content-Security-Policy': undefined })
  }
  // The same request may be about something else the next time.
  return from === 'now' ? answer(200, fields, bodyOf(page)) : tagged(page, asked, fields)
}
