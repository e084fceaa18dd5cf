import type { Duration, Outcome } from '../../index'
import type { Events } from '../schema/events'
import type { StreamMessage } from '../schema/message-events'

/** The data of a run. */
export interface MessageChunkStreamData {
  /** The stream's id, 1–512 bytes of UTF-8. Generated if it is missing. */
  chatId: string
  /** The user's message: written as the `userMessage` event, and answered by the built-in text. */
  userContent: string
  type: 'demo' | 'ai' | 'conversation'
  /** Pause between the pieces of the built-in text, in milliseconds. A `source` sets its own pace. */
  intervalMs: number
  /** The most pieces of the built-in text. Default 20. */
  maxChunks?: number
  /** Kept in the stream's metadata. It does not restrict access; the option `owner` does. */
  ownerId?: string
  /** The caller's own; nothing here reads it. */
  // biome-ignore lint/suspicious/noExplicitAny: callers read and write it without casts
  config?: Record<string, any>
  /** Stops the run: at once if it is set at the start, else before the next piece. */
  shouldStop?: boolean
  /** Filled in when the run is stopped: ISO text. */
  stoppedAt?: string
}

/** The text of a real model, in pieces as they come. A function gets a signal that a stop aborts. */
export type MessageSource =
  | AsyncIterable<string>
  | ReadableStream<string>
  | ((signal: AbortSignal) => AsyncIterable<string> | ReadableStream<string>)

/** The definition with which events are validated. Default: `messageEvents` of `tidemark/schema`. */
// biome-ignore lint/suspicious/noExplicitAny: any definition will do, and its types are of no concern here
export type MessageSchema = Events<any, unknown>

export interface StartOptions {
  /** Replaces the built-in text. */
  source?: MessageSource | undefined
  /** Stops the run when it is aborted. */
  signal?: AbortSignal | undefined
  /** How long the stream is kept after the last write, and after its end. Default: the environment's, else one hour. */
  ttlSeconds?: number | undefined
  /** Validates each event before it is written; `false`: nothing does. */
  schema?: MessageSchema | false | undefined
  /** Who may follow and stop the stream: compared with `owner` there. */
  owner?: string | undefined
  /** Called when the run fails. Default: emits a warning on the process. */
  onError?: ((error: unknown) => void) | undefined
}

/** The promise of a chat's id, with the rest of the run on it. */
export interface MessageChunkStreamRun extends Promise<string> {
  /** How the run ended. Rejects when it failed; need not be awaited. */
  readonly finished: Promise<Outcome>
}

export interface SubscribeOptions {
  /** Ends the loop by throwing the signal's reason. */
  signal?: AbortSignal | undefined
  /**
   * `'start'`, `'now'`, or the `cursor` of a subscription, to continue after the events that it has yielded. Default: the user's
   * position, if there is a `userId`, else `'start'`.
   */
  from?: 'start' | 'now' | (string & {}) | undefined
  /** ISO date: only events that were stored at or after it. */
  fromTimestamp?: string | undefined
  /** Must equal the owner given at the start, if one was. */
  owner?: string | undefined
  /** Whose progress is kept: without `from`, the loop continues after the events that this user has seen on any device. */
  userId?: string | undefined
  /** How long to wait for a chat that does not exist yet before `ERR_NOT_FOUND`. Default `'30s'`. */
  wait?: Duration | undefined
  /** What happens to an event that does not fit: as in `tidemark/schema`. Default `'off'`: nothing is validated. */
  validate?: 'strict' | 'drop' | 'off' | undefined
  schema?: MessageSchema | undefined
}

/** The events of a chat, and how it ended. */
export interface MessageSubscription extends AsyncGenerator<StreamMessage, undefined, undefined> {
  /** The current position: pass it as `from` to continue after the last event that was yielded. */
  readonly cursor: string | undefined
  /** How the run ended, once every event was yielded. */
  readonly outcome: Outcome | undefined
  /** Why: the stop's reason, the failure's message … */
  readonly reason: string | undefined
}

export interface StopOptions {
  /** Must equal the owner given at the start, if one was. */
  owner?: string | undefined
}

export interface StreamQueueOptions {
  /** How long events are collected before they are sent, in milliseconds, at most 10,000. Default: not at all. */
  batchTimeMs?: number
  /** The most events that are collected. Default 100. */
  maxBatchSize?: number
  /** How long the stream is kept after the last event. Default: the environment's, else one hour. */
  expireAfterSeconds?: number
  /** Stops the chat when it is aborted. */
  signal?: AbortSignal | undefined
  /** Validates each event before it is written; `false`: nothing does. */
  schema?: MessageSchema | false | undefined
  /** Who may follow and stop the stream: compared with `owner` there. */
  owner?: string | undefined
}

export interface StreamQueue {
  /**
   * Writes an event, in the order of the calls. Resolves when the event is queued, which is at once unless the queue is full.
   * Rejects when the event does not fit its schema, and when the chat cannot be written to: it cannot be started, was stopped or
   * taken over, or Redis has refused an earlier event.
   */
  enqueue(event: StreamMessage): Promise<void>
  /** Writes the remaining events and ends the chat's stream. Rejects if any event was not written. */
  cleanup(): Promise<void>
  /** Aborted by a stop, and when the chat cannot be written to any more. */
  readonly signal: AbortSignal
}

export interface ActiveMessageChunkStream {
  /** The chat's id. */
  streamId: string
  chatId: string
  /** The key of the stream. */
  jobId: string
}

export interface MessageChunkStreamMetrics {
  chatId: string
  totalEvents: number
  /** The same as `totalEvents`. */
  totalMessages: number
  isCompleted: boolean
  /** Until the stream expires. */
  ttlSeconds: number
  streamKey: string
  channelKey: string
  /** The first event's cursor. */
  firstMessageId: string | null
  /** The last event's cursor. */
  lastMessageId: string | null
  /** When the run began: ISO text. */
  oldestTimestamp: string | null
  /** When it was last written to: ISO text. */
  newestTimestamp: string | null
  /** Since the run began. */
  ageSeconds: number | null
  /** Encoded bytes of the run; null for a stream of the previous backend. */
  totalBytes: number | null
  averageEventBytes: number | null
  /** Approximate memory that the stream takes in the store; null in the list of all chats. */
  memoryBytes: number | null
  /** `active`, or how the run ended; null for a stream of the previous backend. */
  state: 'active' | Outcome | null
}

export interface AllMessageChunkStreamMetrics {
  totalChats: number
  chats: MessageChunkStreamMetrics[]
  /** Chats that are being written to. */
  activeStreams: number
  /** Readers of this process that came back with a cursor and were served from its memory, or from the store. */
  resumeHits: number
  resumeMisses: number
  /** Hits of all; null before the first. */
  resumeHitRatio: number | null
}

export interface CleanupOptions {
  /** Also remove chats that are being written. */
  force?: boolean | undefined
}

export interface CleanupResult {
  chatId: string
  /** A stream counts as one key; the previous backend's keys of the chat are added. */
  removedKeys: number
}

export interface CleanupAllResult {
  totalChats: number
  totalRemoved: number
  details: CleanupResult[]
}

export interface BatchedQueueOptions {
  /** The most milliseconds between a batch's first item and its handler call. Default 1000. */
  batchTimeMs?: number
  /** The most items of a batch. Default 100. */
  maxBatchSize?: number
}

export interface BatchedQueue<T> {
  /** Adds an item. The promise settles with its batch, and need not be awaited. */
  add(item: T): Promise<void>
  /** Hands over the items so far. Rejects if that fails, or if a batch since the last `flush` has failed. */
  flush(): Promise<void>
  /** Flushes and ends the queue: nothing can be added any more. */
  destroy(): Promise<void>
}
