// Reads and checks requests below `__ds`.

import type { Asked } from '../../http/asked'
import { BrokenOffError, TooLargeError } from '../../http/body'
import { isRecord } from '../../util/record'
import { Refusal } from '../answers'
import { isOffset } from '../offsets'
import { checkId } from '../requests'
import { type Acknowledged, type Config, MOST_LINKS, type Word } from './state'

const MOST_BODY = 1 << 20
const MOST_ID_BYTES = 256
const MOST_TEXT = 1024
const LEASE_MS = 30_000

/** What is done with a subscription. */
export type Action = 'subscription' | 'streams' | 'stream' | 'callback' | 'claim' | 'ack' | 'release'

export interface Route {
  id: string
  action: Action
  /** The stream to take away. */
  path: string
}

export function invalid(message: string): Refusal {
  return new Refusal(400, 'INVALID_REQUEST', message)
}

/** What a path names, after `__ds/`; `'jwks'` for the keys, undefined for nothing. */
export function routeOf(path: string): Route | 'jwks' | undefined {
  if (path === 'jwks.json') return 'jwks'
  const [kind, id, action, ...rest] = path.split('/')
  if (kind !== 'subscriptions' || !id) return undefined
  const route = { id: decoded(id), path: '' }
  if (Buffer.byteLength(route.id) > MOST_ID_BYTES || /\p{Cc}/u.test(route.id)) {
    throw invalid(`a subscription's id is 1 to ${MOST_ID_BYTES} bytes without control characters`)
  }
  if (action === undefined) return { ...route, action: 'subscription' }
  if (action === 'streams') {
    if (rest.length === 0) return { ...route, action }
    return { ...route, action: 'stream', path: pathOf(decoded(rest.join('/'))) }
  }
  const isKnown = action === 'callback' || action === 'claim' || action === 'ack' || action === 'release'
  return isKnown && rest.length === 0 ? { ...route, action } : undefined
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('the path is not well-formed')
  }
}

/** A stream's path, below the root of all streams. */
function pathOf(value: unknown): string {
  if (typeof value !== 'string') throw invalid('a stream is named by its path')
  const path = value.replace(/^\/+/, '')
  try {
    checkId(path)
  } catch (error) {
    throw invalid((error as Refusal).message)
  }
  return path
}

export async function jsonOf(asked: Asked): Promise<Record<string, unknown>> {
  let value: unknown
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await asked.bytes(MOST_BODY))
    value = text === '' ? {} : JSON.parse(text)
  } catch (error) {
    if (error instanceof TooLargeError) {
      throw new Refusal(413, 'INVALID_REQUEST', `a body is at most ${MOST_BODY} bytes`)
    }
    if (error instanceof BrokenOffError) throw invalid('the body broke off')
    if (error instanceof SyntaxError || error instanceof TypeError) throw invalid('the body is not JSON')
    throw error
  }
  if (isRecord(value)) return value
  throw invalid('the body is not a JSON object')
}

export function streamsIn({ streams }: Record<string, unknown>): string[] {
  if (!Array.isArray(streams) || streams.length === 0 || streams.length > MOST_LINKS) {
    throw invalid(`streams is a list of 1 to ${MOST_LINKS} paths`)
  }
  return [...new Set(streams.map(pathOf))]
}

export function configIn(body: Record<string, unknown>): Config {
  const { type, lease_ttl_ms: lease = LEASE_MS, webhook } = body
  if (type !== 'webhook' && type !== 'pull-wake') throw invalid('type is "webhook" or "pull-wake"')
  if (!Number.isInteger(lease) || (lease as number) < 1000 || (lease as number) > 600_000) {
    throw invalid('lease_ttl_ms is a whole number from 1000 to 600000')
  }
  const pattern = textIn(body, 'pattern')?.replace(/^\/+/, '') || null
  const streams = body.streams === undefined || isNothing(body.streams) ? [] : streamsIn(body)
  if (pattern === null && streams.length === 0) throw invalid('pattern or streams is needed')
  const url = type === 'webhook' ? (webhook as { url?: unknown } | null | undefined)?.url : null
  if (url !== null && typeof url !== 'string') throw invalid('a webhook needs webhook.url')
  const wake = type === 'pull-wake' ? body.wake_stream : null
  if (wake !== null && (typeof wake !== 'string' || wake === '')) throw invalid('pull-wake needs wake_stream')
  return {
    type,
    pattern,
    streams,
    url,
    wakeStream: wake === null ? null : pathOf(wake),
    leaseMs: lease as number,
    description: textIn(body, 'description'),
  }
}

function isNothing(streams: unknown): boolean {
  return streams === null || (Array.isArray(streams) && streams.length === 0)
}

function textIn(body: Record<string, unknown>, name: string): string | null {
  const value = body[name] ?? null
  if (value === null || (typeof value === 'string' && Buffer.byteLength(value) <= MOST_TEXT)) return value
  throw invalid(`${name} is a text of at most ${MOST_TEXT} bytes`)
}

/** The name of the worker that claims. */
export function workerIn({ worker }: Record<string, unknown>): string {
  if (typeof worker === 'string' && worker !== '' && Buffer.byteLength(worker) <= 256) return worker
  throw invalid('worker is a text of 1 to 256 bytes')
}

/** What a worker says of its wake. */
export function wordIn(body: Record<string, unknown>): Word {
  const { wake_id: wakeId, generation, acks = [], done = false } = body
  if (typeof wakeId !== 'string' || typeof generation !== 'number') {
    throw invalid('wake_id and generation are needed')
  }
  if (!Array.isArray(acks) || acks.length > MOST_LINKS) throw invalid(`acks are at most ${MOST_LINKS}`)
  return { wakeId, generation, acks: acks.map(ackIn), isDone: done === true }
}

function ackIn(value: unknown): Acknowledged {
  const { stream, path, offset } = (value ?? {}) as Record<string, unknown>
  if (isOffset(offset)) return { stream: pathOf(stream ?? path), offset }
  throw new Refusal(409, 'INVALID_OFFSET', 'an offset is one that this server has given')
}

/** The token of a wake, which stands in the place of any other permission. */
export function tokenIn({ headers }: Asked): string {
  const [, token] = /^Bearer +(\S+)$/i.exec(headers.get('authorization') ?? '') ?? []
  if (token !== undefined) return token
  throw new Refusal(401, 'TOKEN_INVALID', "the wake's token is needed", { 'WWW-Authenticate': 'Bearer' })
}
