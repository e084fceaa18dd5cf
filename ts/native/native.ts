import type { Metrics, Outcome } from '../../index'
import { platformError } from '../errors/platform'

/**
 * The boundary to Rust, in the order and with the names of `src/binding/mod.rs`.
 *
 * Control crosses as JSON, chunks as bytes and numbers. Nothing asynchronous crosses: a `call` is answered by a record of
 * a later {@link Native.drain}, and JavaScript makes all promises. No function calls back into JavaScript but `wake`.
 */
export interface Native {
  /** Makes an engine from a complete configuration (`src/config.rs`) and returns its handle. `wake` takes no arguments. */
  open(config: string, wake: () => void): number
  /** Starts an asynchronous operation; the answer is a REPLY record with this request number. */
  call(engine: number, request: number, operation: Operation, args: string): void
  /**
   * Queues chunks. `words` holds two per chunk: the producer's handle, and `length << 2 | isText << 1 | wantsAck`;
   * `arena` begins with the payloads, one after the other. Each pair is overwritten with the producer's `depth` afterwards, and with 1 if nobody
   * reads what it writes, as far as is known, so that its next chunks may gather before they cross; otherwise 0.
   */
  write(engine: number, words: Uint32Array, chunks: number, arena: Uint8Array): void
  /**
   * Begins the pages and the appends to logs of a turn; the answer of each is a REPLY record with its request number. `args` has a line for
   * each. `words` holds of a page, whose arguments are a {@link PageArgs} and whose answer is a {@link Page} or null: request, {@link PAGE};
   * of an append, with {@link AppendArgs} and a {@link LogAnswer}: request, number of chunks + 1, and `length << 1 | isText` of each chunk.
   * `arena` has the chunks of all appends one after the other.
   */
  begin(engine: number, words: Uint32Array, args: string, arena: Uint8Array): void
  /**
   * The cost of a producer's queue: the bytes of its chunks, {@link CHUNK_COST} for each of them, and {@link ACK_COST} for
   * those that `wantsAck`.
   */
  depth(engine: number, producer: number): number
  /** Opens a subscription and returns its handle; its records follow. `args` is a {@link SubscribeArgs}, and its first credit. */
  subscribe(engine: number, args: string): number
  /** Allows a subscription to deliver `cost` more; a chunk costs its encoded length + {@link CHUNK_COST}. */
  credit(engine: number, subscription: number, cost: number): void
  /** Everything up to `seq` is acknowledged: makes room in a subscription's window. */
  acknowledge(engine: number, subscription: number, seq: number): void
  /** Ends a subscription; records that are ready may still follow, and have to be skipped. */
  cancel(engine: number, subscription: number): void
  /** Joins a group and returns the consumer's handle, for `take` and `leave`. `args` is a {@link ConsumeArgs}. */
  consume(engine: number, args: string): number
  /**
   * Fills `words`, which has {@link WORDS} elements, with the records that are ready and returns their text, joined in the
   * order of the records: `words[0]` is a set of flags ({@link MORE} …), `words[1]` the number of words used, and records
   * follow from `words[HEADER]`.
   */
  drain(engine: number, words: Uint32Array): string
  /** The byte chunks of the last drain, one after the other; called when {@link BYTES} was set. */
  takeBytes(engine: number): Uint8Array
  /** Fills `piece`, which has their length, with `count` parts of the last drain, from number `first` on. */
  takePiece(engine: number, first: number, count: number, piece: Uint8Array): void
  /** The large chunks of the last drain, in the order of their numbers; called when {@link LARGES} was set. */
  takeLarges(engine: number): Parcel[]
  /** A large chunk's text or bytes, once: the native side shares it among all who have not unpacked it yet. */
  unpack(parcel: Parcel): string | Uint8Array
  /** The largest chunk, in bytes. */
  maxChunkBytes(): number
  /** The engine's counters: {@link Counted}, as JSON. */
  metrics(engine: number): string
  /** Drops an engine at once, without flushing. For the exit of a process or worker; otherwise use `call('close')`. */
  dispose(engine: number): void
  /** A ULID, greater than all that this process has made before. */
  ulid(): string
  /** The version of the native library. */
  version(): string
  /** All error codes, in the order of `src/error.rs`. */
  errorCodes(): string[]
  /** The numbers below, as the native side has them (`src/binding/shared.rs`). */
  constants(): Record<string, number>
}

declare const parcel: unique symbol
/** A large chunk that the native side holds. */
export interface Parcel {
  readonly [parcel]: true
}

/** `call` operations; arguments and answers are JSON. */
export type Operation =
  /** {} → null */
  | 'connect'
  /** ProduceArgs → { producer, generation, stop: string | null } */
  | 'produce'
  /** { producer } → null, when the queue is below a quarter of its bound */
  | 'ready'
  /** { producer } → null, when everything written so far has been accepted */
  | 'flush'
  /** { producer, outcome: 'complete' | 'failed', reason } → { outcome, reason } */
  | 'finish'
  /** { consumer } → Handed, when there are items or the end; empty when the consumer has left */
  | 'take'
  /** { consumer, untouched: ids } → null, when those have been given back */
  | 'leave'
  /** { streamId | null, group, consumer, resolutions: [id, Resolution][], owner } → null */
  | 'resolve'
  /** { streamId | null, group, after: id | null, count, owner } → Handed */
  | 'dead'
  /** { streamId | null } → { group, held, dead, behind: number | null }[] | null, when there is no such stream */
  | 'groups'
  /** AckArgs → null, when the cursor has been stored together with what comes from others */
  | 'ack'
  /** { streamId, reason, owner, keepMs: number, or null for 10 s } → StopResult */
  | 'stop'
  /** { streamId } → status | null; `metadata` is the JSON that `produce` was given, if any */
  | 'status'
  /** { streamIds } → for each: status, { damaged: why } or null */
  | 'inspect'
  /** { streamIds } → for each: Glance, { damaged: why } or null */
  | 'glance'
  /** { ...ListCursor, count } → { ids: string[], next: ListCursor | null }, see `pages.ts` */
  | 'list'
  /** The same → { ids, found, next }, where `found` has for each what 'glance' answers */
  | 'glances'
  /** { streamId } → bytes in the store's memory, about | null */
  | 'memory'
  /** {} → what the server says of itself (INFO) | null on memory */
  | 'info'
  /** { ask, given: Credentials | null, failure: string | null } → null */
  | 'credentials'
  /** {} → Rights | null on memory */
  | 'rights'
  /** {} → number of ids in the index */
  | 'count'
  /** SweepArgs → Swept[], one for each stream */
  | 'sweep'
  /** { key, expected: version, value: string | null, due, keepMs, isNews } → Reminded */
  | 'remind'
  /** { keys } → Recalled */
  | 'recall'
  /** { count, pauseMs, keepMs } → Due */
  | 'due'
  /** {} → [key, version][]: all reminders */
  | 'reminders'
  /** { streamIds } → Tail[], null for a missing or damaged stream; at most 256 */
  | 'tails'
  /** { streamId } → boolean */
  | 'delete'
  /** { streamId } → boolean: whether its name is kept for the forks of a log that was deleted */
  | 'kept'
  /** `Ask` → `Left` of src/legacy/mod.rs; null where it never was */
  | 'predecessor'
  /** {} → null */
  | 'close'

/** A group and how many items it has: delivered but not resolved, dead, and not delivered yet. */
export interface GroupStatus {
  group: string
  held: number
  dead: number
  behind: number | null
}

/** The counters of the native side (`Snapshot` of src/engine/metrics/snapshot.rs). */
export type Counted = Omit<Metrics, 'averageChunkBytes' | 'compressionRatio' | 'memory'>

/** How a generation ended. */
type End = { outcome: Outcome; reason: string }

/** Items of a group; `done` is the end, when everything has been dealt with. */
export interface Handed {
  items: HandedItem[]
  done: End | null
}

export interface HandedItem {
  id: string
  deliveries: number
  cursor: string
  /** A chunk's data, unless it cannot be read: its text, or one character for each of its bytes. */
  text?: string
  bytes?: string
  /** The number of a large chunk, which the bridge replaces by its parcel. */
  large?: number | Parcel
  /** A finished generation's. */
  streamId?: string
  outcome?: Outcome
  reason?: string
}

/** The options of a log, `LogConfig` of src/store/logs.rs. Times in milliseconds, `expiresAt` since 1970. */
export interface LogConfig {
  contentType: string
  ttlMs: number | null
  expiresAt: number | null
  fork?: ForkOrigin
}

/** Where a fork comes from, `Fork` of src/store/forks.rs. */
export interface ForkOrigin {
  streamId: string
  seq: number
  part: number
  /** Of the logs before it, the oldest first: up to there their cursors are the fork's too. */
  origins: string[]
}

/** The outcome of an append: `LogOutcome` of src/store/logs.rs. */
export interface LogAnswer {
  outcome:
    | 'written'
    | 'exists'
    | 'duplicate'
    | 'missing'
    | 'other'
    | 'conflict'
    | 'closed'
    | 'contentType'
    | 'stale'
    | 'begin'
    | 'skipped'
    | 'disorder'
    | 'incomplete'
    | 'renewed'
    | 'unsealed'
    | 'late'
    | 'kept'
    | 'unstaged'
    | 'noSource'
    | 'sourceKept'
    | 'crowded'
    | 'noPlace'
  /** Of what was written. */
  last?: number
  isNew?: boolean
  /** Of the producer that has written it before, or has been replaced. */
  epoch?: number
  seq?: number
  /** The `seq` that has to come next. */
  expected?: number
  /** The log as it is then, if there is one. */
  head: {
    generation: string
    base: number
    seq: number
    end: End | null
    stop: string | null
    /** Of a fork, see {@link ForkOrigin}. */
    origins: string[]
  } | null
}

/** Consecutive chunks, and the state of their stream. */
export interface Page {
  generation: string
  base: number
  /** The seq before the first of them. */
  after: number
  /** `length << 1 | isText` of each. */
  tags: number[]
  /** The number of a parcel with all of them, which the bridge replaces by it; null if there are none. */
  large: number | Parcel | null
  isLast: boolean
  end: End | null
  log: LogConfig | null
}

/** `src/store/tails.rs`. */
export interface Tail {
  generation: string
  base: number
  seq: number
  owner: string | null
  origins: string[]
}

/** `src/store/reminders.rs`; times are the store's, in milliseconds since 1970. */
export interface Reminder {
  key: string
  version: number
  value: string
}

export type Reminded =
  | { outcome: 'done'; now: number; version: number }
  | { outcome: 'other'; now: number; reminder: Reminder | null }
  | { outcome: 'full'; now: number }

export interface Recalled {
  now: number
  reminders: (Reminder | null)[]
}

export interface Due {
  now: number
  news: number
  next: number | null
  reminders: Reminder[]
}

export type Swept = 'gone' | 'live' | 'kept' | 'removed' | 'damaged'

/** `Rights` of src/store/rights.rs. */
export interface Rights {
  tried: number
  lacking: { need: string; right: string; servers: string[] }[]
}

/** Added to a chunk's encoded length when its cost is counted, so that empty chunks are bounded too; not to a piece's. */
export const CHUNK_COST = 32
/** Added for a chunk whose acknowledgement is awaited: a promise and the functions that settle it. */
export const ACK_COST = 256

/** The words of a drain: 16 KiB, so that a slow reader keeps only a small text alive. */
export const WORDS = 4096
/** The words before the first record. */
export const HEADER = 2

/** {@link Native.begin}: a page. */
export const PAGE = 0

// Flags of a drain.

/** Not everything fitted: drain again. */
export const MORE = 1
/** There are byte chunks: call `takeBytes`. */
export const BYTES = 2
/** Every chunk that crossed so far has been accepted or refused: nothing holds the process. */
export const IDLE = 4
/** There are large chunks: call `takeLarges`. */
export const LARGES = 8

// Records of a drain; `units` counts UTF-16 code units of the drained text.

/**
 * n, n subscriptions, seq low, seq high, count, then count × (length << 1 | isText): chunks for each of them; text in units, bytes in
 * bytes.
 */
export const DATA = 1
/** producer, count, then count × (seq low, seq high): acknowledged appends, oldest first. */
export const SETTLED = 2
/** subscription, units: the ULID of the generation that the following chunks belong to. */
export const GENERATION = 3
/** subscription, units: JSON, `{ outcome, reason }` or `{ error }`; the subscription is over. */
export const END = 4
/** request, ok, units: JSON, the answer or the error. */
export const REPLY = 5
/** producer, units: JSON, `{ stop: reason }` or `{ error }`; after an error nothing can be written any more. */
export const PRODUCER = 6
/** units: JSON, `{ state, reason }`. */
export const STATE = 7
/** units: JSON, a text for the operator of the store. */
export const WARNING = 8
/** question: asks for user and password; answered by the call `credentials`. */
export const ASK = 9
/** subscription, seq low, seq high, length in bytes, number among the drain's large chunks: a chunk of its own. */
export const LARGE = 10
/** units: JSON, an entry of the log with its `id`. */
export const LOG = 11
/** subscription, length in bytes, number of its first part, count of its parts: a piece of an event stream, to be fetched with `takePiece`. */
export const PIECE = 12

/** The seq whose low word is at `at`, and whose high word follows. */
export const seqAt = (words: Uint32Array, at: number): number =>
  (words[at] as number) + (words[at + 1] as number) * 2 ** 32

/**
 * The native library, through the loader that napi-rs generates. The path is written out so that bundlers and file
 * tracers see it.
 */
export function loadNative(): Native {
  try {
    return require('../../native.cjs') as Native
  } catch (cause) {
    throw platformError(`${process.platform}-${process.arch}`, cause)
  }
}
