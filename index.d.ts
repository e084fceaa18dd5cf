// Long, since it is the manual: the whole public interface in one place, in the order in which it is met.

/**
 * Tidemark: resumable streams for AI chat.
 *
 * ```ts
 * import { createEngine } from 'tidemark'
 *
 * const engine = createEngine()                       // TIDEMARK_URL, REDIS_URL, KV_URL, else memory
 * const producer = await engine.produce(chatId)
 * for await (const token of model) producer.write(token)
 * await producer.complete()
 *
 * for await (const chunk of engine.subscribe(chatId, { signal })) send(chunk.data)
 * ```
 *
 * A method that returns a promise reports every error by rejecting it. The others (`createEngine`, `subscribe`, `pipe`,
 * `write`) throw {@link InvalidArgumentError} at once; later errors end the loop or the stream that they returned.
 * An {@link InvalidArgumentError} means that nothing was done. Every error has a stable {@link TidemarkError.code}.
 *
 * @packageDocumentation
 */

import type { EventEmitter } from 'node:events'
import type { ServerResponse as Http1Response } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'

/** Whole milliseconds, or a whole number with a unit: `'250ms'`, `'90s'`, `'30m'`, `'1h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/**
 * What one `write` publishes: text or bytes, at most 32 MiB (text is counted in UTF-8).
 *
 * Text may be cut anywhere. If a chunk ends with half a surrogate pair, that half is kept and begins the same producer's next
 * chunk of text, so that readers never get half a character. If the next chunk does not begin with the other half, or bytes or the
 * end come first, the half becomes U+FFFD, as every other lone half does. A chunk that is only a first half is an empty chunk.
 */
export type ChunkData = string | Uint8Array

/** How a generation ended. */
export type Outcome = 'complete' | 'failed' | 'stopped' | 'interrupted'

/**
 * The connection to the store: `idle` until the first use, `connecting`, `ready`; `reconnecting` once a connection is lost;
 * `degraded` when reconnecting has failed (live answers continue from memory, writes queue up); `closed`. There are two connections: while
 * only the one for live messages is away, calls that need no messages work all the same (`status`, `stop`, `delete`, appends, starts), once
 * the server has answered one of them.
 */
export type ConnectionState = 'idle' | 'connecting' | 'ready' | 'reconnecting' | 'degraded' | 'closed'

/**
 * How long a stream's keys live; the command that creates a key also sets its TTL. 1 s to 365 days. A number is in
 * milliseconds; below 60,000 it is refused, since it was probably meant in seconds: write `'3600s'` or `'1h'`.
 */
export interface Ttl {
  /** From the last write of a live stream. Default `'1h'`, or `TIDEMARK_TTL_ACTIVE_SECONDS`. */
  active?: Duration | undefined
  /** From the end of a finished stream. Default `'1h'`, or `TIDEMARK_TTL_DONE_SECONDS`. */
  done?: Duration | undefined
}

/** Certificates or a key in PEM: text or a Buffer, at most 1 MiB; any other text around them is ignored. */
export type Pem = string | Uint8Array

/** The names and meanings are those of `node:tls`, and a server that Node.js accepts with the same `ca` is accepted. */
export interface TlsOptions {
  /**
   * Certificates to trust instead of the well-known authorities (Mozilla's list, compiled in): those of the authorities that have
   * signed the servers' certificates, or self-signed ones; or `'system'` for the authorities that the operating system
   * trusts; or a list of these. The file that `NODE_EXTRA_CA_CERTS` names is added to the well-known ones and to the system's.
   */
  ca?: Pem | 'system' | readonly (Pem | 'system')[] | undefined
  /** The client's own certificate, for servers that ask for one, followed by any intermediate ones. Needs `key`. */
  cert?: Pem | undefined
  /** Its private key. */
  key?: Pem | undefined
  /** Decrypts `key`. */
  passphrase?: string | undefined
  /** The name that the servers' certificates must have, also sent to the servers (SNI). Default: the URL's host. */
  servername?: string | undefined
  /** `false` trusts every server; the process warns once (`TIDEMARK_TLS`). Default `true`. */
  rejectUnauthorized?: boolean | undefined
}

/** The user and password for Redis. */
export interface Credentials {
  /** Default: the user of the URL, if it has one. */
  username?: string | undefined
  /** A password, or a token that is used as one. */
  password: string
}

export interface EngineOptions {
  /**
   * - `redis://[user[:password]@]host[:port][/db]`
   * - `redis+sentinel://[user:password@]host[:port][,host[:port]…]/<master name>[/db]`: the hosts are sentinels, by default at
   *   port 26379; user and password are those of the primary, and the sentinels' own are
   *   `?sentinelUser=…&sentinelPassword=…`
   * - `redis+cluster://[user:password@]host[:port][,host[:port]…]`: a few of the cluster's servers
   * - `unix:///path/of/a/socket[?db=…]`, or the path alone
   * - `memory:`, one store per process; `memory:name` is another
   *
   * `rediss` instead of `redis`, or `?tls=true`, means TLS to all servers; `?family=4` or `6` uses only IPv4 or IPv6 addresses of
   * the host; `?db=` also selects the database. Parameters for other clients are ignored, with one warning
   * (`TIDEMARK_URL`). Default: the environment's `TIDEMARK_URL`, `REDIS_URL` or `KV_URL`, else `memory:`.
   */
  url?: string | undefined
  /**
   * Within a process, a new engine replaces an earlier one with the same name, which is closed once no producer writes through it
   * any more. For development servers, which evaluate a module again on every save. 1–200 bytes; default: none, so that engines
   * exist side by side.
   */
  name?: string | undefined
  /** Options for a URL with TLS. */
  tls?: TlsOptions | undefined
  /**
   * Returns user and password for each new connection, for tokens that expire (IAM, Entra ID); also for the servers of a
   * cluster and for the primary that sentinels name. If it throws, the result is an `ERR_CONNECTION` with only the error's name and
   * code, and the next attempt calls it again. Engines with the same function share connections.
   */
  credentials?: (() => Credentials | Promise<Credentials>) | undefined
  /**
   * The prefix of every key and channel; 1–64 characters without braces, control characters or white space. Default `'tidemark'`.
   * In front of a stream's id, `:` and `%` of the prefix are written as `%3A` and `%25`.
   */
  keyPrefix?: string | undefined
  /** Default for every stream. */
  ttl?: Ttl | undefined
  /**
   * A producer is considered dead when its lease is not renewed for this long; its readers get `interrupted` at most 2 s
   * later. The native side renews the lease, so a busy event loop does not lose it. 1 s to 10 min, default `'10s'`.
   */
  lease?: Duration | undefined
  /** How long a producer may write closing chunks after a stop before the engine ends it. 0 to 1 min, default `'1s'`. */
  stopGrace?: Duration | undefined
  /** How long an operation waits for a connection before `ERR_CONNECTION`. 10 ms to 10 min, default `'5s'`. */
  connectTimeout?: Duration | undefined
  /** How long an operation waits for an answer before the connection is given up. 10 ms to 10 min, default `'3s'`. */
  commandTimeout?: Duration | undefined
  /** How long consumers' cursors are collected, in milliseconds, before they are stored together. 0 to 10,000, default 250. */
  ackIntervalMs?: number | undefined
  /**
   * For how many milliseconds after a delivery the following live chunks are collected, for all readers of the process together, since
   * waking the event loop costs more than the chunks themselves. The first chunk after a pause, eight streams or responses, 32 KiB, ends, stops and results
   * of calls are delivered at once. 0 wakes the event loop for each chunk. 0 to 1000, default 1.
   */
  deliveryIntervalMs?: number | undefined
  /**
   * For how many milliseconds after some chunks were sent the following ones are collected, of all producers of the engine together,
   * since waking its thread and Redis costs more than the chunks themselves. The first chunk after a pause, 8 KiB or more, more than
   * 16 chunks at once, those of `append`, and what comes before `flush`, `ready` or an end are sent at once. Chunks of streams that nobody
   * reads are collected for 64 ms, or until there are 64 KiB or 512 of them (not with a `stopGrace` below 250 ms). 0 sends each turn's chunks by themselves. 0 to 1000, default 2.
   */
  writeIntervalMs?: number | undefined
  /** Extra milliseconds for which each producer's chunks are collected before they are sent; 0 (the default) sends at once. At most 10,000. */
  flushIntervalMs?: number | undefined
  /**
   * Bytes that may wait in one producer's queue, for instance while Redis is away. Each chunk counts 32 bytes more than its size, and
   * one of `append` another 256, which is about the memory that it takes. Above a quarter of the limit `write` returns false, above the
   * limit it throws `ERR_BACKPRESSURE`. A chunk that is larger than the queue is accepted when nothing else is waiting. 1 MiB to 1 GiB,
   * default 8 MiB.
   */
  maxQueueBytes?: number | undefined
  /**
   * Whether streams are sealed: the older part of a live stream and all of a finished one are kept as a few gzip frames,
   * at about an eighth of their size. A number from 1 to 9 is gzip's level, which is 2 at most while chunks come
   * faster than they can be written. Default `true`, which is level 6.
   */
  compression?: boolean | number | undefined
  /**
   * Logs connections lost and made, takeovers, expired leases, lost data and whether it was restored, clean-ups, and
   * errors that no call reports; see {@link LogEntry}. Entries name streams, generations and causes, never payloads, owners or
   * secrets. Also published on the channel `tidemark:log` of `node:diagnostics_channel` (at `info`, if it has subscribers when
   * the engine is created and no other level is set). Default: with `TIDEMARK_LOG=<level>`, lines on stderr; otherwise nothing.
   */
  log?: LogOptions | undefined
  /**
   * Closes the engine, as {@link Engine.close} does, when the process gets one of these signals: readers learn of the end at once, and
   * responses end. Afterwards the process exits as it would have without this option; if there are other listeners for the signal,
   * they decide how and when it exits. In the main thread only. Default: none.
   */
  closeOnSignals?: ('SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGQUIT' | 'SIGUSR2')[] | undefined
}

export type LogLevel = 'off' | 'error' | 'warn' | 'info' | 'debug' | 'trace'

export interface LogOptions {
  /** The least severe level to log. Default `TIDEMARK_LOG`, else `'info'`. */
  level?: LogLevel | undefined
  /** Called once with each entry, no matter which engine of the process it concerns. Default: writes a line to stderr. */
  write?: ((entry: LogEntry) => void) | undefined
}

/** An event in this process. Further fields depend on the message, and may change. */
export interface LogEntry {
  /** Milliseconds since 1970. */
  time: number
  level: Exclude<LogLevel, 'off'>
  message: string
  streamId?: string
  generation?: string
  seq?: number
  /** Host and port. */
  server?: string
  cause?: string
  /** How many entries before this one were dropped, because they came faster than they were read. */
  missed?: number
  [field: string]: unknown
}

/**
 * Creates an engine. It connects when it is first used; engines with the same URL share their connections.
 *
 * @example
 * ```ts
 * const engine = createEngine({ url: 'redis://localhost:6379', ttl: { active: '1h', done: '1d' } })
 * engine.on('state', (state, reason) => console.log(state, reason))
 * ```
 */
export function createEngine(options?: EngineOptions): Engine

export interface ProduceOptions {
  /** Who may follow, stop and continue this stream: checked by `subscribe`, `stop` and `produce`. 1–512 bytes. */
  owner?: string | undefined
  /** Anything that `JSON.stringify` takes, up to 64 KiB; shown by `status`. */
  metadata?: unknown
  /**
   * If the stream has a live producer: `'error'` (default) rejects with `ERR_ACTIVE`; `'takeover'` ends its generation as
   * interrupted and fences it; `'continue'` fences it and continues its generation after the last chunk, see
   * {@link Producer.continued}: readers notice nothing; `'share'` joins it, if it was started with `'share'` too: each chunk gets
   * its own seq. At most 1,000 producers can share a generation; the next one gets `ERR_STORE`.
   *
   * A producer whose process has died or is frozen counts as live until some process notices that its lease has expired, and ends
   * its generation as interrupted. That end is final: a later start, even with `'continue'`, depends on `ifEnded`. A shared generation
   * and a log cannot be continued (`ERR_ACTIVE`). A continued generation keeps the `metadata` and `ttl` that it began with.
   */
  ifActive?: 'error' | 'takeover' | 'share' | 'continue' | undefined
  /** If the stream has ended: `'restart'` (default) starts another generation, `'error'` rejects with `ERR_ENDED`. */
  ifEnded?: 'restart' | 'error' | undefined
  /** Overrides the engine's. */
  ttl?: Ttl | undefined
  /** Overrides the engine's. */
  flushIntervalMs?: number | undefined
}

export interface SubscribeOptions {
  /**
   * `'start'` of the current or last generation, `'now'`, or the cursor of the last chunk seen. The default is the
   * consumer's cursor, if there is a `consumer` and it has one, else `'start'`.
   */
  from?: 'start' | 'now' | (string & {}) | undefined
  /**
   * Ends the loop by throwing the signal's reason. The stream and its producer are not affected. If it is a request's, keep the
   * request itself, not a clone, until the loop ends: Node tells a request's signal of nothing once nobody holds the request
   * (nodejs/node#55428).
   */
  signal?: AbortSignal | undefined
  /** Must equal the owner given at the start, if one was. */
  owner?: string | undefined
  /**
   * Whose progress this is, for instance a user's on any device. 1–256 bytes, at most 1000 consumers for each stream.
   * Without `from` the loop continues where the consumer left off: first with the unseen rest of the previous generation,
   * then with the current one to its end.
   */
  consumer?: string | undefined
  /**
   * How chunks are acknowledged, for the `consumer` or the `window`: with `'auto'` (default) each one when the loop asks for the
   * next, with `'manual'` by {@link Subscription.ack} and {@link Engine.ack}. Cursors are stored every `ackIntervalMs`.
   */
  ack?: 'auto' | 'manual' | undefined
  /**
   * The most chunks that may be delivered but not acknowledged. Then the loop waits, and nothing is buffered for it beyond
   * the window. An acknowledgement of the same `consumer` on another server counts too, half a second later. 1 to
   * 1,000,000, default unbounded.
   */
  window?: number | undefined
  /**
   * Ends the loop with `ERR_ACK_TIMEOUT` when chunks are outstanding and none is acknowledged for this many milliseconds.
   * Needs `ack: 'manual'`. 1 to 86,400,000, default never.
   */
  ackTimeoutMs?: number | undefined
  /** How long to wait for a stream that does not exist yet before `ERR_NOT_FOUND`. 0 to 1 day, default `'30s'`. */
  wait?: Duration | undefined
  /**
   * `'generation'` (default) ends with the generation; `'all'` continues into the next ones, until aborted. The current and
   * the previous generation are kept: a reader that falls further behind gets `ERR_GAP`.
   */
  follow?: 'generation' | 'all' | undefined
}

export interface TextOptions {
  /** `'start'` (default) of the current or last generation, `'now'`, or a cursor: the text begins after it. */
  from?: SubscribeOptions['from']
  /** Must equal the owner given at the start, if one was. */
  owner?: string | undefined
  /** When aborted, the call rejects with the signal's reason. The stream and its producer are not affected. */
  signal?: AbortSignal | undefined
  /** How long to wait for the end, whether or not the stream has begun, before `ERR_TIMEOUT`. 1 ms to 1 day, default: no limit. */
  timeout?: Duration | undefined
  /** How long to wait for a stream that does not exist yet before `ERR_NOT_FOUND`. 0 to 1 day, default `'30s'`. */
  wait?: Duration | undefined
  /**
   * `'text'` (default): the chunks are the text; bytes are decoded as UTF-8, even if a character is split between two chunks.
   * `'ui-messages'`: the chunks are the AI SDK's, as `tidemark/next` writes them, and the text is the message's text parts.
   */
  format?: 'text' | 'ui-messages' | undefined
}

export interface ResultOptions<Message = never> extends TextOptions {
  /**
   * Builds a message from the chunks, each of which is a JSON text: gets a stream of the parsed chunks and yields
   * the message so far; the last one counts. `readUIMessageStream` of `ai` is such a function:
   * `reduce: (stream) => readUIMessageStream({ stream })`.
   */
  reduce?: ((stream: ReadableStream<never>) => AsyncIterable<Message>) | undefined
}

/** A generation that has ended, as a whole. */
export interface StreamResult<Message = never> {
  readonly outcome: Outcome
  /** Why it ended: the stop's reason, the failure's message … */
  readonly reason: string | undefined
  /** The cursor of the last chunk, if there is one. */
  readonly cursor: string | undefined
  readonly chunks: readonly Chunk[]
  /** What {@link Engine.text} returns. */
  readonly text: string
  /** What `reduce` has built from the chunks; undefined without it, or if it yielded nothing. */
  readonly message: Message | undefined
}

/** Options of the consumers of all groups. */
export interface GroupOptions {
  /**
   * The group's name, 1–256 bytes. Its consumers share the work: each item goes to one of them. The first consumer creates the group;
   * there are at most 100.
   */
  group: string
  /** The name of this consumer within the group: one per process. 1–256 bytes. */
  consumer: string
  /**
   * Milliseconds after which an unacknowledged item is redelivered to the next consumer that asks. Make it longer than a `batch`
   * takes. 1 to 86,400,000, default 60,000.
   */
  claimIdleMs?: number | undefined
  /** An item that was delivered this often but never acknowledged becomes a dead letter. Default 5. */
  maxDeliveries?: number | undefined
  /** The most items that are fetched at once and reserved for this consumer. 1 to 100, default 16. */
  batch?: number | undefined
  /** Ends the loop by throwing the signal's reason. */
  signal?: AbortSignal | undefined
}

export interface ConsumeOptions extends GroupOptions {
  /** Where a new group begins: `'start'` (default) of the current or last generation, `'now'`, or after a cursor. */
  from?: 'start' | 'now' | (string & {}) | undefined
  /** Must equal the owner given at the start, if one was. */
  owner?: string | undefined
  /** How long to wait for a stream that does not exist yet before `ERR_NOT_FOUND`. 0 to 1 day, default `'30s'`. */
  wait?: Duration | undefined
}

export interface FinishedOptions extends GroupOptions {
  /** Where a new group begins: `'start'` (default) with all generations in the queue, or `'now'`. */
  from?: 'start' | 'now' | undefined
}

export interface DeadLettersOptions {
  group: string
  /** Must equal the owner of the stream, if there is one. */
  owner?: string | undefined
}

/** A chunk that was delivered to one consumer of a group. */
export interface GroupItem extends Chunk {
  /** How often it was delivered, including this time. */
  readonly deliveries: number
  /** Marks it as done: it is not delivered again. Resolves once that is stored. */
  ack(): Promise<void>
}

/**
 * The loop of a group's consumer. It delivers each chunk at least once, and ends when the last generation has ended and the group
 * has acknowledged or given up every chunk: normally after `complete` and `stopped`, otherwise by throwing {@link FailedError}
 * or {@link InterruptedError}. A loop that is left gives back the items that it did not reach.
 */
export interface Consumption extends AsyncIterableIterator<GroupItem>, AsyncDisposable {
  readonly streamId: string
  /** How the last generation ended, once everything is done. */
  readonly outcome: Outcome | undefined
  readonly reason: string | undefined
  next(): Promise<IteratorResult<GroupItem, undefined>>
  return(): Promise<IteratorResult<GroupItem, undefined>>
  throw(error?: unknown): Promise<IteratorResult<GroupItem, undefined>>
}

/** A generation that has ended. */
export interface FinishedGeneration {
  readonly streamId: string
  readonly generation: string
  readonly outcome: Outcome
  readonly reason: string | null
  /** The cursor of its last chunk. Use `<generation>.0` as `from` to read all of it. */
  readonly cursor: string
  /** How often it was delivered, including this time. */
  readonly deliveries: number
  /** Marks it as done: this group does not get it again. Resolves once that is stored. */
  ack(): Promise<void>
}

/** A loop that waits for the next generation to end, until it is left or aborted. */
export interface FinishedQueue extends AsyncIterableIterator<FinishedGeneration>, AsyncDisposable {
  next(): Promise<IteratorResult<FinishedGeneration, undefined>>
  return(): Promise<IteratorResult<FinishedGeneration, undefined>>
  throw(error?: unknown): Promise<IteratorResult<FinishedGeneration, undefined>>
}

/** An item that was delivered too often. */
export interface DeadLetter {
  readonly deliveries: number
  /** Delivers it again, as if for the first time. */
  retry(): Promise<void>
  /** Removes it for good. */
  drop(): Promise<void>
}

export interface DeadChunk extends DeadLetter {
  readonly seq: number
  readonly cursor: string
  /** Null when it cannot be read any more. */
  readonly data: ChunkData | null
}

export interface DeadFinished extends DeadLetter, Omit<FinishedGeneration, 'ack'> {}

export interface PipeOptions extends ProduceOptions {
  /** Called with a promise that settles when the source is drained and the stream has ended; for serverless hosts. */
  waitUntil?: ((done: Promise<unknown>) => void) | undefined
  /**
   * Called once when the source fails; returns the reason that readers get with {@link FailedError}, at most 1 KiB. The client
   * that reads the returned stream gets the error itself. Default: logs the error and returns `'An error occurred.'`.
   */
  onError?: ((error: unknown) => string) | undefined
}

/** How a subscription is sent as server-sent events (docs/sse.md). */
export interface SseOptions {
  /**
   * `'events'` (default): chunks as messages, bytes as `bytes` (base64), the end as an `end` event. `'ui-messages'`: the
   * AI SDK's UI message stream, where every chunk is a JSON text and the end is `[DONE]`.
   */
  format?: 'events' | 'ui-messages' | undefined
  /**
   * `'merged'` (default for `'ui-messages'`): chunks written before the response began are replayed with adjacent
   * `text-delta`, `reasoning-delta` and `tool-input-delta` chunks of one part joined, up to 64 KiB each, so that a client
   * that renders every chunk is not flooded; if the cursor is inside a part, the part's start is sent again. Later chunks
   * are sent as they were written. `'exact'` (default for `'events'`): every chunk is sent as it was written.
   */
  replay?: 'merged' | 'exact' | undefined
  /** Interval of keep-alive comments while nothing else is sent, in milliseconds; they are not stored. 0 (none) to 1 h, default 15,000. */
  heartbeatMs?: number | undefined
  /** How long a browser's EventSource waits before it reconnects. 0 to 1 h, default 1000. */
  retryMs?: number | undefined
  /**
   * Ends the response after this many milliseconds, without a terminal event, so that the client reconnects. With `'ui-messages'`, the
   * response is broken off instead: its body rejects, which over HTTP is a lost connection, because the AI SDK takes a clean end for the
   * end of the answer. The same happens whenever such a response ends before its answer. 1 ms to 1 day.
   */
  maxDurationMs?: number | undefined
  /**
   * Called with a store error (`ERR_CONNECTION`, `ERR_TIMEOUT`, `ERR_STORE`) because of which the response is refused or ends for
   * good; the client gets only its code and a neutral message. Default: logs it.
   */
  onError?: ((error: unknown) => unknown) | undefined
}

export interface RespondOptions extends Omit<SubscribeOptions, 'ack'>, SseOptions {
  /** As for {@link Engine.subscribe}, but acknowledged with {@link Engine.ack}; needs a `consumer`. */
  window?: SubscribeOptions['window']
  /** As for {@link Engine.subscribe}; needs a `consumer`. */
  ackTimeoutMs?: SubscribeOptions['ackTimeoutMs']
  /** Where to begin if the request does not say. Default `'start'`. */
  from?: SubscribeOptions['from']
  /** Ends the response; so does the request's own signal. */
  signal?: AbortSignal | undefined
  /** How long to wait for a stream that does not exist yet before the status 404. 0 to 1 day, default `'5s'`. */
  wait?: Duration | undefined
  /** Added to the response's headers; they replace headers of the same name. */
  headers?: ConstructorParameters<typeof Headers>[0]
}

export interface AcknowledgeOptions {
  /** Must equal the owner given at the start, if one was. */
  owner?: string | undefined
  /** Whose progress it is. Default: taken from the request's body, which is safe only if clients may acknowledge for each other. */
  consumer?: string | undefined
  /** Called with a store error because of which the request is refused, as in {@link SseOptions}. Default: logs it. */
  onError?: ((error: unknown) => unknown) | undefined
}

/**
 * A web `Request`, or a request of `node:http` or Express, with its body unread or parsed. The body is the JSON
 * `{ cursor, consumer }`, at most 4 KiB.
 */
export type AcknowledgeRequest = { readonly body: unknown } | AsyncIterable<Uint8Array>

/** A web `Request`, or a request of `node:http` or Express. */
export interface StreamRequest {
  /** The query may hold one `cursor`. */
  readonly url?: string | undefined
  /** `Last-Event-ID` may hold a cursor. */
  readonly headers: Headers | Readonly<Record<string, string | string[] | undefined>>
  readonly signal?: AbortSignal | undefined
}

/** A response of `node:http`, `node:http2` or Express that has not begun. */
export type ServerResponse = Http1Response | Http2ServerResponse

/** What {@link Engine.pipe} reads: an async iterable, a web stream, or a function that gets the producer's signal. */
export type PipeSource =
  | AsyncIterable<ChunkData>
  | ReadableStream<ChunkData>
  | ((signal: AbortSignal) => AsyncIterable<ChunkData> | ReadableStream<ChunkData>)

export interface StreamStatus {
  streamId: string
  state: 'active' | Outcome
  /** Why it ended; null while active or when there is nothing to say. */
  reason: string | null
  generation: string
  /** The first seq of the current or last generation. */
  firstSeq: number
  /** The last seq of the stream. */
  lastSeq: number
  /** Encoded bytes appended in this generation. */
  bytes: number
  /** Bytes that the store keeps of these now: fewer, because sealing compresses them. */
  storedBytes: number
  /** Producers whose leases are valid. */
  producers: number
  /** The reason of a stop that was requested, or null. */
  stop: string | null
  owner: string | null
  /** The `metadata` given to `produce`, or null. */
  metadata: unknown
  startedAt: Date
  /** When it was last written to. For a live stream in Redis, accurate to 90 s: it was not written to later. */
  updatedAt: Date
  /** Until the keys expire, in milliseconds. */
  ttlMs: number
  /** How far its consumers have read; at most 100 of them, in no particular order. */
  consumers: ConsumerStatus[]
  /** Only for a log ({@link Engine.log}): the options it was created with. Times in milliseconds, `expiresAt` since 1970. */
  log?:
    | { contentType: string; ttlMs: number | null; expiresAt: number | null; fork?: LogFork | undefined }
    | undefined
}

export interface ConsumerStatus {
  consumer: string
  /** Everything up to here has been acknowledged. */
  cursor: string
  /** How many chunks come after it, including those of later generations and those that are no longer kept. */
  lag: number
}

export interface StopOptions {
  /** Passed on to producers and readers; at most 1 KiB. Default: none. */
  reason?: string | undefined
  /** Must equal the owner given at the start, if one was. */
  owner?: string | undefined
  /** How long the stop is kept for the start of a stream that does not exist yet. 1 s to 365 days, default `'10s'`. */
  keep?: Duration | undefined
}

export interface DeleteOptions {
  /** Must equal the owner given at the start, if one was. Default: the stream is deleted whoever owns it, as the server's own right. */
  owner?: string | undefined
}

export interface AckOptions {
  /** Whose progress it is. */
  consumer: string
  /** Everything up to this cursor has been processed. */
  cursor: string
  /** Must equal the owner given at the start, if one was. */
  owner?: string | undefined
}

/**
 * `stopping`: a live producer was notified. `kept`: there is no such stream yet; if it starts within {@link StopOptions.keep}, it is
 * stopped. `ended`: the stream had already ended.
 */
export type StopResult = 'stopping' | 'kept' | 'ended'

/** How long something took, in seconds. */
export interface Histogram {
  /** How many took at most `le` seconds, ascending and cumulative; the outer `count` is the total. */
  buckets: { le: number; count: number }[]
  count: number
  /** The sum of all durations. */
  sum: number
}

/** Counters since the engine was created, and current values. For the names in Prometheus see `docs/operations.md`. */
export interface Metrics {
  state: ConnectionState
  /** Producers, subscriptions, and streams with at least one of them, in this engine now. */
  producers: number
  readers: number
  streams: number
  /** Bytes of all producers that the store has not accepted yet. */
  queuedBytes: number
  /** The same for the producer with the longest queue, counted as for `maxQueueBytes`: with the overhead of each chunk. */
  longestQueueBytes: number
  /** Subscriptions with something to deliver, and other events, waiting for the event loop. */
  undelivered: number
  /**
   * Accepted by the store: chunks, the bytes of their payloads, the bytes of their frames as first stored, the bytes of these that
   * sealing has saved since, and the batches they came in.
   */
  chunksIn: number
  bytesIn: number
  encodedBytes: number
  savedBytes: number
  batches: number
  /** Delivered to subscriptions, counted once for each reader. */
  chunksOut: number
  bytesOut: number
  /** `bytesIn` divided by `chunksIn`, and by `encodedBytes` minus `savedBytes`; 0 before the first chunk. */
  averageChunkBytes: number
  compressionRatio: number
  /** Readers that resumed from a cursor: served from memory, and served from the log. */
  resumeHits: number
  resumeMisses: number
  /** Readers that got `ERR_GAP`. */
  gaps: number
  /** Frames that arrived in no live message (lost, or too large for one) and were found by reading the log. */
  gapsRepaired: number
  /** Live frames that had already been read from the log. */
  duplicatesDropped: number
  /** Operations that were retried after a temporary failure. */
  retries: number
  /** Times the connection was lost and came back. */
  reconnects: number
  /** Producers that ended, by outcome; `lost`: by an error (fenced, cut off, given up). */
  ended: Record<Outcome | 'lost', number>
  /** From a batch's oldest `write` to the store's acceptance. */
  appendSeconds: Histogram
  /**
   * From when a reader has something to read until the event loop takes it, once for all readers of a stream that get it together; a
   * slow reader's own time is not included.
   */
  deliverySeconds: Histogram
  /** From `stop()` to the store's answer; by then the producers have been notified. */
  stopRequestSeconds: Histogram
  /** From when a producer is notified of a stop until it ends. */
  stopSeconds: Histogram
  /** The last {@link Engine.sampleMemory}, or null. */
  memory: MemorySample | null
}

/** How much of the store's memory some streams use, keys included. */
export interface MemorySample {
  at: Date
  streams: { streamId: string; bytes: number }[]
  /** For one stream; 0 if there is none. */
  averageBytes: number
  largestBytes: number
}

export interface CleanupOptions {
  /** Only streams that nobody has written to for this long. 0 to 365 days, default `'1h'`. */
  olderThan?: Duration | undefined
  /** Only streams with these outcomes. Default: all. A stream whose producers have died counts as interrupted. */
  outcomes?: Outcome[] | undefined
  /** Removes live streams too: their readers end as interrupted, their producers are fenced. Default false. */
  force?: boolean | undefined
  /** Removes nothing; reports what would be removed. Default false. */
  dryRun?: boolean | undefined
  /** How many streams are checked and removed at once: 1 to 1000, default 100. */
  batch?: number | undefined
  /** Ends the clean-up before the next batch by rejecting with the signal's reason. Removed streams stay removed. */
  signal?: AbortSignal | undefined
  /** Called after each batch. */
  onProgress?: ((report: CleanupReport) => void) | undefined
}

/** What a clean-up has done so far, or would do if `dryRun`. */
export interface CleanupReport {
  dryRun: boolean
  /** Ids in the index when it began. */
  total: number
  /** Ids checked; the sum of the next five. */
  scanned: number
  removed: number
  /** Left because they are live. */
  live: number
  /** Kept because they are too recent, or ended with another outcome. */
  kept: number
  /** Left because their records are damaged; `delete` removes them. */
  damaged: number
  /** Ids dropped from the index because their streams are gone. */
  healed: number
  durationMs: number
}

export interface EngineEvents {
  /** The connection's state changed; `reason` is empty or says why, without credentials. */
  state: [state: ConnectionState, reason: string]
}

export interface EngineJson {
  /** Without user and password. */
  url: string
  keyPrefix: string
  state: ConnectionState
}

export interface ProducerJson {
  streamId: string
  generation: string
  outcome: Outcome | undefined
}

export interface SubscriptionJson {
  streamId: string
  cursor: string | undefined
  outcome: Outcome | undefined
  reason: string | undefined
}

/** Bytes are in base64. */
export type ChunkJson = { seq: number; cursor: string } & ({ data: string } | { bytes: string })

export interface Engine extends EventEmitter<EngineEvents>, AsyncDisposable {
  /** The connection to the store. */
  readonly state: ConnectionState
  /** What `JSON.stringify` and `console.log` show. */
  toJSON(): EngineJson
  /**
   * Connects before the first use. Rejects with `ERR_CONNECTION` within `connectTimeout`.
   *
   * @example
   * ```ts
   * await engine.connect() // before the first request: a wrong URL is an error here
   * ```
   */
  connect(): Promise<void>
  /**
   * Starts a generation on a stream. `streamId`: 1–512 bytes of UTF-8, any characters.
   *
   * @example
   * ```ts
   * const producer = await engine.produce(chatId, { owner: userId })
   * try {
   *   for await (const token of model({ signal: producer.signal })) {
   *     if (!producer.write(token)) await producer.ready
   *   }
   *   await producer.complete()
   * } catch (error) {
   *   await producer.fail(error)
   * }
   * ```
   */
  produce(streamId: string, options?: ProduceOptions): Promise<Producer>
  /**
   * Writes a source into a stream and returns the stream to send to the local client. If the client disconnects, the source is
   * still read to its end. A stop ends the source. If the store cannot be reached at the start, the source is passed
   * through without being resumable: at once while the state is `degraded`, otherwise after `connectTimeout`. With
   * `ifActive: 'share'` and `'continue'` the client is sent the whole generation.
   *
   * @example
   * ```ts
   * const body = engine.pipe(chatId, (signal) => model({ signal }), { owner: userId })
   * for await (const chunk of body) process.stdout.write(chunk)
   * ```
   */
  pipe(streamId: string, source: PipeSource, options?: PipeOptions): ReadableStream<ChunkData>
  /**
   * Returns a log: a stream without a producer, which any process can append to and close, and which nothing interrupts. This call does
   * not contact the store. See `docs/durable-streams.md`.
   *
   * @example
   * ```ts
   * const log = engine.log('run-42')
   * await log.append([JSON.stringify({ step: 1 })])
   * for await (const chunk of log.read({ from: 'start' })) console.log(chunk.json())
   * ```
   */
  log(streamId: string, options?: OpenLogOptions): Log
  /**
   * Follows a stream: every chunk once, in order.
   *
   * @example
   * ```ts
   * for await (const { cursor, data } of engine.subscribe(chatId, { from: 'start', owner: userId })) {
   *   console.log(data, cursor) // pass the cursor as `from` to continue after this chunk
   * }
   * ```
   */
  subscribe(streamId: string, options?: SubscribeOptions): Subscription
  /**
   * Waits for the end of a generation and returns its whole text; for a stopped one, that is the text so far. If the generation
   * failed or was interrupted, rejects with {@link FailedError} or {@link InterruptedError}, as a loop does;
   * {@link Engine.result} returns the text of those too.
   */
  text(streamId: string, options?: TextOptions): Promise<string>
  /**
   * Waits for the end of a generation and returns how it ended, whatever the outcome: outcome, reason, chunks, text and, with `reduce`,
   * a message. Rejects if the generation cannot be read as a whole (`ERR_NOT_FOUND`, `ERR_FORBIDDEN`, `ERR_GAP` …) or in time.
   * Holds the whole generation in memory.
   */
  result<Message = never>(streamId: string, options?: ResultOptions<Message>): Promise<StreamResult<Message>>
  /**
   * Acknowledges everything up to a cursor for a consumer, no matter on which server it reads; for the handler of a browser's request.
   * A cursor only moves forward, and lives as long as the stream; a cursor of a generation that is no longer kept changes
   * nothing. Resolves once it is stored, which takes about `ackIntervalMs` while Redis is reachable. Rejects with `ERR_NOT_FOUND`,
   * `ERR_FORBIDDEN`, or `ERR_STORE` when the stream has 1000 other consumers.
   *
   * @example
   * ```ts
   * await engine.ack(chatId, { consumer: 'phone', cursor, owner: userId })
   * ```
   */
  ack(streamId: string, options: AckOptions): Promise<void>
  /** The same in the form of earlier versions. */
  ack(
    streamId: string,
    consumer: string,
    cursor: string,
    options?: { owner?: string | undefined },
  ): Promise<void>
  /**
   * Answers an HTTP request with a stream as server-sent events, beginning after the cursor in `Last-Event-ID` or `?cursor=`.
   *
   * 200: the response follows the stream; no chunks follow an `end` event, and a response that ends without one should be
   * resumed. 400: the cursor is malformed. 403: another owner's stream. 404: the stream did not appear within `wait`.
   * 410: chunks after the cursor are gone; the body's `resume` is a cursor from which everything is available. 503: the store cannot be
   * reached, answered at once while the state is `degraded`, unless the stream is produced in this process. The body of every
   * status except 200 is JSON with the error's `code` and a `message`, which for 503 is neutral: see {@link SseOptions.onError}.
   *
   * For a cursor of a generation that is no longer kept, the response begins with a `reset` event and starts over. A client that
   * disconnects does not stop the stream.
   *
   * @example
   * ```ts
   * async function GET(request: Request) {
   *   return engine.respond(request, chatId, { owner: userId })
   * }
   * ```
   */
  respond(request: StreamRequest, streamId: string, options?: RespondOptions): Promise<Response>
  /**
   * As {@link Engine.respond}, for servers without web responses: `node:http`, Express, Fastify (`request.raw`, `reply.raw`), over
   * HTTP/1 or 2.
   *
   * Sends at the client's pace, and keeps headers that are already set. Resolves when the response has ended or its client has
   * disconnected, which is no error and does not stop the stream. If the response has to end before its stream (a closing engine,
   * `maxDurationMs`), it just ends; with UI messages it is broken off. Rejects, with nothing sent, in the cases in which `respond`
   * rejects.
   *
   * @example
   * ```ts
   * createServer((request, response) => engine.send(request, response, chatId, { owner: userId }))
   * ```
   */
  send(
    request: StreamRequest,
    response: ServerResponse,
    streamId: string,
    options?: RespondOptions,
  ): Promise<void>
  /**
   * Answers the requests with which `tidemark/client` acknowledges chunks, as {@link Engine.ack} does. 204: stored.
   * 400: not an acknowledgement. 413: longer than 4 KiB. 503 at once while the state is `degraded`. The other statuses, and the
   * bodies, are those of {@link Engine.respond}.
   *
   * @example
   * ```ts
   * async function POST(request: Request) {
   *   return engine.acknowledge(request, chatId, { owner: userId })
   * }
   * ```
   */
  acknowledge(request: AcknowledgeRequest, streamId: string, options?: AcknowledgeOptions): Promise<Response>
  /**
   * Joins a group that shares the chunks of a stream: each chunk goes to one of its consumers, which acknowledges it.
   *
   * @example
   * ```ts
   * for await (const item of engine.consume('jobs', { group: 'mail', consumer: hostname() })) {
   *   await send(item.text())
   *   await item.ack()
   * }
   * ```
   */
  consume(streamId: string, options: ConsumeOptions): Consumption
  /**
   * Joins a group that gets every generation of every stream when it has ended, at least once, even if the server that
   * produced it died. The queue begins with the first such call of any group and remembers about 65,536 generations, each for twice
   * the engine's longer TTL.
   *
   * @example
   * ```ts
   * for await (const { streamId, outcome, cursor, ack } of engine.finished({ group: 'database', consumer: hostname() })) {
   *   await save(streamId, outcome, cursor)
   *   await ack()
   * }
   * ```
   */
  finished(options: FinishedOptions): FinishedQueue
  /**
   * A group's dead letters: chunks of a stream, or, without `streamId`, finished generations.
   *
   * @example
   * ```ts
   * for await (const letter of engine.deadLetters({ group: 'mail', streamId: 'jobs' })) {
   *   console.log(letter.cursor, letter.data, letter.deliveries)
   *   await letter.retry() // or letter.drop()
   * }
   * ```
   */
  deadLetters(options: DeadLettersOptions & { streamId: string }): AsyncIterableIterator<DeadChunk>
  deadLetters(options: DeadLettersOptions & { streamId?: undefined }): AsyncIterableIterator<DeadFinished>
  /**
   * Stops a stream's producers wherever they run, or, if the stream has not started yet, keeps the stop for 10 s. A stop
   * kept for one owner cannot be replaced by another owner. Rejects with `ERR_STORE` if stops of 1000 other owners are kept for the
   * stream, and with `ERR_CONNECTION` at once while the state is `degraded` and the stream is not produced in this process.
   *
   * @example
   * ```ts
   * const result = await engine.stop(chatId, { owner: userId, reason: 'the user pressed Stop' })
   * if (result === 'kept') console.log('the answer has not begun yet')
   * ```
   */
  stop(streamId: string, options?: StopOptions): Promise<StopResult>
  /** The same in the form of earlier versions, with the reason as a separate argument. */
  stop(
    streamId: string,
    reason: string | undefined,
    options?: Omit<StopOptions, 'reason'>,
  ): Promise<StopResult>
  /**
   * Returns the status of a stream, or null if there is none. Rejects with `ERR_CONNECTION` at once while the state is `degraded`.
   *
   * @example
   * ```ts
   * const status = await engine.status(chatId)
   * if (status?.state === 'active') console.log(`${status.lastSeq} chunks so far, since ${status.startedAt}`)
   * ```
   */
  status(streamId: string): Promise<StreamStatus | null>
  /**
   * All streams of this `keyPrefix`, in no particular order, read in pages. A stream whose record is damaged, or whose key holds
   * something else, is left out: for it, `status` rejects with `ERR_STORE`, `cleanup` counts it, and `delete` removes it.
   *
   * @example
   * ```ts
   * for await (const { streamId, state, owner } of engine.streams()) console.log(streamId, state, owner)
   * ```
   */
  streams(): AsyncIterableIterator<StreamStatus>
  /**
   * Removes a stream, even a damaged one; its readers end as interrupted and its producers are fenced. Resolves to whether the
   * stream existed. Rejects with `ERR_FORBIDDEN` if an `owner` is given and the stream has another one.
   *
   * @example
   * ```ts
   * if (!(await engine.delete(chatId, { owner: userId }))) console.log('there was no such stream')
   * ```
   */
  delete(streamId: string, options?: DeleteOptions): Promise<boolean>
  /**
   * Removes finished streams, as `delete` does, a batch at a time. Each stream is checked and removed in one step, so a stream that
   * has just been started again is never removed. Also drops expired streams from the index.
   *
   * @example
   * ```ts
   * const { removed, kept, live } = await engine.cleanup({ olderThan: '7d', dryRun: true })
   * ```
   */
  cleanup(options?: CleanupOptions): Promise<CleanupReport>
  /** Reads the counters; takes microseconds and makes no round trip. Throws `ERR_CLOSED` when the engine is closed. */
  metrics(options?: { format?: 'object' | undefined }): Metrics
  /**
   * The same in Prometheus' text format, for a response of type `text/plain; version=0.0.4`.
   *
   * @example
   * ```ts
   * const text = engine.metrics({ format: 'prometheus' })
   * response.setHeader('content-type', 'text/plain; version=0.0.4').end(text)
   * ```
   */
  metrics(options: { format: 'prometheus' }): string
  /**
   * Measures how much of the store's memory streams use (`MEMORY USAGE`): `streams` of them, 1 to 64, default 8; each call measures
   * the next ones. `metrics()` shows the last sample.
   */
  sampleMemory(options?: { streams?: number | undefined }): Promise<MemorySample>
  /**
   * Flushes producers (for at most `commandTimeout`), ends subscriptions with `ERR_CLOSED`, closes connections.
   *
   * @example
   * ```ts
   * process.once('SIGTERM', () => engine.close()) // or createEngine({ closeOnSignals: ['SIGTERM'] })
   * ```
   */
  close(): Promise<void>
}

/** How a log is created and who may use it. For an existing log, only `owner` matters and, for appends, `contentType` if given. */
export interface OpenLogOptions {
  /** A media type, 1–256 printable ASCII characters. Compared without case and parameters. Default `'application/octet-stream'`. */
  contentType?: string | undefined
  /** How long the log lives after it was last read or written: 1 s to 36,500 days. Default: the engine's `ttl.active`. */
  ttl?: Duration | undefined
  /** When the log expires, whether or not it is used, instead of a `ttl`; a number is in milliseconds since 1970. */
  expiresAt?: Date | number | undefined
  /** Who may read, write and close it, 1–512 bytes. Default: everybody. */
  owner?: string | undefined
  /** Anything that JSON can express, at most 64 KiB. */
  metadata?: unknown
}

export interface LogAppendOptions {
  /** Closes the log, in the same step. */
  close?: boolean | undefined
  /** Rejects with `ERR_NOT_FOUND` if there is no such log, instead of creating it. Default false. */
  mustExist?: boolean | undefined
  /**
   * Numbers your appends, so that each is written once however often you retry it: `id` 1–256 bytes, `epoch` and `seq` whole numbers
   * from 0. Each append has the next `seq`. If it has been accepted before, the answer says so (`isDuplicate`); if its `seq` is too
   * high, it rejects with `ERR_CONFLICT`. A later `epoch`, which begins with `seq` 0, fences the earlier ones (`ERR_FENCED`). A log
   * remembers at least its 500 latest writers.
   */
  producer?: { id: string; epoch: number; seq: number } | undefined
  /** Must be greater, byte by byte, than the `order` of the previous append by any writer, else `ERR_CONFLICT`; 1–1024 bytes. */
  order?: string | undefined
}

/** The result of an append. */
export interface LogAppended {
  /** The cursor of each chunk that was written. */
  readonly cursors: string[]
  /** The cursor of the log's end. */
  readonly next: string
  readonly closed: boolean
  /** Whether this call created the log. */
  readonly isNew: boolean
  /** The producer had written this before; nothing was written. */
  readonly isDuplicate: boolean
  /** The reason of a stop, if one was requested: the writer should close the log. */
  readonly stop: string | undefined
}

/** Where a fork comes from. */
export interface LogFork {
  /** The log that it was made from. */
  streamId: string
  /** The last chunk that it has of that log as a whole, and the `part` of the chunks after it. */
  seq: number
  part: number
  /** Cursors of the logs before it, the oldest first: up to these, their cursors are valid for the fork too. At most 64. */
  origins: string[]
}

export interface LogForkOptions {
  /** Up to where the fork has the other log's chunks: `'start'`, a cursor, or, by default, `'now'`. */
  at?: 'start' | 'now' | (string & {}) | undefined
  /** How much of the following chunks to add: chunks of a log of `application/json`, else bytes of the next chunk, which is cut. Default 0. */
  part?: number | undefined
  /** The owner of the other log. Default: this one's. */
  sourceOwner?: string | undefined
  /** Closes the fork, in the same step. */
  close?: boolean | undefined
}

/** Where to begin in a log: after a cursor, or at a chunk's index, from 0; a negative one counts from the end. */
export type LogFrom = 'start' | 'now' | (string & {}) | number

export interface LogPageOptions {
  /** Default `'start'`. */
  from?: LogFrom | undefined
  /** The most chunks, 1–65,536. Default 65,536. */
  limit?: number | undefined
  /** Bytes after which no chunk is added, 1–262,144; the page has at least one chunk, if there is any. Default 262,144. */
  maxBytes?: number | undefined
}

export interface LogPage {
  readonly chunks: Chunk[]
  /** The cursor to continue from. */
  readonly next: string
  /** Nothing follows at this moment. */
  readonly upToDate: boolean
  /** Nothing will follow: the log is closed, and this is its end. */
  readonly closed: boolean
  /** How it ended, once it is closed: `complete`, or `stopped` if a stop was requested. */
  readonly outcome: Outcome | undefined
  readonly reason: string | undefined
  /** The log's content type; undefined for a stream of a producer. */
  readonly contentType: string | undefined
}

export interface LogReadOptions {
  /** Default `'start'`. An index beyond the end is waited for. */
  from?: LogFrom | undefined
  /** Ends the loop by throwing the signal's reason. */
  signal?: AbortSignal | undefined
  /** How long to wait for a log that does not exist yet before `ERR_NOT_FOUND`. 0 to 1 day, default 30 s. */
  wait?: Duration | undefined
}

/**
 * A stream that any process can append to. Appends of one engine are written in the order of the calls; each is written whole and
 * once, or not at all. The log ends when it is closed or deleted, or when it expires.
 */
export interface Log {
  readonly streamId: string
  /**
   * Creates the log. If it exists with the same content type, TTL, expiry and `close`, nothing changes (`isNew` is false); if any of
   * these differs, rejects with `ERR_CONFLICT`.
   */
  create(options?: { close?: boolean | undefined }): Promise<LogAppended>
  /**
   * Creates the log as a fork: it begins with a copy of another log up to some point, and then grows on its own. Up to that point the
   * other log's cursors are valid here too. The fork has the content type, TTL and end of the other log unless others are given; the
   * fork of a closed log is open. If the other log is deleted, its name cannot be used again as long as a fork of it lives. An
   * identical fork that exists already is left as it is. Rejects with `ERR_NOT_FOUND` if there is no such log, and with `ERR_CONFLICT`
   * if it has no such position, has another content type, was deleted and has forks, or has 1,000 of them.
   */
  createFrom(source: string, options?: LogForkOptions): Promise<LogAppended>
  /**
   * Appends chunks, at most 1 MiB together, or a single one of at most 32 MiB; creates the log first if necessary. Resolves once the
   * store has accepted them. Rejects with `ERR_ENDED` when the log is closed.
   */
  append(chunks: readonly ChunkData[], options?: LogAppendOptions): Promise<LogAppended>
  /** Closes the log, from any process; closing it again changes nothing. */
  close(options?: Omit<LogAppendOptions, 'close'>): Promise<LogAppended>
  /** Returns the chunks that exist, without waiting. Rejects with `ERR_NOT_FOUND`, or `ERR_GAP` for a cursor of another log. */
  page(options?: LogPageOptions): Promise<LogPage>
  /** Follows the log to its close: every chunk once, in order. Ends quietly if the log is deleted, with `ERR_NOT_FOUND` if it expires. */
  read(options?: LogReadOptions): AsyncIterableIterator<Chunk, undefined>
  /** Returns the log's status, or null if there is none. Does not count as reading. */
  status(): Promise<StreamStatus | null>
  /**
   * Removes the log and ends its readers. Resolves to whether it existed. Rejects with `ERR_FORBIDDEN` if this object has an
   * `owner` and the log has another one.
   */
  delete(): Promise<boolean>
  toJSON(): { streamId: string }
}

export interface Producer extends AsyncDisposable {
  readonly streamId: string
  /** The generation's ULID. */
  readonly generation: string
  /**
   * The cursor of the last chunk that others have written to this generation before (`ifActive: 'continue'` and `'share'`); undefined
   * if there is none, so that this producer begins the answer. In a continued generation, this producer's first chunk follows it
   * directly. What was written before can be read as a page:
   *
   * @example
   * ```ts
   * const producer = await engine.produce(chatId, { owner: userId, ifActive: 'continue' })
   * const [last] = (await engine.log(chatId, { owner: userId }).page({ from: -1 })).chunks
   * if (producer.continued !== undefined) console.log('continuing after', last?.text())
   * ```
   */
  readonly continued: string | undefined
  /** Aborted by `stop` (reason: {@link StoppedError}), or when this producer is fenced or its stream is lost. */
  readonly signal: AbortSignal
  /** How the generation ended; undefined until then. */
  readonly outcome: Outcome | undefined
  /** What `JSON.stringify` and `console.log` show. */
  toJSON(): ProducerJson
  /**
   * Queues a chunk and returns at once. Returns false when the queue is above the high-water mark: `await producer.ready`. Throws
   * `ERR_BACKPRESSURE` when the queue is full, `ERR_FENCED` or `ERR_ENDED` when nothing can be written any more.
   *
   * @example
   * ```ts
   * if (!producer.write('Hello ')) await producer.ready
   * ```
   */
  write(chunk: ChunkData): boolean
  /**
   * As `write`, with a promise for the chunk's cursor that settles once the store has accepted the chunk. Half a character at the
   * chunk's end is not part of it: it is durable once the next chunk is.
   *
   * @example
   * ```ts
   * const cursor = await producer.append('Hello ') // the chunk will survive this process
   * ```
   */
  append(chunk: ChunkData): Promise<string>
  /** Resolves while the queue is below the high-water mark. */
  readonly ready: Promise<void>
  /** Resolves when everything written so far has been accepted, except half a character that waits for its other half. */
  flush(): Promise<void>
  /** Ends the generation after everything written so far: as `complete`, or as `stopped` if a stop was requested. */
  complete(): Promise<Outcome>
  /** Ends the generation as failed; readers get every chunk and then `ERR_FAILED` with this message. */
  fail(error: unknown): Promise<Outcome>
  /** Fails the generation unless it has ended. */
  [Symbol.asyncDispose](): Promise<void>
}

export interface Chunk {
  /** 1, 2, 3 … unique and monotonic per stream. */
  readonly seq: number
  /** Pass it as `from` to continue after this chunk. A copy by `{ ...chunk }` has none. */
  readonly cursor: string
  readonly data: ChunkData
  /** The form for `JSON.stringify`: includes the cursor, so that its receiver can resume. */
  toJSON(): ChunkJson
  /** The data as text; bytes are decoded as UTF-8, each chunk by itself. */
  text(): string
  /** The data parsed as JSON. */
  json<T = unknown>(): T
}

/**
 * One reader. A loop yields every chunk. Then it ends quietly after `complete` and `stopped` ({@link Subscription.outcome} says which),
 * or throws {@link FailedError}, {@link InterruptedError} or {@link GapError}.
 */
export interface Subscription extends AsyncIterableIterator<Chunk>, AsyncDisposable {
  readonly streamId: string
  /** The cursor of the last chunk yielded. */
  readonly cursor: string | undefined
  /** How the generation ended, once every chunk was yielded. */
  readonly outcome: Outcome | undefined
  /** Why it ended: the stop's reason, the failure's message … */
  readonly reason: string | undefined
  /** What `JSON.stringify` and `console.log` show. */
  toJSON(): SubscriptionJson
  next(): Promise<IteratorResult<Chunk, undefined>>
  return(): Promise<IteratorResult<Chunk, undefined>>
  throw(error?: unknown): Promise<IteratorResult<Chunk, undefined>>
  /**
   * Acknowledges everything up to a cursor: makes room in the `window` at once and, if there is a `consumer`, does what
   * {@link Engine.ack} does.
   */
  ack(cursor: string): Promise<void>
  /**
   * Returns the rest of the stream as server-sent events; this subscription can no longer be used as a loop. The first read rejects if
   * there is no stream to follow (`ERR_NOT_FOUND`, `ERR_FORBIDDEN`, `ERR_GAP` …); later errors are sent as events. Aborting the
   * subscription's signal, or cancelling the stream, ends it without a terminal event.
   */
  toSSE(options?: SseOptions): ReadableStream<Uint8Array>
  /** Lets the process exit while this loop waits. */
  unref(): this
  /** Keeps the process alive while this loop waits, which is the default. */
  ref(): this
}

/** The stable codes of all errors. */
export type ErrorCode =
  | 'ERR_INVALID_ARGUMENT'
  | 'ERR_SCHEMA'
  | 'ERR_CONNECTION'
  | 'ERR_TIMEOUT'
  | 'ERR_STORE'
  | 'ERR_ACTIVE'
  | 'ERR_FENCED'
  | 'ERR_ENDED'
  | 'ERR_CONFLICT'
  | 'ERR_STOPPED'
  | 'ERR_BACKPRESSURE'
  | 'ERR_ACK_TIMEOUT'
  | 'ERR_NOT_FOUND'
  | 'ERR_GAP'
  | 'ERR_FORBIDDEN'
  | 'ERR_FAILED'
  | 'ERR_INTERRUPTED'
  | 'ERR_CORRUPT'
  | 'ERR_CLOSED'
  | 'ERR_PLATFORM'
  | 'ERR_INTERNAL'

/** The base class of all errors of this package. Test `code`, or `instanceof` a subclass. */
export class TidemarkError extends Error {
  protected constructor(...internal: never[])
  readonly code: ErrorCode
  /** The stream concerned, if any. */
  readonly streamId: string | undefined
  /** Whether the same call may succeed later. */
  readonly retryable: boolean
  /** A link to the documentation of this code: its causes, and what to do. */
  readonly docs: string
}
/** An argument is invalid; `field` names it. Nothing was done. */
export class InvalidArgumentError extends TidemarkError {
  readonly field: string
}
/** What is wrong with one field of an event. */
export interface SchemaIssue {
  /** The field, as in `message.content` or `items.0.name`; empty for the event as a whole. */
  readonly path: string
  /** The validator's message. */
  readonly message: string
}
/** An event does not fit its schema (`tidemark/schema`). It was not written, or not yielded. */
export class SchemaError extends TidemarkError {
  /** The first bad field. */
  readonly path: string
  /** Everything that is wrong, at least one. */
  readonly issues: readonly SchemaIssue[]
}
/** The store cannot be reached. */
export class ConnectionError extends TidemarkError {}
/** No answer in time; the operation may have taken effect. */
export class TimeoutError extends TidemarkError {}
/** The store refused a command. */
export class StoreError extends TidemarkError {}
/** The stream already has a live producer. */
export class ActiveError extends TidemarkError {}
/** This producer was replaced; none of its further writes are accepted. */
export class FencedError extends TidemarkError {}
/** The generation has ended; nothing can be written to it. */
export class EndedError extends TidemarkError {}
/** A log is not in the state that the caller expects. Nothing was written. */
export class ConflictError extends TidemarkError {
  /** The `seq` that the producer's next append must have, if `seq` was the conflict. */
  readonly expected: number | undefined
}
/** A stop was requested. Its `name` is `AbortError`, as `fetch` and model SDKs expect of an abort's reason. */
export class StoppedError extends TidemarkError {
  readonly reason: string
}
/** The producer's queue is full; the chunk was not queued. */
export class BackpressureError extends TidemarkError {}
/** The reader acknowledged nothing for `ackTimeoutMs`. */
export class AckTimeoutError extends TidemarkError {}
/** The stream did not appear within `wait`. */
export class NotFoundError extends TidemarkError {}
/** Chunks after the cursor are gone (trimmed, expired, evicted, another generation). */
export class GapError extends TidemarkError {
  /** Pass it as `from` to continue with the chunks that are left. */
  readonly resume: string
}
/** The stream has another owner. */
export class ForbiddenError extends TidemarkError {}
/** The producer ended the generation with an error. */
export class FailedError extends TidemarkError {
  readonly reason: string
}
/** The generation ended without its producer. */
export class InterruptedError extends TidemarkError {
  /**
   * `lease` (the producer died), `superseded` (taken over), `closed` (its engine was closed), `deleted`, or `lost` (the
   * store lost the entries).
   */
  readonly reason: string
}
/** A stored frame cannot be decoded. */
export class CorruptError extends TidemarkError {}
/** The engine is closed. */
export class ClosedError extends TidemarkError {}
/** There is no native library for this operating system and processor, or it was not installed. */
export class PlatformError extends TidemarkError {}
/** A defect in Tidemark. */
export class InternalError extends TidemarkError {}
