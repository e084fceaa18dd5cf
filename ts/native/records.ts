// Who gets the records of a drain, as far as the bridge is concerned.

import type { NativeError } from '../errors/errors'
import type { DrainCursor } from './drain-cursor'
import type { Large } from './large'

/** How a subscription ended. */
export interface End {
  outcome?: 'complete' | 'failed' | 'stopped' | 'interrupted'
  reason?: string
  error?: NativeError
}

/** Who gets the records of a subscription. */
export interface Receiver {
  /** A run of chunks, the first of which has this seq. */
  push(drain: DrainCursor, seq: number): void
  /** A large chunk; event streams get theirs in pieces. */
  pushLarge?(large: Large, seq: number): void
  /** The following chunks belong to this generation. */
  enter(generation: string): void
  /** The native half is over. */
  ended(end: End): void
  /** The engine is over: nothing follows what has arrived but this error. */
  broken(error: unknown): void
}

/** Who gets the records of a producer. */
export interface ProducerReceiver {
  /** Appends that were accepted, as pairs of words from `at`: see {@link SETTLED}. */
  settled(words: Uint32Array, at: number, count: number): void
  /** A stop was requested. */
  stopped(reason: string): void
  /** Nothing can be written any more. */
  lost(error: Error): void
  /** The engine closes: what is held back of a text is written. */
  endText(): void
}

/** Who has something to tell before the engine closes. */
export interface Teller {
  tell(): void
}
