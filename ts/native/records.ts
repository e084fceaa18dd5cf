// The receivers of a drain's records, as the bridge sees them.

import type { Outcome } from '../../index'
import type { NativeError } from '../errors/errors'
import type { DrainCursor } from './drain-cursor'
import type { Large } from './large'

/** How a subscription ended. */
export interface End {
  outcome?: Outcome
  reason?: string
  error?: NativeError
}

/** Receives the records of a subscription. */
export interface Receiver {
  /** A run of chunks, the first of which has this seq. */
  push(drain: DrainCursor, seq: number): void
  /** A large chunk; event streams get theirs in pieces. */
  pushLarge?(large: Large, seq: number): void
  /** A piece of an event stream, in memory of its own. */
  pushPiece?(piece: Uint8Array): void
  /** The following chunks belong to this generation. */
  enter(generation: string): void
  /** The native half is over. */
  ended(end: End): void
  /** The engine is closed: only this error follows the chunks that have arrived. */
  broken(error: unknown): void
}

/** Receives the records of a producer. */
export interface ProducerReceiver {
  /** Appends that were accepted, as pairs of words from `at`: see {@link SETTLED}. */
  settled(words: Uint32Array, at: number, count: number): void
  /** A stop was requested. */
  stopped(reason: string): void
  /** Nothing can be written any more. */
  lost(error: Error): void
  /** The engine closes: half a character that was held back is written. */
  endText(): void
}

/** Has something to send before the engine closes. */
export interface AckSender {
  tell(): void
}
