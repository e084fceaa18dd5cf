// PUT and POST.

import type { ChunkData } from '../../index'
import type { Log } from '../core/log'
import { NOWHERE, TidemarkError } from '../errors/errors'
import type { Answer, Asked } from '../http/asked'
import type { LogAnswer } from '../native/native'
import type { AppendArgs } from '../options/args'
import { BYTES, contentType as checkType, payload } from '../options/log-options'
import { answer, Refusal } from './answers'
import { offsetAt } from './offsets'
import {
  bodyOf,
  chunksOf,
  type Forking,
  isClosing,
  isForNew,
  lifetimeOf,
  orderOf,
  producerOf,
} from './requests'

export interface WriteLimits {
  maxBodyBytes: number
  /** The lifetime of streams that were given none. */
  keepMs: number
}

type Head = NonNullable<LogAnswer['head']>

const next = ({ generation, seq, origins }: Head): string => offsetAt(generation, seq, origins)

const closedBy = (head: Head | null): string | undefined => (head?.end ? 'true' : undefined)

function typeOf(headers: Asked['headers']): string | undefined {
  const type = headers.get('content-type') ?? undefined
  if (type === undefined) return undefined
  try {
    return checkType(type, 'Content-Type')
  } catch {
    throw new Refusal(400, 'bad_type', 'Content-Type is a media type')
  }
}

async function write(log: Log, args: Partial<AppendArgs>, chunks: ChunkData[]) {
  try {
    return await log.attempt(args, payload(chunks, 'body'), NOWHERE)
  } catch (error) {
    if (error instanceof TidemarkError && error.code === 'ERR_INVALID_ARGUMENT') {
      throw new Refusal(413, 'too_large', 'the body is more than can be appended at once')
    }
    throw error
  }
}

/** A fork whose source the caller may read. */
export interface Fork extends Forking {
  log: Log
  owner: string | null
}

export async function create(
  log: Log,
  asked: Asked,
  limits: WriteLimits,
  fork: Fork | null,
): Promise<Answer> {
  const { headers } = asked
  const given = typeOf(headers)
  const lifetime = lifetimeOf(headers)
  const { ttlMs, expiresAt } = lifetime
  const keepMs = Math.max(1, expiresAt === null ? (ttlMs ?? limits.keepMs) : expiresAt - Date.now())
  const body = await bodyOf(asked, limits.maxBodyBytes)
  const close = isClosing(headers)
  const inherited = given === undefined && fork !== null ? (await fork.log.status())?.log : undefined
  const contentType = given ?? inherited?.contentType ?? BYTES
  const made = { contentType, ...lifetime, keepMs, metadata: null, isCompared: true }
  const chunks = chunksOf(body, contentType)
  const from = fork && {
    source: fork.source,
    owner: fork.owner,
    at: fork.at,
    part: fork.part,
    hasType: given !== undefined,
  }
  const { outcome, head, isNew } = await write(log, { create: made, close, fork: from }, chunks)
  if (isForNew(headers) && isThere(outcome)) {
    throw new Refusal(412, 'exists', 'there is a stream already')
  }
  if (head === null || (outcome !== 'written' && outcome !== 'exists')) throw notMade(outcome)
  const isMade = isNew === true
  return answer(isMade ? 201 : 200, {
    Location: isMade ? locationOf(asked.url) : undefined,
    'Content-Type': contentType,
    'Stream-Next-Offset': next(head),
    'Stream-Closed': closedBy(head),
  })
}

function isThere(outcome: LogAnswer['outcome']): boolean {
  return outcome === 'exists' || outcome === 'conflict' || outcome === 'other'
}

function notMade(outcome: LogAnswer['outcome']): Refusal {
  switch (outcome) {
    case 'kept':
      return new Refusal(409, 'conflict', 'there was a stream, which has forks')
    case 'noSource':
      return new Refusal(404, 'not_found', 'there is no stream to fork')
    case 'sourceKept':
      return new Refusal(409, 'conflict', 'the stream to fork was deleted')
    case 'crowded':
      return new Refusal(409, 'crowded', 'the stream to fork has as many forks as it can')
    case 'noPlace':
      return new Refusal(400, 'bad_offset', 'the stream to fork has no such place')
    case 'contentType':
      return new Refusal(409, 'content_type', 'the stream to fork has another content type')
    case 'other':
      return new Refusal(409, 'not_a_log', 'a stream that has a producer of its own')
    default:
      return new Refusal(409, 'conflict', 'there is a stream with another configuration')
  }
}

function locationOf({ origin, pathname }: URL): string {
  return `${origin}${pathname}`
}

export async function append(log: Log, asked: Asked, limits: WriteLimits): Promise<Answer> {
  const { headers } = asked
  const close = isClosing(headers)
  const body = await bodyOf(asked, limits.maxBodyBytes)
  try {
    const contentType = typeOf(headers)
    if (body.byteLength === 0 && !close) throw new Refusal(400, 'empty', 'there is nothing to append')
    if (body.byteLength > 0 && contentType === undefined) {
      throw new Refusal(400, 'bad_type', 'a body has a Content-Type')
    }
    const producer = producerOf(headers)
    const args = {
      close,
      producer,
      order: orderOf(headers),
      contentType: body.byteLength > 0 ? (contentType ?? null) : null,
    }
    const chunks = chunksOf(body, contentType)
    if (body.byteLength > 0 && chunks.length === 0) {
      throw new Refusal(400, 'empty', 'there is nothing to append')
    }
    const done = await write(log, args, chunks)
    if (done.head === null) throw await missing(log)
    return written(done, producer, done.head, body.byteLength > 0)
  } catch (error) {
    // In the protocol, what is wrong with the stream comes before what is wrong with the request.
    if (error instanceof Refusal && error.status === 400) await checkStream(log)
    throw error
  }
}

async function checkStream(log: Log): Promise<void> {
  const status = await log.status()
  if (status === null) throw await missing(log)
  if (status.state === 'active') return
  throw closed(offsetAt(status.generation, status.lastSeq, status.log?.fork?.origins))
}

export async function missing(log: Log): Promise<Refusal> {
  if (await log.isKept()) {
    const headers = { 'Cache-Control': 'no-store' }
    return new Refusal(410, 'gone', 'the stream was deleted; its forks are there', headers)
  }
  return new Refusal(404, 'not_found', 'there is no such stream')
}

function closed(offset: string): Refusal {
  const headers = { 'Stream-Closed': 'true', 'Stream-Next-Offset': offset }
  return new Refusal(409, 'closed', 'the stream is closed', headers)
}

function written(done: LogAnswer, producer: AppendArgs['producer'], head: Head, hasBody: boolean): Answer {
  const { outcome } = done
  const accepted = (status: number, epoch: number | undefined, seq: number | undefined) =>
    answer(status, {
      'Stream-Next-Offset': next(head),
      'Stream-Closed': closedBy(head),
      'Stream-Stop': shown(head.stop),
      'Producer-Epoch': epoch?.toString(),
      'Producer-Seq': seq?.toString(),
    })
  switch (outcome) {
    case 'written':
      return accepted(producer !== null && hasBody ? 200 : 204, producer?.epoch, producer?.seq)
    case 'duplicate':
      return accepted(204, done.epoch, done.seq)
    case 'closed':
      throw closed(next(head))
    case 'contentType':
      throw new Refusal(409, 'content_type', 'the stream has another content type')
    case 'stale':
      throw new Refusal(403, 'fenced', 'the producer was replaced by a later epoch', {
        'Producer-Epoch': String(done.epoch),
      })
    case 'begin':
      throw new Refusal(400, 'bad_producer', 'a new epoch begins with Producer-Seq 0')
    case 'skipped':
      throw new Refusal(409, 'gap', 'an append of the producer is missing before this one', {
        'Producer-Expected-Seq': String(done.expected),
        'Producer-Received-Seq': String(producer?.seq),
      })
    case 'disorder':
      throw new Refusal(409, 'order', "Stream-Seq is not greater than the last append's", {
        'Stream-Next-Offset': next(head),
      })
    case 'other':
      throw new Refusal(409, 'not_a_log', 'the stream has a producer of its own')
    default:
      throw new Refusal(503, 'unavailable', 'the append was not written', { 'Retry-After': '1' })
  }
}

/** The reason of a stop, in the characters of a header. */
function shown(reason: string | null): string | undefined {
  return reason === null ? undefined : encodeURIComponent(reason)
}
