// The arguments of the public calls, checked and complete: most of them cross the boundary unchanged, as JSON.

import type { Outcome } from '../../index'
import type { OnError } from '../errors/wording'

export interface ProduceArgs {
  streamId: string
  owner: string | null
  /** A JSON text. */
  metadata: string | null
  ifActive: 'error' | 'takeover' | 'share' | 'continue'
  ifEnded: 'restart' | 'error'
  ttlActiveMs: number
  ttlDoneMs: number
  /** The engine's when null. */
  flushIntervalMs: number | null
  /** Whether to wait for a store that is known to be away; else it fails at once. */
  isPatient: boolean
}

export interface ConsumeArgs {
  /** Null: the finished generations of all streams. */
  streamId: string | null
  group: string
  consumer: string
  /** 'start', 'now' or a cursor: where the group begins, if it is new. */
  from: string
  batch: number
  claimIdleMs: number
  maxDeliveries: number
  owner: string | null
  waitMs: number
}

export interface AckArgs {
  streamId: string
  consumer: string
  cursor: string
  owner: string | null
  /** Whether to wait for a store that is known to be away. */
  isPatient: boolean
}

export interface SubscribeArgs {
  streamId: string
  /** 'start', 'now' or a cursor; null: the consumer's cursor, the start if it has none. */
  from: string | null
  consumer: string | null
  owner: string | null
  waitMs: number
  /** Whether to wait for a store that is known to be away; else it fails at once, unless the stream is produced here. */
  isPatient: boolean
  followAll: boolean
  /** The most chunks that may be delivered but not acknowledged, and for how long; null: unlimited. */
  window: number | null
  ackTimeoutMs: number | null
  /** To be delivered as server-sent events: the chunks of its DATA records are then pieces of the event stream. */
  sse: SseArgs | null
}

/** `src/binding/calls/logs.rs`. */
export interface AppendArgs {
  streamId: string
  owner: string | null
  /** Creates the log if it does not exist; an existing log is compared, or written to. */
  create: {
    contentType: string
    ttlMs: number | null
    /** Since 1970. */
    expiresAt: number | null
    keepMs: number
    metadata: string | null
    isCompared: boolean
  } | null
  producer: { id: string; epoch: number; seq: number } | null
  order: string | null
  /** Has to be the log's. */
  contentType: string | null
  /** Which the log has to be of; else nothing is written, and the answer is `renewed`. */
  generation: string | null
  close: boolean
  isPatient: boolean
  /** Makes it as a fork: of another log, up to a cursor or 'start', else its end, and so many messages or bytes more. */
  fork: { source: string; owner: string | null; at: string | null; part: number; hasType: boolean } | null
}

export interface PageArgs {
  streamId: string
  /** 'start', 'now', a cursor or '#' with an index. */
  from: string
  maxBytes: number
  limit: number
  owner: string | null
}

export interface SseArgs {
  format: 'events' | 'ui-messages'
  retryMs: number
  isMerged: boolean
  /** Chunks alone, but for the first so many: what opens and ends the response is not written. Null: all of it. */
  bareAfter: number | null
}

export interface SweepArgs {
  streamIds: string[]
  olderThanMs: number
  outcomes: Outcome[]
  force: boolean
  dryRun: boolean
}

/** Whose items they are. */
export interface Owned {
  streamId: string | null
  group: string
  owner: string | null
}

/** `Engine.acknowledge`'s options. */
export interface AcknowledgeArgs {
  streamId: string
  owner: string | undefined
  consumer: string | undefined
  onError: OnError | undefined
}

/** The options of `Engine.pipe`, checked. */
export interface PipeArgs {
  start: ProduceArgs
  waitUntil: ((done: Promise<unknown>) => unknown) | undefined
  onError: OnError | undefined
}

/** The options of an event stream beside those of the subscription: `SseOptions`, checked. */
export interface SseLimits {
  /** 0: none. */
  heartbeatMs: number
  maxDurationMs: number | undefined
  /** Called with errors whose messages are not for clients. */
  onError: OnError | undefined
}
