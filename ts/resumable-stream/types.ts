import type { Engine, StopResult } from '../../index'

export interface CreateResumableStreamContextOptions {
  /** Begins the names of the streams. Default `resumable-stream`. */
  keyPrefix?: string | undefined
  /**
   * Keeps a serverless function alive until the promise is settled, which is when the stream has ended, however it did;
   * it is never rejected. Null on servers that are not suspended.
   */
  waitUntil: ((promise: Promise<unknown>) => void) | null
  /** See {@link publisher}. */
  subscriber?: Subscriber | IoRedis | undefined
  /**
   * A client of `redis` or `ioredis`: its options say which Redis to use; the client itself is not used. Any other
   * object is used itself, and streams are then kept in their producer's memory (see {@link Publisher}). Default: the
   * Redis of `TIDEMARK_URL`, `REDIS_URL` or `KV_URL`.
   */
  publisher?: Publisher | IoRedis | undefined
  /**
   * With your own {@link Publisher}: milliseconds between two checks of a resumed stream whether its producer has
   * ended; two positive checks in a row close it. Default 10,000. Otherwise it is ignored.
   */
  doneWatchdogIntervalMs?: number | undefined
  /** Resuming a finished stream gives all of it instead of null, for as long as it is kept. Default false. */
  replayAfterDone?: boolean | undefined
  /** How long a stream is kept after its last chunk, and after its end. 1 second to 365 days, default 24 hours. */
  ttlSeconds?: number | undefined
  /** Uses this engine instead of the clients and the environment. */
  engine?: Engine | undefined
}

export interface ResumableStreamContext {
  /**
   * Creates a stream, or resumes it when it exists already: then `makeStream` is not called.
   *
   * @param streamId - unique for each stream; at most 512 bytes, together with the prefix
   * @param makeStream - returns a stream of strings
   * @param skipCharacters - UTF-16 code units of the text to leave out when resuming
   * @returns null when the stream is finished
   */
  resumableStream: (
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ) => Promise<ReadableStream<string> | null>
  /**
   * Resumes a stream: the text so far, then the live text. A stream whose producer has died ends with an
   * error after the text that it has written.
   *
   * @returns null when the stream is finished, undefined when there is none
   */
  resumeExistingStream: (
    streamId: string,
    skipCharacters?: number,
  ) => Promise<ReadableStream<string> | null | undefined>
  /**
   * Creates a stream. One with the same id is replaced; if it is still running, its readers end with an error.
   *
   * @param skipCharacters - ignored
   */
  createNewResumableStream: (
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ) => Promise<ReadableStream<string> | null>
  /** Null when there is no such stream, `'DONE'` when it is finished, else true. */
  hasExistingStream: (streamId: string) => Promise<null | true | 'DONE'>
}

/** Gets a signal that is aborted when the stream is stopped, or replaced by another one with its id. */
export type MakeStream = (signal: AbortSignal) => ReadableStream<string>

/** The result of `createResumableStreamContext`: a {@link ResumableStreamContext} with more methods. */
export interface TidemarkStreamContext extends ResumableStreamContext {
  resumableStream: (
    streamId: string,
    makeStream: MakeStream,
    skipCharacters?: number,
  ) => Promise<ReadableStream<string> | null>
  createNewResumableStream: (
    streamId: string,
    makeStream: MakeStream,
    skipCharacters?: number,
  ) => Promise<ReadableStream<string> | null>
  /**
   * Stops a stream in any process: its source's signal is aborted, its readers end quietly after the text so far,
   * and it counts as finished. A stop that comes before the start is kept for it, for 10 s.
   */
  stop: (streamId: string, reason?: string) => Promise<StopResult>
}

/** A Redis-like subscriber, as clients of the `redis` package are. */
export interface Subscriber {
  connect: () => Promise<unknown>
  subscribe: (channel: string, callback: (message: string) => void) => Promise<unknown>
  unsubscribe: (channel: string) => Promise<unknown>
}

/**
 * A Redis-like publisher, as clients of the `redis` package are. Streams that go through one of your own are kept in
 * the memory of the process that makes them, as npm `resumable-stream` does, and are compatible with its.
 */
export interface Publisher {
  connect: () => Promise<unknown>
  publish: (channel: string, message: string) => Promise<number | unknown>
  set: (key: string, value: string, options?: { EX?: number }) => Promise<'OK' | unknown>
  get: (key: string) => Promise<string | number | null>
  incr: (key: string) => Promise<number>
}

/** A client of the `ioredis` package, as far as its type matters here. */
export interface IoRedis {
  defineCommand(name: string, definition: { lua: string }): unknown
  publish(channel: string, message: string): Promise<unknown>
}

/** The context of `resumeStream`; its `keyPrefix` is the whole one, as in `resumable-stream:rs`. */
export interface ResumeContext {
  keyPrefix: string
  waitUntil: (promise: Promise<unknown>) => void
  subscriber: Subscriber
  publisher: Publisher
  doneWatchdogIntervalMs?: number | undefined
}

export declare namespace _Private {
  type RedisDefaults = {
    subscriber: () => Subscriber
    publisher: () => Publisher
  }
}
