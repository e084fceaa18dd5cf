import type { Duration, Outcome } from '../../index'
import type { Events } from '../schema/events'
import type { StreamMessage } from '../schema/message-events'

/** What a run is started with. */
export interface MessageChunkStreamData {
  /** Serves as the stream's id, 1–512 bytes of UTF-8. Made when it is missing. */
  chatId: string
  /** What the user said: the `userMessage` event, and what the built-in text answers. */
  userContent: string
  type: 'demo' | 'ai' | 'conversation'
  /** Pause between the pieces of the built-in text, in milliseconds. A `source` sets its own pace. */
  intervalMs: number
  /** At most so many pieces of the built-in text. Default 20. */
  maxChunks?: number
  /** Kept in the stream's metadata. It restricts nobody: that is what the option `owner` does. */
  ownerId?: string
  /** The caller's own; nothing here reads it. */
  // biome-ignore lint/suspicious/noExplicitAny: callers read and write it without casts
  config?: Record<string, any>
  /** Stops the run: at once when it is started with it, else before its next piece. */
  shouldStop?: boolean
  /** Filled in when the run is stopped: ISO text. */
  stoppedAt?: string
}

/** The text of a real model: pieces, as they come. A function is given a signal that a stop aborts. */
export type MessageSource =
  | AsyncIterable<string>
  | ReadableStream<string>
  | ((signal: AbortSignal) => AsyncIterable<string> | ReadableStream<string>)

/** What events are validated with; `messageEvents` of `tidemark/schema` unless told otherwise. */
// biome-ignore lint/suspicious/noExplicitAny: any definition will do, and its types are of no concern here
export type MessageSchema = Events<any, unknown>

export interface StartOptions {
  /** What is written instead of the built-in text. */
  source?: MessageSource | undefined
  /** Stops the run when it is aborted. */
  signal?: AbortSignal | undefined
  /** How long the stream is kept after the last write, and after its end. Default: the environment's, else one hour. */
  ttlSeconds?: number | undefined
  /** Validates each event before it is written; `false`: nothing does. */
  schema?: MessageSchema | false | undefined
  /** Who may follow and stop the stream: compared with `owner` there. */
  owner?: string | undefined
  /** Told when the run fails. Without it a warning is emitted on the process. */
  onError?: ((error: unknown) => void) | undefined
}

/** The promise of a chat's id, with the rest of the run on it. */
export interface MessageChunkStreamRun extends Promise<string> {
  /** How the run ended. Rejects when it failed; need not be awaited. */
  readonly finished: Promise<Outcome>
}

export interface SubscribeOptions {
  /** Ends the loop by throwing its reason. */
  signal?: AbortSignal | undefined
  /**
   * `'start'`, `'now'`, or the `cursor` of a subscription: go on after what it has yielded. Default: where the user has got
   * to, if there is a `userId`, else `'start'`.
   */
  from?: 'start' | 'now' | (string & {}) | undefined
  /** ISO date: only events that were stored at or after it. */
  fromTimestamp?: string | undefined
  /** Must equal the owner given at the start, if one was. */
  owner?: string | undefined
  /** Whose progress is kept: without `from` the loop goes on after what this user has seen, on whatever device. */
  userId?: string | undefined
  /** How long to wait for a chat that does not exist yet before `ERR_NOT_FOUND`. Default `'30s'`. */
  wait?: Duration | undefined
  /** What happens to an event that does not fit: as in `tidemark/schema`. Default `'off'`: nothing is validated. */
  validate?: 'strict' | 'drop' | 'off' | undefined
  schema?: MessageSchema | undefined
}

/** The events of a chat, and how it ended. */
export interface MessageSubscription extends AsyncGenerator<StreamMessage, undefined, undefined> {
  /** Where it is: pass it as `from` to go on after the last event that was yielded. */
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
  /** Events may gather for so long before they are sent, in milliseconds, at most 10,000. Default: not at all. */
  batchTimeMs?: number
  /** … but not more than so many. Default 100. */
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
   * Writes an event, in the order of the calls. Resolves when it was taken, which is at once unless the queue is full;
   * rejects when it does not fit its schema, and when the chat cannot be written to: it cannot be started, was stopped or
   * taken over, or an earlier event was refused by Redis.
   */
  enqueue(event: StreamMessage): Promise<void>
  /** Writes what is left and ends the chat's stream. Rejects when something was not written. */
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
  /** The same number. */
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
  /** What the stream takes of the store's memory, about; null in the list of all chats. */
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
  /** Remove also what is being written. */
  force?: boolean | undefined
}

export interface CleanupResult {
  chatId: string
  /** A stream counts as one, with the previous backend's keys of the chat on top. */
  removedKeys: number
}

export interface CleanupAllResult {
  totalChats: number
  totalRemoved: number
  details: CleanupResult[]
}

export interface BatchedQueueOptions {
  /** A batch is handed over at the latest so many milliseconds after its first item. Default 1000. */
  batchTimeMs?: number
  /** … or when it has so many items. Default 100. */
  maxBatchSize?: number
}

export interface BatchedQueue<T> {
  /** Adds an item. The promise settles with its batch, and need not be awaited. */
  add(item: T): Promise<void>
  /** Hands over what there is. Rejects when that fails, or a batch since the last `flush` has failed. */
  flush(): Promise<void>
  /** `flush`, and the end: nothing can be added any more. */
  destroy(): Promise<void>
}
