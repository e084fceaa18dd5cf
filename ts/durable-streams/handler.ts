import type { Duration, Engine as PublicEngine } from '../../index'
import type { Engine } from '../core/engine'
import type { Log } from '../core/log'
import { invalidArgument, TidemarkError } from '../errors/errors'
import { type Answer, type Answerer, type Asked, webHandler } from '../http/asked'
import { callback, duration, integer, methods, object, required, text } from '../options/checks'
import { signal as signalOf } from '../options/fields'
import { answer, preflight, Refusal, refusal } from './answers'
import { head, read } from './reading'
import { checkConditions, forkingOf, idOf, isClosing } from './requests'
import { Control } from './subscriptions/control'
import { controlOptions, type SubscriptionOptions } from './subscriptions/options'
import { controlRefusal } from './subscriptions/refusals'
import { Farewell, Waiting } from './waiting'
import { append, create, type Fork, missing } from './writing'

/**
 * The operation of a request on a stream; an append that also closes is asked for as both. With {@link DurableStreamsOptions.subscriptions} also
 * `'subscribe'`, where the id is that of the subscription, and `'match'`, where it is a pattern: whether all streams that it matches, now and
 * later, may be subscribed to.
 */
export type Action = 'create' | 'append' | 'close' | 'read' | 'delete' | 'subscribe' | 'match'

/**
 * `true`: allowed. `{ owner }`: allowed as this owner, who also gets the stream if it is created. A response is sent as the answer. Anything
 * else is answered with 403.
 */
export type Permission = boolean | { owner: string } | Response | null | undefined

export interface DurableStreamsOptions {
  /** The engine that has the streams. */
  engine: PublicEngine
  /** Called before anything else is done. */
  authorize: (request: Request, streamId: string, action: Action) => Permission | Promise<Permission>
  /** The beginning of paths; the rest is the stream's id. Default `'/v1/stream/'`. */
  prefix?: string | undefined
  /** The longest body, 1 byte to 32 MiB. Default 32 MiB. A JSON array is at most 1 MiB, unless it is one message. */
  maxBodyBytes?: number | undefined
  /** How long a stream created without `Stream-TTL` and `Stream-Expires-At` lives after its last use: 1 s to 36,500 days, default `'7d'`. */
  ttl?: Duration | undefined
  /** How long a long poll waits, 1 ms to 1 hour. Default 20,000. */
  longPollMs?: number | undefined
  /** How long an event stream lasts before its client has to reconnect, 1 ms to 1 day. Default 60,000. */
  sseMs?: number | undefined
  /** Ends live reading gracefully, for a server that shuts down. */
  signal?: AbortSignal | undefined
  /** Turns the control APIs below `__ds` on: `docs/durable-streams.md`. All servers with the same streams must be given the same. */
  subscriptions?: SubscriptionOptions | undefined
  /** Called with errors whose messages are not for clients. */
  onError?: ((error: unknown) => unknown) | undefined
}

type Authorize = (asked: Asked, streamId: string, action: Action) => Permission | Promise<Permission>

const MAX_BODY = 32 << 20

const checkOptions = object({
  engine: methods('an engine', 'log'),
  authorize: callback,
  prefix: text(1, 1024),
  signal: signalOf,
  onError: callback<unknown>,
  subscriptions: controlOptions,
  maxBodyBytes: integer(1, MAX_BODY, 'bytes'),
  ttl: duration('1s', '36500d'),
  longPollMs: integer(1, 3_600_000, 'milliseconds'),
  sseMs: integer(1, 86_400_000, 'milliseconds'),
})

/**
 * A handler of the Durable Streams protocol, for a route that gets all methods of all paths below `prefix`. Streams are logs
 * ({@link PublicEngine.log}); streams of producers can be read.
 */
export function durableStreams(options: DurableStreamsOptions): (request: Request) => Promise<Response> {
  const checked = checkOptions(options, 'options')
  required(checked, 'options', 'engine', 'authorize')
  const { authorize } = options
  return webHandler(answering(checked, ({ request }, id, action) => authorize(request, id, action)))
}

/** What stands behind {@link durableStreams}. */
export function answerer(options: Omit<DurableStreamsOptions, 'authorize'>, authorize: Authorize): Answerer {
  return answering(checkOptions(options, 'options'), authorize)
}

function answering(options: ReturnType<typeof checkOptions>, authorize: Authorize): Answerer {
  const { prefix = '/v1/stream/', signal, onError, subscriptions } = options
  const engine = options.engine as Engine
  checkPrefix(prefix)
  const writing = {
    maxBodyBytes: options.maxBodyBytes ?? MAX_BODY,
    keepMs: options.ttl ?? 7 * 86_400_000,
  }
  const over = signal ?? new AbortController().signal
  const farewell = new Farewell(signal)
  const reading = {
    farewell,
    waiting: new Waiting(farewell),
    longPollMs: options.longPollMs ?? 20_000,
    sseMs: options.sseMs ?? 60_000,
  }
  const permit = permits(authorize)
  const permitted = async (asked: Asked, id: string, action: Action): Promise<Log | Response> => {
    const permission = await permit(asked, id, action)
    if (permission instanceof Response) return permission
    return engine.log(id, { owner: permission.owner ?? undefined })
  }
  const control = subscriptions && new Control({ ...subscriptions, engine, prefix, over, onError, permit })
  /** The source of a fork, if one is asked for: whoever creates the fork must be allowed to read it. */
  const fork = async (asked: Asked): Promise<Fork | Response | null> => {
    const forking = forkingOf(asked, prefix)
    if (forking === null) return null
    const log = await permitted(asked, forking.source, 'read')
    return log instanceof Response ? log : { ...forking, log, owner: log.owner }
  }
  const put = async (log: Log, asked: Asked): Promise<Answer | Response> => {
    const from = await fork(asked)
    return from instanceof Response ? from : create(log, asked, writing, from)
  }
  const handle = async (asked: Asked): Promise<Answer | Response> => {
    const { method, url } = asked
    if (control !== undefined && url.pathname.startsWith(`${prefix}__ds/`)) {
      if (method === 'OPTIONS') return preflight()
      const path = url.pathname.slice(prefix.length + '__ds/'.length)
      return control.handle(asked, path).catch((error) => controlRefusal(refused(error, onError)))
    }
    const id = idOf(url, prefix)
    if (method === 'OPTIONS') return preflight()
    const action = actionOf(asked)
    if (action === undefined) {
      throw new Refusal(405, 'method', 'GET, HEAD, PUT, POST, DELETE or OPTIONS', {
        Allow: 'GET, HEAD, PUT, POST, DELETE, OPTIONS',
      })
    }
    const log = await permitted(asked, id, action)
    if (log instanceof Response) return log
    // Whoever may only append does not close by the way.
    const closing = action === 'append' && isClosing(asked.headers) && (await permitted(asked, id, 'close'))
    if (closing instanceof Response) return closing
    if (action !== 'read') checkConditions(asked)
    switch (method) {
      case 'PUT':
        return put(log, asked)
      case 'POST':
        return append(log, asked, writing)
      case 'DELETE':
        await log.check()
        if (await log.delete()) return answer(204)
        throw await missing(log)
      case 'HEAD':
        return head(log)
      default:
        return read(log, asked, reading)
    }
  }
  return async (asked) => {
    try {
      return await handle(asked)
    } catch (error) {
      return refusal(refused(error, onError))
    }
  }
}

function checkPrefix(prefix: string): void {
  if (!prefix.startsWith('/') || !prefix.endsWith('/')) {
    throw invalidArgument('options.prefix', 'must begin and end with a slash')
  }
  const base = 'http://localhost'
  if (!URL.canParse(prefix, base) || new URL(prefix, base).pathname !== prefix) {
    throw invalidArgument('options.prefix', 'must be a path as URLs have it, such as /my%20streams/')
  }
}

/** Asks whether a request may do something: the owner as whom, or the response that is the answer. */
function permits(authorize: Authorize) {
  return async (asked: Asked, id: string, action: Action) => {
    const permission = await authorize(asked, id, action)
    if (permission instanceof Response) return permission
    const owner = typeof permission === 'object' ? permission?.owner : undefined
    if (permission !== true && owner === undefined) throw new Refusal(403, 'forbidden', 'this is not allowed')
    return { owner: owner ?? null }
  }
}

function actionOf({ method, headers, hasBody }: Asked): Action | undefined {
  switch (method) {
    case 'PUT':
      return 'create'
    case 'POST':
      // A body without a length may have something in it.
      return isClosing(headers) && !(hasBody && headers.get('content-length') !== '0') ? 'close' : 'append'
    case 'DELETE':
      return 'delete'
    case 'GET':
    case 'HEAD':
      return 'read'
    default:
      return undefined
  }
}

function refused(error: unknown, onError: ((error: unknown) => unknown) | undefined): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof TidemarkError) {
    if (error.code === 'ERR_FORBIDDEN') return new Refusal(403, 'forbidden', 'this is not allowed')
    if (error.code === 'ERR_NOT_FOUND') return new Refusal(404, 'not_found', 'there is no such stream')
    if (error.code === 'ERR_GAP') return new Refusal(410, 'gone', 'what was asked for is not there any more')
    onError?.(error)
    const isPassing = error.retryable || error.code === 'ERR_CLOSED'
    if (isPassing)
      return new Refusal(503, 'unavailable', 'the store cannot be reached', { 'Retry-After': '1' })
  } else onError?.(error)
  return new Refusal(500, 'internal', 'something went wrong')
}
