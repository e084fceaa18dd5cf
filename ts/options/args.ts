// What the public calls were asked for, checked and complete: most of it goes over the boundary as it is, as JSON.

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
  /** Whether a store that is known to be away is waited for. */
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
  /** The most chunks that may be delivered and not acknowledged, and for how long some may be; null: any. */
  window: number | null
  ackTimeoutMs: number | null
  /** To be delivered as server-sent events: the chunks of its DATA records are then pieces of the event stream. */
  sse: SseArgs | null
}

/** `src/binding/calls/logs.rs`. */
export interface AppendArgs {
  streamId: string
  owner: string | null
  /** Makes the log if it is not there; one that is there is only compared, or is written to. */
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
  close: boolean
  isPatient: boolean
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

/** What `Engine.pipe` was asked for, checked. */
export interface PipeArgs {
  start: ProduceArgs
  waitUntil: ((done: Promise<unknown>) => unknown) | undefined
  onError: OnError | undefined
}

/** What an event stream is told beside what to follow; `SseOptions`, checked. */
export interface Pace {
  /** 0: none. */
  heartbeatMs: number
  maxDurationMs: number | undefined
  /** Is told of errors whose words are not for clients. */
  onError: OnError | undefined
}
