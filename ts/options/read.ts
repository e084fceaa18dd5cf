// The options of readers and of acknowledgements.

import { invalidArgument } from '../errors/errors'
import type { AckArgs, AcknowledgeArgs, SseArgs, SseLimits, SubscribeArgs } from './args'
import { callback, duration, integer, object, oneOf } from './checks'
import {
  consumer,
  cursor,
  DEFAULT_WAIT_MS,
  from,
  headers,
  maxDurationMs,
  only,
  owner,
  type Signalled,
  signal,
  streamId,
  wait,
} from './fields'

/** Proxies give up on a response that does not begin. */
const DEFAULT_RESPOND_WAIT_MS = 5_000

/** The default pause between an event stream's keep-alive comments. */
export const HEARTBEAT_MS = 15_000

const textFields = {
  from,
  signal,
  owner,
  wait,
  timeout: duration('1ms', '1d'),
  format: oneOf('text', 'ui-messages'),
}

const textOptions = object(textFields)
const resultOptions = object({ ...textFields, reduce: callback<ReadableStream<never>> })

/** The options with which a generation is read to its end. */
export interface ResultArgs<Message> {
  following: Following
  timeoutMs: number | undefined
  format: 'text' | 'ui-messages'
  reduce: ((stream: ReadableStream<never>) => AsyncIterable<Message>) | undefined
}

export function textArgs(id: unknown, given: unknown): ResultArgs<never> {
  return whole(streamId(id, 'streamId'), textOptions(given, 'options'))
}

export function resultArgs<Message>(id: unknown, given: unknown): ResultArgs<Message> {
  const stream = streamId(id, 'streamId')
  const { reduce, ...options } = resultOptions(given, 'options')
  // Its result can only be checked when it is called.
  return { ...whole(stream, options), reduce: reduce as ResultArgs<Message>['reduce'] }
}

export function whole(stream: string, options: ReturnType<typeof textOptions>): ResultArgs<never> {
  const { timeout, format = 'text', signal, ...rest } = options
  const args = followed(stream, rest, DEFAULT_WAIT_MS, true)
  return { following: { args, signal, isAuto: true }, timeoutMs: timeout, format, reduce: undefined }
}

const ackOptions = object({ owner })
const ackedOptions = object({ owner, consumer, cursor })
const acknowledgeOptions = object({ owner, consumer, onError: callback<unknown> })

const followFields = {
  from,
  signal,
  owner,
  consumer,
  window: integer(1, 1_000_000, 'chunks'),
  ackTimeoutMs: integer(1, 86_400_000, 'milliseconds'),
  wait,
  follow: oneOf('generation', 'all'),
}

const subscribeOptions = object({ ...followFields, ack: oneOf('auto', 'manual') })

const sseFields = {
  format: oneOf('events', 'ui-messages'),
  replay: oneOf('merged', 'exact'),
  heartbeatMs: integer(0, 3_600_000, 'milliseconds'),
  retryMs: integer(0, 3_600_000, 'milliseconds'),
  maxDurationMs,
  onError: callback<unknown>,
}

const checkSse = object(sseFields)
const respondOptions = object({ ...followFields, ...sseFields, headers })

/** The arguments of a subscription's state. */
export interface Following extends Signalled {
  args: SubscribeArgs
  /** Whether chunks that the loop has moved past are acknowledged automatically. */
  isAuto: boolean
}

export function subscribeArgs(id: unknown, given: unknown): Following {
  const stream = streamId(id, 'streamId')
  const options = subscribeOptions(given, 'options')
  if (options.ack !== undefined && options.consumer === undefined && options.window === undefined) {
    throw invalidArgument('options.ack', 'needs a consumer or a window to acknowledge to')
  }
  if (options.ackTimeoutMs !== undefined && options.ack !== 'manual') {
    throw invalidArgument('options.ackTimeoutMs', "needs ack: 'manual'")
  }
  const args = followed(stream, options, DEFAULT_WAIT_MS, true)
  return { args, signal: options.signal, isAuto: options.ack !== 'manual' }
}

export function sseOptions(given: unknown, field: string): { sse: SseArgs; limits: SseLimits } {
  return framed(checkSse(given, field))
}

export interface RespondArgs extends Signalled {
  args: SubscribeArgs
  limits: SseLimits
  format: SseArgs['format']
  headers: Headers
}

export function respondArgs(id: unknown, given: unknown): RespondArgs {
  const stream = streamId(id, 'streamId')
  const options = respondOptions(given, 'options')
  for (const name of ['window', 'ackTimeoutMs'] as const) {
    if (options[name] !== undefined && options.consumer === undefined) {
      throw invalidArgument(`options.${name}`, 'needs a consumer, who acknowledges with engine.ack')
    }
  }
  const { sse, limits } = framed(options)
  return {
    args: { ...followed(stream, options, DEFAULT_RESPOND_WAIT_MS, false), sse },
    signal: options.signal,
    limits,
    format: sse.format,
    headers: options.headers ?? new Headers(),
  }
}

/** The arguments of a reader, with what it has not said. */
export function followed(
  stream: string,
  options: Omit<ReturnType<typeof subscribeOptions>, 'ack' | 'signal'>,
  defaultWaitMs: number,
  isPatient: boolean,
): SubscribeArgs {
  return {
    streamId: stream,
    from: options.from ?? (options.consumer === undefined ? 'start' : null),
    consumer: options.consumer ?? null,
    owner: options.owner ?? null,
    waitMs: options.wait ?? defaultWaitMs,
    isPatient,
    followAll: options.follow === 'all',
    window: options.window ?? null,
    ackTimeoutMs: options.ackTimeoutMs ?? null,
    sse: null,
  }
}

function framed(options: ReturnType<typeof checkSse>): { sse: SseArgs; limits: SseLimits } {
  const { format = 'events', replay = format === 'events' ? 'exact' : 'merged', retryMs = 1000 } = options
  return {
    sse: { format, retryMs, isMerged: replay === 'merged', bareAfter: null },
    limits: {
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
      maxDurationMs: options.maxDurationMs,
      onError: options.onError,
    },
  }
}

/** `ack(id, options)`, or the earlier form: `ack(id, consumer, cursor, options)`. */
export function ackArgs(id: unknown, who: unknown, seen: unknown, given: unknown): AckArgs {
  if (typeof who === 'object' && who !== null && seen === undefined) {
    const stream = streamId(id, 'streamId')
    const options = ackedOptions(only(who, given), 'options')
    return {
      streamId: stream,
      consumer: consumer(options.consumer, 'options.consumer'),
      cursor: cursor(options.cursor, 'options.cursor'),
      owner: options.owner ?? null,
      isPatient: true,
    }
  }
  return {
    streamId: streamId(id, 'streamId'),
    consumer: consumer(who, 'consumer'),
    cursor: cursor(seen, 'cursor'),
    owner: ackOptions(given, 'options').owner ?? null,
    isPatient: true,
  }
}

export function acknowledgeArgs(id: unknown, given: unknown): AcknowledgeArgs {
  const stream = streamId(id, 'streamId')
  const { owner, consumer, onError } = acknowledgeOptions(given, 'options')
  return { streamId: stream, owner, consumer, onError }
}
