import type { ErrorCode, SchemaIssue } from '../../index'

/** An error as JSON. `reason`, `field` and `resume` where the class has them. */
export interface NativeError {
  code: string
  message: string
  streamId: string | null
  retryable: boolean
  reason?: string
  field?: string
  resume?: string
  expected?: number
}

/** The page that describes each code: its causes, and what to do. */
export const DOCS = 'https://github.com/tidemark-dev/tidemark/blob/main/docs/errors.md'

type Fields = Omit<NativeError, 'code'> & { issues?: readonly SchemaIssue[] }

export class TidemarkError extends Error {
  readonly code: ErrorCode
  readonly streamId: string | undefined
  readonly retryable: boolean
  readonly docs: string

  constructor(code: ErrorCode, fields: Fields, options?: ErrorOptions) {
    super(fields.message, options)
    this.code = code
    this.docs = `${DOCS}#${code.toLowerCase()}`
    this.streamId = fields.streamId ?? undefined
    this.retryable = fields.retryable
  }
}

export class InvalidArgumentError extends TidemarkError {
  readonly field: string

  constructor(code: ErrorCode, fields: Fields, options?: ErrorOptions) {
    super(code, fields, options)
    this.field = fields.field ?? ''
  }
}

/** The base class of errors with a reason; not exported. */
class ReasonError extends TidemarkError {
  readonly reason: string

  constructor(code: ErrorCode, fields: Fields) {
    super(code, fields)
    this.reason = fields.reason ?? ''
  }
}

export class GapError extends TidemarkError {
  readonly resume: string

  constructor(code: ErrorCode, fields: Fields) {
    super(code, fields)
    this.resume = fields.resume ?? ''
  }
}

export class SchemaError extends TidemarkError {
  readonly path: string
  readonly issues: readonly SchemaIssue[]

  constructor(code: ErrorCode, fields: Fields) {
    super(code, fields)
    this.issues = fields.issues ?? []
    this.path = this.issues[0]?.path ?? ''
  }
}

export class ConnectionError extends TidemarkError {}
export class TimeoutError extends TidemarkError {}
export class StoreError extends TidemarkError {}
export class ActiveError extends TidemarkError {}
export class FencedError extends TidemarkError {}
export class EndedError extends TidemarkError {}
export class ConflictError extends TidemarkError {
  readonly expected: number | undefined

  constructor(code: ErrorCode, fields: Fields & { expected?: number }) {
    super(code, fields)
    this.expected = fields.expected
  }
}
export class StoppedError extends ReasonError {}
export class BackpressureError extends TidemarkError {}
export class AckTimeoutError extends TidemarkError {}
export class NotFoundError extends TidemarkError {}
export class ForbiddenError extends TidemarkError {}
export class FailedError extends ReasonError {}
export class InterruptedError extends ReasonError {}
export class CorruptError extends TidemarkError {}
export class ClosedError extends TidemarkError {}
export class PlatformError extends TidemarkError {}
export class InternalError extends TidemarkError {}

type ErrorClass = new (code: ErrorCode, fields: Fields) => TidemarkError

/** In the order of `src/error.rs`; a test compares the two. Names are written out because minifiers rename classes. */
export const TABLE: ReadonlyArray<readonly [ErrorCode, ErrorClass, string]> = [
  ['ERR_INVALID_ARGUMENT', InvalidArgumentError, 'InvalidArgumentError'],
  ['ERR_SCHEMA', SchemaError, 'SchemaError'],
  ['ERR_CONNECTION', ConnectionError, 'ConnectionError'],
  ['ERR_TIMEOUT', TimeoutError, 'TimeoutError'],
  ['ERR_STORE', StoreError, 'StoreError'],
  ['ERR_ACTIVE', ActiveError, 'ActiveError'],
  ['ERR_FENCED', FencedError, 'FencedError'],
  ['ERR_ENDED', EndedError, 'EndedError'],
  ['ERR_CONFLICT', ConflictError, 'ConflictError'],
  ['ERR_STOPPED', StoppedError, 'AbortError'],
  ['ERR_BACKPRESSURE', BackpressureError, 'BackpressureError'],
  ['ERR_ACK_TIMEOUT', AckTimeoutError, 'AckTimeoutError'],
  ['ERR_NOT_FOUND', NotFoundError, 'NotFoundError'],
  ['ERR_GAP', GapError, 'GapError'],
  ['ERR_FORBIDDEN', ForbiddenError, 'ForbiddenError'],
  ['ERR_FAILED', FailedError, 'FailedError'],
  ['ERR_INTERRUPTED', InterruptedError, 'InterruptedError'],
  ['ERR_CORRUPT', CorruptError, 'CorruptError'],
  ['ERR_CLOSED', ClosedError, 'ClosedError'],
  ['ERR_PLATFORM', PlatformError, 'PlatformError'],
  ['ERR_INTERNAL', InternalError, 'InternalError'],
]

export const ERROR_CODES: readonly ErrorCode[] = TABLE.map(([code]) => code)

const BY_CODE = new Map<string, readonly [ErrorCode, ErrorClass]>()
for (const [code, type, name] of [...TABLE, ['', TidemarkError, 'TidemarkError'] as const]) {
  if (code !== '') BY_CODE.set(code, [code, type])
  Object.defineProperty(type.prototype, 'name', { value: name, configurable: true, writable: true })
}

/** Where a call came from, for an error that is created when its answer arrives. */
export interface Origin {
  stack?: string
}

type Called = (...args: never[]) => unknown

/** The public function that is being called, during its synchronous part. */
let entry: Called | undefined

/** Runs what a public function does: the stacks of its errors begin where that was called. */
export function called<T>(by: Called, work: () => T): T {
  const before = entry
  entry = by
  try {
    return work()
  } catch (error) {
    throw startingAt(error, by)
  } finally {
    entry = before
  }
}

/** {@link called} for methods of a class. Costs a little at each call, so it is not for those that every chunk goes through. */
export function publish<T extends object>(
  { prototype }: { prototype: T },
  ...names: (keyof T & string)[]
): void {
  for (const name of names) {
    const method = prototype[name] as (...args: unknown[]) => unknown
    const value = function (this: T, ...args: unknown[]): unknown {
      return called(value, () => method.apply(this, args))
    }
    Object.defineProperty(value, 'name', { value: name, configurable: true })
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true })
  }
}

/** An error of ours whose stack begins where this function was called, which is still running. Any other as it is. */
export function startingAt(error: unknown, above: Called | undefined = entry): unknown {
  if (error instanceof TidemarkError && above !== undefined) capture(error, above)
  return error
}

/** Older Firefox and Safari do not have this function. */
function capture(into: object, above: Called): void {
  Error.captureStackTrace?.(into, above)
}

/**
 * Costs microseconds, so it is for calls and subscriptions, not for chunks. The public function that is being called, or else
 * `above`, and what it called are left out.
 */
export function origin(above: Called): Origin {
  const here: Origin = {}
  capture(here, entry ?? above)
  return here
}

/** The origin of calls that no caller has made: an HTTP request's, whose stack shows nothing. */
export const NOWHERE: Origin = {}

/** The native error as an instance of its class, with the stack of the call that it answers. */
export function fromNative(native: NativeError, from?: Origin): TidemarkError {
  const [code, type] = BY_CODE.get(native.code) ?? ['ERR_INTERNAL', InternalError]
  const error = new type(code, native)
  const frames = from?.stack?.indexOf('\n    at ') ?? -1
  if (from?.stack !== undefined && frames >= 0) {
    error.stack = `${error.name}: ${error.message}${from.stack.slice(frames)}`
  }
  return error
}

/** What a native function threw: its message is a {@link NativeError} as JSON, anything else is a defect. */
export function fromThrown(thrown: unknown, from?: Origin): TidemarkError {
  // Not by its class: a test runner's sandbox has classes of its own.
  const { message = String(thrown) } = (thrown ?? {}) as { message?: string }
  if (message.startsWith('{')) {
    try {
      return fromNative(JSON.parse(message) as NativeError, from)
    } catch {
      // Not ours after all.
    }
  }
  return new InternalError(
    'ERR_INTERNAL',
    { message: `internal error: ${message}; please report it`, streamId: null, retryable: false },
    { cause: thrown },
  )
}

function create(code: ErrorCode, message: string, streamId: string | null, from?: Origin): TidemarkError {
  return fromNative({ code, message, streamId, retryable: code === 'ERR_BACKPRESSURE' }, from)
}

export function invalidArgument(
  field: string,
  problem: string,
  options?: ErrorOptions,
): InvalidArgumentError {
  const fields = { message: `${field}: ${problem}`, streamId: null, retryable: false, field }
  const error = new InvalidArgumentError('ERR_INVALID_ARGUMENT', fields, options)
  // A stack is ten lines long, and the caller's own is to be the first of them.
  capture(error, entry ?? invalidArgument)
  return error
}

/** An event of this type, if it has one, does not fit; there is at least one issue. */
export function schemaError(type: string | undefined, issues: readonly SchemaIssue[]): TidemarkError {
  const event = type === undefined ? 'event' : `event ${JSON.stringify(type)}`
  const problems = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
  const message = `${event}: ${problems.join('; ')}`
  const error = new SchemaError('ERR_SCHEMA', { message, streamId: null, retryable: false, issues })
  capture(error, entry ?? schemaError)
  return error
}

/** The error for a generation that did not end in time. */
export function timeoutError(streamId: string, ms: number, from?: Origin): TidemarkError {
  const message = `stream ${JSON.stringify(streamId)} has not ended within ${ms} ms`
  return fromNative({ code: 'ERR_TIMEOUT', message, streamId, retryable: true }, from)
}

export function closedError(from?: Origin): TidemarkError {
  return create('ERR_CLOSED', 'the engine is closed', null, from)
}

/**
 * The error that breaks off a body whose client would take a clean end for the stream's end. Next.js does not report errors of this
 * name, which is right: the response is cut off on purpose.
 */
export function cutError(streamId: string | null): TidemarkError {
  const message = 'the response ends before the stream does; the client is to resume it'
  const error = fromNative({ code: 'ERR_CLOSED', message, streamId, retryable: true })
  return Object.defineProperty(error, 'name', { value: 'ResponseAborted', configurable: true })
}

export function endedError(streamId: string, how: string): TidemarkError {
  const stream = JSON.stringify(streamId)
  return create(
    'ERR_ENDED',
    `stream ${stream} has ended as ${how}; nothing can be written to this generation`,
    streamId,
  )
}

export function backpressureError(streamId: string, queued: number, limit: number): TidemarkError {
  const message =
    `stream ${JSON.stringify(streamId)}: the queue holds ${queued} of at most ${limit} bytes, with what each chunk ` +
    'costs beside its own; await producer.ready before writing on'
  return create('ERR_BACKPRESSURE', message, streamId)
}

/** `stopped`, `failed` and `interrupted` as errors: of a producer's signal, and of a subscription's loop. */
export function outcomeError(
  outcome: 'stopped' | 'failed' | 'interrupted',
  streamId: string,
  reason: string,
  from?: Origin,
): TidemarkError {
  const [code, verb] = {
    stopped: ['ERR_STOPPED', 'was stopped'],
    failed: ['ERR_FAILED', 'failed'],
    interrupted: ['ERR_INTERRUPTED', 'was interrupted'],
  }[outcome] as [ErrorCode, string]
  const message = `stream ${JSON.stringify(streamId)} ${verb}${reason === '' ? '' : `: ${reason}`}`
  return fromNative({ code, message, streamId, retryable: false, reason }, from)
}
