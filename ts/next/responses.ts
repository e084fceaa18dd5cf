import type * as api from '../../index'
import type { OnError } from '../errors/wording'
import { refusal } from '../http/refusal'
import { positionOf } from '../http/respond'
import { required } from '../options/checks'
import { generationOf } from '../util/cursor'
import type { AnswerMetadata } from './answer-start'
import { previousOf } from './previous'
import { cursorOfSeen } from './seen'

export interface ResumeOptions
  extends Pick<api.RespondOptions, 'headers' | 'heartbeatMs' | 'maxDurationMs' | 'signal' | 'onError'> {
  owner: string
}

/**
 * The current answer as a response to `useChat`'s reconnecting: 204 when nothing is active, 403 for another owner. With
 * `?after=<id of the last message>`, an answer to that message is sent even if it has ended, in case the database is late; with
 * `&ago=<milliseconds>` no other, and none that had begun before, for a client whose request may have been lost; an active answer
 * that does not say what it follows counts as well. `&past=<generation>` leaves out answers up to that one. So is
 * the rest of an answer whose beginning the client has seen, after the cursor of `Last-Event-ID` or `?cursor=`. A page that has kept a
 * part of the message, and no cursor, asks for that with `?seen=<the message's id>&mark=`, and gets `{ cursor }`, or 204.
 */
export async function resumeResponse(
  engine: api.Engine,
  request: Request,
  streamId: string,
  options: ResumeOptions,
): Promise<Response> {
  required({ ...options }, 'options', 'owner')
  return refusing(async () => {
    const asks = new URL(request.url).searchParams
    const [seen, mark] = [asks.get('seen'), asks.get('mark')]
    // A client that has seen the beginning may ask for the exact rest, without the starts of open parts.
    const isExact = asks.get('replay') === 'exact' && positionOf(request) !== undefined
    const replay = isExact ? 'exact' : 'merged'
    const resumed = () =>
      engine.respond(request, streamId, { ...options, format: 'ui-messages', replay, wait: 0 })
    const [asked, ago] = [asks.get('after'), asks.get('ago')]
    // Streams of this process can be followed anyway; for others, fail at once instead of waiting for the store.
    if (engine.state === 'degraded') {
      if (ago !== null) return unreachable()
      return seen === null ? resumed() : nothing()
    }
    const status = await engine.status(streamId)
    if (status === null) return nothing()
    if (status.owner !== options.owner) return forbidden()
    if (seen !== null && mark !== null) {
      const cursor = await cursorOfSeen(engine, status, { id: seen, mark })
      const headers = { 'cache-control': 'no-store' }
      return cursor === undefined ? nothing() : Response.json({ cursor }, { headers })
    }
    const isAnswer = asked !== null && isAfter(status, asked)
    const isActive = status.state === 'active'
    const isWanted =
      ago === null
        ? isAnswer || isActive
        : (isAnswer || (isActive && isUnknown(status))) && isNew(status, Number(ago), asks.get('past') ?? '')
    return isWanted || hasSeen(status, request) ? resumed() : nothing()
  }, options.onError)
}

/** Whether the answer follows this message: as its answer, or as its continuation. */
export function isAfter({ metadata }: api.StreamStatus, asked: string): boolean {
  const { after, messageId, isContinued = false } = (metadata ?? {}) as Partial<AnswerMetadata>
  return asked === after || (isContinued && asked === messageId)
}

/** The store's clock may differ from this one by so much. */
const SKEW_MS = 2_000

/** Whether the answer has begun within this time, and after this generation. */
function isNew({ startedAt, generation }: api.StreamStatus, ms: number, past: string): boolean {
  // The client's clock may have been put back.
  return generation > past && Date.now() - startedAt.getTime() <= Math.max(0, ms) + SKEW_MS
}

/** Whether the answer does not say which message it follows. */
function isUnknown({ metadata }: api.StreamStatus): boolean {
  return ((metadata ?? {}) as Partial<AnswerMetadata>).after == null
}

/** Whether the client has seen a part of this answer already. */
function hasSeen({ generation }: api.StreamStatus, request: Request): boolean {
  const position = positionOf(request)
  return position !== undefined && generationOf(position) === generation
}

/**
 * Stops the current answer: `{ result }`, that of `engine.stop`; 403 for another owner. `generation`: the last answer that is meant,
 * from `?generation=` of a client that asks again; `'ended'` if there is a later one.
 */
export async function stopResponse(
  engine: api.Engine,
  streamId: string,
  options: { owner: string; reason?: string | undefined; generation?: string | null | undefined } & Pick<
    api.RespondOptions,
    'onError'
  >,
): Promise<Response> {
  required({ ...options }, 'options', 'owner')
  return refusing(async () => {
    const { owner, reason, generation } = options
    const current = generation ? await previousOf(engine, streamId, owner) : null
    if (generation && current !== null && current.generation > generation)
      return Response.json({ result: 'ended' })
    return Response.json({ result: await engine.stop(streamId, { reason, owner }) })
  }, options.onError)
}

/** The engine's refusal, as a response. */
export async function refusing(
  serve: () => Promise<Response>,
  onError: OnError | undefined,
): Promise<Response> {
  try {
    return await serve()
  } catch (error) {
    return refusal(error, onError)
  }
}

export const nothing = (): Response => new Response(null, { status: 204 })

const unreachable = () =>
  Response.json(
    { code: 'ERR_CONNECTION', message: 'the store cannot be reached' },
    { status: 503, headers: { 'cache-control': 'no-store', 'retry-after': '1' } },
  )

export const forbidden = (): Response =>
  Response.json({ code: 'ERR_FORBIDDEN', message: 'this chat is not yours' }, { status: 403 })
