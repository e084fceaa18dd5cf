/** The messages between processes that relay: those of npm `resumable-stream` 2.2, and a few more. */

import type { Publisher, Subscriber } from './types'

/** The transport of messages. */
export interface Wire {
  publisher: Publisher
  subscriber: Subscriber
  /** Begins keys and channels, as in `resumable-stream:rs`. */
  prefix: string
}

/** Last message of a stream. */
export const DONE_MESSAGE = '\n\n\nDONE_SENTINEL_hasdfasudfyge374%$%^$EDSATRTYFtydryrte\n'
/** Last message of a stream that failed, before the error's message; only for those that have asked for it. */
export const FAILED_MESSAGE = '\n\n\nFAILED_SENTINEL_9d1f0c2a%$%^$7be64c15f3\n'
/** The sentinel of a finished stream; that of a running one is a number. */
export const DONE_VALUE = 'DONE'
/** The error of a reader that gets no answer. Programs look for this text. */
export const NO_ANSWER = 'Timeout waiting for ack'

/**
 * A message on a stream's request channel. The original knows `listenerId` and `skipCharacters`, and takes the others
 * for requests of a listener that does not exist.
 */
export interface Request {
  /** A reader that wants the text so far and the live text. */
  listenerId?: string
  skipCharacters?: number
  /** Whether it understands {@link FAILED_MESSAGE}. */
  failures?: boolean
  /** A run that begins: every other run gives up the stream's readers to it. */
  run?: string
  /** A stop, with its reason. */
  stop?: string
}

export const sentinelKey = (prefix: string, streamId: string) => `${prefix}:sentinel:${streamId}`
export const stopKey = (prefix: string, streamId: string) => `${prefix}:stop:${streamId}`
export const requestChannel = (prefix: string, streamId: string) => `${prefix}:request:${streamId}`
export const chunkChannel = (prefix: string, listenerId: string) => `${prefix}:chunk:${listenerId}`
