import type * as api from '../../index'
import type { OnError } from '../errors/wording'
import { refusal } from '../http/refusal'
import { positionOf } from '../http/respond'
import { required } from '../options/checks'
import { generationOf } from '../util/cursor'
import type { AnswerMetadata } from './answer-start'
import { cursorOfSeen } from './seen'

export interface ResumeOptions
  extends Pick<api.RespondOptions, 'headers' | 'heartbeatMs' | 'maxDurationMs' | 'signal' | 'onError'> {
  owner: string
}

/**
 * The current answer as a response to `useChat`'s reconnecting: 204 when nothing is active, 403 for another owner. With
 * `?after=<id of the last message>`, an answer to that message is sent even if it has ended, in case the database is late; with
 * `&ago=<milliseconds>` no other, and none that had begun before, for a client whose request may have been lost. So is
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
    // Streams of this process can be followed anyway; for others, fail at once instead of waiting for the store.
    if (engine.state === 'degraded') return seen === null ? resumed() : nothing()
    const status = await engine.status(streamId)
    if (status === null) return nothing()
    if (status.owner !== options.owner) return forbidden()
    if (seen !== null && mark !== null) {
      const cursor = await cursorOfSeen(engine, status, { id: seen, mark })
      const headers = { 'cache-control': 'no-store' }
      return cursor === undefined ? nothing() : Response.json({ cursor }, { headers })
    }
    const [asked, ago] = [asks.get('after'), asks.get('ago')]
    const isAnswer = asked !== null && isAfter(status, asked) && (ago === null || isNew(status, Number(ago)))
    const isWanted = isAnswer || hasSeen(status, request) || (status.state === 'active' && ago === null)
    return isWanted ? resumed() : nothing()
  }, options.onError)
}

/** Whether the answer follows this message: as its answer, or as its continuation. */
export function isAfter({ metadata }: api.StreamStatus, asked: string): boolean {
  const { after, messageId, isContinued = false } = (metadata ?? {}) as Partial<AnswerMetadata>
  return asked === after || (isContinued && asked === messageId)
}

/** The store's clock may differ from this one by so much. */
const SKEW_MS = 2_000

/** Whether the answer has begun within this time. */
function isNew({ startedAt }: api.StreamStatus, ms: number): boolean {
  return Date.now() - startedAt.getTime() <= ms + SKEW_MS
}

/** Whether the client has seen a part of this answer already. */
function hasSeen({ generation }: api.StreamStatus, request: Request): boolean {
  const position = positionOf(request)
  return position !== undefined && generationOf(position) === generation
}

/** Stops the current answer: `{ result }`, that of `engine.stop`; 403 for another owner. */
export async function stopResponse(
  engine: api.Engine,
  streamId: string,
  options: { owner: string; reason?: string | undefined } & Pick<api.RespondOptions, 'onError'>,
): Promise<Response> {
  required({ ...options }, 'options', 'owner')
  return refusing(async () => {
    const { owner, reason } = options
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

export const nothing = () => new Response(null, { status: 204 })

export const forbidden = () =>
  Response.json({ code: 'ERR_FORBIDDEN', message: 'this chat is not yours' }, { status: 403 })
