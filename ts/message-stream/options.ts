import { callback, flag, integer, object, oneOf, refuse } from '../options/checks'
import { consumer, from, owner, signal, wait } from '../options/fields'
import { checkSource } from '../options/source'
import type { MessageSchema, MessageSource } from './types'

/** The engine gathers for no longer. */
const MAX_FLUSH_MS = 10_000

const seconds = integer(1, 365 * 86_400, 'seconds')
const many = integer(1, 1_000_000, 'items')
const milliseconds = integer(0, 3_600_000, 'milliseconds')
const batches = { batchTimeMs: milliseconds, maxBatchSize: many }

export const startOptions = object({
  source,
  signal,
  ttlSeconds: seconds,
  schema,
  owner,
  onError: callback<unknown>,
})

export const subscribeOptions = object({
  signal,
  from,
  fromTimestamp: time,
  owner,
  userId: consumer,
  wait,
  validate: oneOf('strict', 'drop', 'off'),
  schema: events,
})

export const batchedQueueOptions = object(batches)
export const queueOptions = object({
  batchTimeMs: flushInterval,
  maxBatchSize: many,
  expireAfterSeconds: seconds,
  signal,
  schema,
  owner,
})
export const stopOptions = object({ owner })
export const cleanupOptions = object({ force: flag })

/** The reason of a caller's abort as that of a stop. */
export function reasonOf(reason: unknown): string {
  return reason instanceof Error ? reason.message.slice(0, 256) : ''
}

function flushInterval(value: unknown, field: string): number {
  return Math.min(milliseconds(value, field), MAX_FLUSH_MS)
}

function source(value: unknown, field: string): MessageSource {
  if (typeof value !== 'function') checkSource(value, field)
  return value as MessageSource
}

function events(value: unknown, field: string): MessageSchema {
  if (typeof (value as Partial<MessageSchema> | null)?.parse === 'function') return value as MessageSchema
  return refuse(field, 'what defineEvents returns', value)
}

function schema(value: unknown, field: string): MessageSchema | false {
  return value === false ? value : events(value, field)
}

/** Milliseconds since 1970. */
function time(value: unknown, field: string): number {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(ms) ? refuse(field, 'an ISO date', value) : ms
}
