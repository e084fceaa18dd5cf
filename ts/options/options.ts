// Long, since all that users may give is checked here, one function for each method, and nothing else.

import { types } from 'node:util'
import type { CleanupReport } from '../../index'
import { invalidArgument } from '../errors/errors'
import { isCursor } from '../util/cursor'
import type {
  AckArgs,
  AcknowledgeArgs,
  ConsumeArgs,
  Owned,
  Pace,
  PipeArgs,
  ProduceArgs,
  SseArgs,
  SubscribeArgs,
  SweepArgs,
} from './args'
import { type Check, callback, duration, flag, integer, listOf, object, oneOf, refuse, text } from './checks'
import type { Provider } from './credentials'
import { LOG_LEVELS, Log } from './log'
import { checkTls, type Tls, tlsConfig } from './tls'
import { addressOf, url as checkUrl } from './url'

const MIB = 1 << 20
/** The largest chunk, in bytes of UTF-8: `MAX_CHUNK` of src/model/frame/chunk.rs. */
export const MAX_CHUNK_BYTES = 32 * MIB
/** The longest reason of a stop or a failure, in bytes of UTF-8. */
export const MAX_REASON_BYTES = 1024
const MAX_METADATA_BYTES = 64 * 1024
const MAX_TTL_SECONDS = 365 * 86_400
const DEFAULT_TTL_MS = 3_600_000
const DEFAULT_WAIT_MS = 30_000
/** Proxies give up on a response that does not begin. */
const DEFAULT_RESPOND_WAIT_MS = 5_000
const DEFAULT_LEVEL = 6
const DEFAULT_AGE_MS = 3_600_000

/** `src/config.rs`. */
export interface Config {
  url: string
  tls: Tls | null
  /** Crosses as a number. */
  credentials: Provider | null
  keyPrefix: string
  ttlActiveMs: number
  ttlDoneMs: number
  leaseMs: number
  stopGraceMs: number
  connectTimeoutMs: number
  commandTimeoutMs: number
  flushIntervalMs: number
  deliveryIntervalMs: number
  ackIntervalMs: number
  maxQueueBytes: number
  compression: number
  /** What of it crosses is its level. */
  log: Log
}

type Environment = Readonly<Record<string, string | undefined>>
type Signalled = { signal: AbortSignal | undefined }

export const owner: Check<string> = text(1, 512)
export const consumer: Check<string> = text(1, 256)
const reason = text(0, MAX_REASON_BYTES)
export const wait: Check<number> = duration('0ms', '1d')
const flushIntervalMs = integer(0, 10_000, 'milliseconds')
export const ttl = object({ active: life, done: life })

const engineOptions = object({
  url: checkUrl,
  name: text(1, 200),
  tls: checkTls,
  credentials,
  keyPrefix,
  ttl,
  lease: duration('1s', '10m'),
  stopGrace: duration('0ms', '1m'),
  connectTimeout: duration('10ms', '10m'),
  commandTimeout: duration('10ms', '10m'),
  flushIntervalMs,
  deliveryIntervalMs: integer(0, 1000, 'milliseconds'),
  ackIntervalMs: integer(0, 10_000, 'milliseconds'),
  maxQueueBytes: integer(MIB, 1024 * MIB, 'bytes'),
  compression,
  log: object({ level: oneOf(...LOG_LEVELS), write: callback }),
  closeOnSignals: listOf(oneOf('SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2')),
})

const produceFields = {
  owner,
  metadata,
  ifActive: oneOf('error', 'takeover', 'share'),
  ifEnded: oneOf('restart', 'error'),
  ttl,
  flushIntervalMs,
}
const produceOptions = object(produceFields)
const pipeOptions = object({
  ...produceFields,
  waitUntil: callback<Promise<unknown>>,
  onError: callback<unknown>,
})
const OUTCOMES = ['complete', 'failed', 'stopped', 'interrupted'] as const
const cleanupOptions = object({
  olderThan: duration('0ms', '365d'),
  outcomes: listOf(oneOf(...OUTCOMES)),
  dryRun: flag,
  force: flag,
  batch: integer(1, 1000, 'streams'),
  signal,
  onProgress: callback<CleanupReport>,
})
const metricsOptions = object({ format: oneOf('object', 'prometheus') })
const memoryOptions = object({ streams: integer(1, 64, 'streams') })
const stopOptions = object({ reason, owner, keep: duration('1s', '365d') })
const ackOptions = object({ owner })
const ackedOptions = object({ owner, consumer, cursor })
const acknowledgeOptions = object({ owner, consumer, onError: callback<unknown> })
const deadOptions = object({ group: consumer, streamId: text(1, 512), owner })
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
const consumeFields = {
  group: consumer,
  consumer,
  batch: integer(1, 100, 'items'),
  claimIdleMs: integer(1, 86_400_000, 'milliseconds'),
  maxDeliveries: integer(1, 1_000_000, 'deliveries'),
  signal,
}
const consumeOptions = object({ ...consumeFields, from, owner, wait: duration('0ms', '1d') })
const finishedOptions = object({ ...consumeFields, from: oneOf('start', 'now') })
export const maxDurationMs: Check<number> = integer(1, 86_400_000, 'milliseconds')
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

/** 1–512 bytes of UTF-8. */
export const streamId: Check<string> = text(1, 512)

/** The signals that the process closes the engine on; the rest of the options is {@link engineConfig}'s. */
export function closingSignals(given: unknown): NodeJS.Signals[] {
  return engineOptions(given, 'options').closeOnSignals ?? []
}

/** The name of an engine that replaces the one before. */
export function engineName(given: unknown): string | undefined {
  return engineOptions(given, 'options').name
}

export function engineConfig(given: unknown, environment: Environment): Config {
  const options = engineOptions(given, 'options')
  const url = options.url ?? urlFrom(environment) ?? 'memory:'
  const isSecure = url.startsWith('rediss')
  const [forTls] = Object.keys(options.tls ?? {})
  if (forTls !== undefined && !isSecure) {
    throw invalidArgument(`options.tls.${forTls}`, 'is for a URL that begins with rediss')
  }
  if (options.credentials !== undefined && url.startsWith('memory:')) {
    throw invalidArgument('options.credentials', 'are for a URL of Redis')
  }
  return {
    url,
    tls: isSecure ? tlsConfig(options.tls ?? {}, 'options.tls', addressOf(url)) : null,
    credentials: options.credentials ?? null,
    keyPrefix: options.keyPrefix ?? 'tidemark',
    ttlActiveMs: options.ttl?.active ?? ttlFrom(environment, 'TIDEMARK_TTL_ACTIVE_SECONDS'),
    ttlDoneMs: options.ttl?.done ?? ttlFrom(environment, 'TIDEMARK_TTL_DONE_SECONDS'),
    leaseMs: options.lease ?? 10_000,
    stopGraceMs: options.stopGrace ?? 1000,
    connectTimeoutMs: options.connectTimeout ?? 5000,
    commandTimeoutMs: options.commandTimeout ?? 3000,
    flushIntervalMs: options.flushIntervalMs ?? 0,
    deliveryIntervalMs: options.deliveryIntervalMs ?? 2,
    ackIntervalMs: options.ackIntervalMs ?? 250,
    maxQueueBytes: options.maxQueueBytes ?? 8 * MIB,
    compression: options.compression ?? DEFAULT_LEVEL,
    log: new Log(options.log, environment),
  }
}

export function produceArgs(id: unknown, given: unknown, config: Config): ProduceArgs {
  const stream = streamId(id, 'streamId')
  return started(stream, produceOptions(given, 'options'), config, true)
}

export function pipeArgs(id: unknown, given: unknown, config: Config): PipeArgs {
  const stream = streamId(id, 'streamId')
  const options = pipeOptions(given, 'options')
  return {
    start: started(stream, options, config, false),
    waitUntil: options.waitUntil,
    onError: options.onError,
  }
}

function started(
  stream: string,
  options: ReturnType<typeof produceOptions>,
  config: Config,
  isPatient: boolean,
): ProduceArgs {
  return {
    streamId: stream,
    owner: options.owner ?? null,
    metadata: options.metadata ?? null,
    ifActive: options.ifActive ?? 'error',
    ifEnded: options.ifEnded ?? 'restart',
    ttlActiveMs: options.ttl?.active ?? config.ttlActiveMs,
    ttlDoneMs: options.ttl?.done ?? config.ttlDoneMs,
    flushIntervalMs: options.flushIntervalMs ?? null,
    isPatient,
  }
}

/** What a subscription's inside is made with. */
export interface Following extends Signalled {
  args: SubscribeArgs
  /** Whether what the loop has moved past is acknowledged by itself. */
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

/** What a generation is read to its end with. */
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
  // What it returns shows when it is called.
  return { ...whole(stream, options), reduce: reduce as ResultArgs<Message>['reduce'] }
}

function whole(stream: string, options: ReturnType<typeof textOptions>): ResultArgs<never> {
  const { timeout, format = 'text', signal, ...rest } = options
  const args = followed(stream, rest, DEFAULT_WAIT_MS, true)
  return { following: { args, signal, isAuto: true }, timeoutMs: timeout, format, reduce: undefined }
}

export function sseOptions(given: unknown, field: string): { sse: SseArgs; pace: Pace } {
  return framed(checkSse(given, field))
}

export interface RespondArgs extends Signalled {
  args: SubscribeArgs
  pace: Pace
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
  const { sse, pace } = framed(options)
  return {
    args: { ...followed(stream, options, DEFAULT_RESPOND_WAIT_MS, false), sse },
    signal: options.signal,
    pace,
    format: sse.format,
    headers: options.headers ?? new Headers(),
  }
}

function followed(
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

/** `ack(id, options)`, or as it was before: `ack(id, consumer, cursor, options)`. */
export function ackArgs(id: unknown, who: unknown, seen: unknown, given: unknown): AckArgs {
  if (typeof who === 'object' && who !== null && seen === undefined) {
    const stream = streamId(id, 'streamId')
    const options = ackedOptions(only(who, given), 'options')
    return {
      streamId: stream,
      consumer: consumer(options.consumer, 'options.consumer'),
      cursor: cursor(options.cursor, 'options.cursor'),
      owner: options.owner ?? null,
    }
  }
  return {
    streamId: streamId(id, 'streamId'),
    consumer: consumer(who, 'consumer'),
    cursor: cursor(seen, 'cursor'),
    owner: ackOptions(given, 'options').owner ?? null,
  }
}

export function acknowledgeArgs(id: unknown, given: unknown): AcknowledgeArgs {
  const stream = streamId(id, 'streamId')
  const { owner, consumer, onError } = acknowledgeOptions(given, 'options')
  return { streamId: stream, owner, consumer, onError }
}

/** What a group's consumer is made with. */
export interface Consuming extends Signalled {
  args: ConsumeArgs
}

export function consumeArgs(id: unknown, given: unknown): Consuming {
  const stream = streamId(id, 'streamId')
  const options = consumeOptions(given, 'options')
  return consuming(stream, options, options.owner ?? null, options.wait ?? DEFAULT_WAIT_MS)
}

export function finishedArgs(given: unknown): Consuming {
  return consuming(null, finishedOptions(given, 'options'), null, 0)
}

function consuming(
  stream: string | null,
  options: Omit<ReturnType<typeof consumeOptions>, 'owner' | 'wait'>,
  owner: string | null,
  waitMs: number,
): Consuming {
  const args = {
    streamId: stream,
    group: consumer(options.group, 'options.group'),
    consumer: consumer(options.consumer, 'options.consumer'),
    from: options.from ?? 'start',
    batch: options.batch ?? 16,
    claimIdleMs: options.claimIdleMs ?? 60_000,
    maxDeliveries: options.maxDeliveries ?? 5,
    owner,
    waitMs,
  }
  return { args, signal: options.signal }
}

export function deadArgs(given: unknown): Owned {
  const options = deadOptions(given, 'options')
  return {
    streamId: options.streamId ?? null,
    group: consumer(options.group, 'options.group'),
    owner: options.owner ?? null,
  }
}

/** The default pause between an event stream's keep-alive comments. */
export const HEARTBEAT_MS = 15_000

function framed(options: ReturnType<typeof checkSse>): { sse: SseArgs; pace: Pace } {
  const { format = 'events', replay = format === 'events' ? 'exact' : 'merged', retryMs = 1000 } = options
  return {
    sse: { format, retryMs, isMerged: replay === 'merged' },
    pace: {
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
      maxDurationMs: options.maxDurationMs,
      onError: options.onError,
    },
  }
}

/** `stop(id, options)`, or as it was before: `stop(id, reason, options)`. */
export function stopArgs(id: unknown, why: unknown, given: unknown) {
  const stream = streamId(id, 'streamId')
  const isOld = typeof why !== 'object' || why === null
  const words = isOld && why !== undefined ? reason(why, 'reason') : ''
  const options = stopOptions(isOld ? given : only(why, given), 'options')
  const { owner = null, keep = null } = options
  return { streamId: stream, reason: options.reason ?? words, owner, keepMs: keep }
}

/** Options that came first; nothing may come after them. */
function only(options: unknown, after: unknown): unknown {
  if (after === undefined) return options
  throw invalidArgument('options', 'must be the last argument')
}

export function cleanupArgs(given: unknown) {
  const options = cleanupOptions(given, 'options')
  const sweep: Omit<SweepArgs, 'streamIds'> = {
    olderThanMs: options.olderThan ?? DEFAULT_AGE_MS,
    outcomes: options.outcomes ?? [...OUTCOMES],
    force: options.force ?? false,
    dryRun: options.dryRun ?? false,
  }
  return { sweep, batch: options.batch ?? 100, signal: options.signal, onProgress: options.onProgress }
}

export function metricsArgs(given: unknown): { format: 'object' | 'prometheus' } {
  return { format: metricsOptions(given, 'options').format ?? 'object' }
}

export function memoryArgs(given: unknown): { streams: number } {
  return { streams: memoryOptions(given, 'options').streams ?? 8 }
}

/** For a chunk that goes nowhere near a producer, which checks as it writes, and no store whose bound it could pass. */
export function checkChunk(chunk: unknown): void {
  if (typeof chunk !== 'string' && !types.isUint8Array(chunk)) refuseChunk(chunk)
}

/** Says what is wrong with a chunk. */
export function refuseChunk(chunk: unknown): never {
  if (typeof chunk !== 'string' && !types.isUint8Array(chunk)) {
    const object = typeof chunk === 'object' && chunk !== null && !ArrayBuffer.isView(chunk)
    const advice = object ? ' (JSON.stringify it, or use tidemark/schema)' : ''
    return refuse('chunk', 'a string or a Uint8Array', chunk, advice)
  }
  throw tooLarge(Buffer.byteLength(chunk))
}

/** The one sentence about a chunk beyond the limit. */
function tooLarge(bytes: number): Error {
  const error = invalidArgument('chunk', `must be at most ${MAX_CHUNK_BYTES} bytes (32 MiB), got ${bytes}`)
  oversized.add(error)
  return error
}

const oversized = new WeakSet<object>()

/** Whether an error says that a chunk is beyond the limit: it cannot be kept, and may be passed on all the same. */
export function isTooLarge(error: unknown): boolean {
  return typeof error === 'object' && error !== null && oversized.has(error)
}

/** The URL that the environment names, if it does. */
export function urlFrom(environment: Environment): string | undefined {
  for (const name of ['TIDEMARK_URL', 'REDIS_URL', 'KV_URL']) {
    // An empty variable is how container files say "not set".
    const value = environment[name]
    if (value) return checkUrl(value, name)
  }
  return undefined
}

function ttlFrom(environment: Environment, name: string): number {
  const value = environment[name]
  if (!value) return DEFAULT_TTL_MS
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
  if (seconds >= 1 && seconds <= MAX_TTL_SECONDS) return seconds * 1000
  return refuse(name, `a whole number of seconds from 1 to ${MAX_TTL_SECONDS}`, value)
}

const lifetime = duration('1s', '365d')
/** The least TTL that a number without a unit is taken for. */
const LEAST_BARE_TTL_MS = 60_000

/** How long keys live. A small number is refused, since whoever writes it means seconds, as `EX` and `ttlSeconds` take them. */
function life(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value < LEAST_BARE_TTL_MS) {
    const other = value < 1000 ? `'${value}m' for minutes` : `'${value}ms' for milliseconds`
    throw invalidArgument(
      field,
      `needs a unit below ${LEAST_BARE_TTL_MS}, got ${value}: '${value}s' for seconds, ${other}`,
    )
  }
  return lifetime(value, field)
}

function keyPrefix(value: unknown, field: string): string {
  if (typeof value === 'string' && /^[^\s{}\p{Cc}\p{Cs}]{1,64}$/u.test(value)) return value
  return refuse(field, '1 to 64 characters without braces, control characters or white space', value)
}

function credentials(value: unknown, field: string): Provider {
  return typeof value === 'function' ? (value as Provider) : refuse(field, 'a function', value)
}

/** The level of gzip; 0 is off. */
function compression(value: unknown, field: string): number {
  if (typeof value === 'boolean') return value ? DEFAULT_LEVEL : 0
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 9) return Number(value)
  return refuse(field, 'true, false or a level from 1 to 9', value)
}

export function metadata(value: unknown, field: string): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch (cause) {
    throw invalidArgument(field, `cannot be written as JSON: ${(cause as Error)?.message}`, { cause })
  }
  if (json === undefined) return refuse(field, 'something that JSON can express', value)
  const bytes = Buffer.byteLength(json)
  if (bytes <= MAX_METADATA_BYTES) return json
  throw invalidArgument(field, `must be at most ${MAX_METADATA_BYTES} bytes of JSON, got ${bytes}`)
}

/** `'start'`, `'now'` or a cursor. */
export function from(value: unknown, field: string): string {
  if (value === 'start' || value === 'now' || isCursor(value)) return value
  return refuse(field, `'start', 'now' or the cursor of a chunk`, value)
}

/** The cursor of a chunk. */
export function cursor(value: unknown, field: string): string {
  return isCursor(value) ? value : refuse(field, 'the cursor of a chunk', value)
}

export function signal(value: unknown, field: string): AbortSignal {
  const given = value as Partial<AbortSignal> | null
  if (typeof given?.aborted === 'boolean' && typeof given.addEventListener === 'function') {
    return given as AbortSignal
  }
  return refuse(field, 'an AbortSignal', value)
}

function headers(value: unknown, field: string): Headers {
  try {
    if (typeof value === 'object' && value !== null)
      return new Headers(value as ConstructorParameters<typeof Headers>[0])
  } catch {
    // The error's words would repeat a value, which may be a session's cookie.
  }
  throw invalidArgument(field, 'must be headers as fetch takes them: valid names, and values of one line')
}
