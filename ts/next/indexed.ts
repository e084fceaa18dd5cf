/** Answers for clients that count chunks: every chunk as it was written, from a number on. */
import type * as api from '../../index'
import { cutError, FailedError, GapError, InterruptedError, invalidArgument } from '../errors/errors'
import { wording as wordingOf } from '../errors/wording'
import { uiMessage } from '../http/events'
import { cursorAt } from '../util/cursor'
import { deferred, ignore } from '../util/deferred'
import { answerResponse, isCutShort } from './answer-response'
import type { Started } from './answer-start'
import { forbidden, isAfter, nothing, type ResumeOptions } from './responses'

/** An answer, and how many of its chunks do not count because its client was not sent them. */
export interface Run {
  readonly chatId: string
  /** Which of the chat's answers; undefined: the current one. */
  readonly generation: string | undefined
  /** How many chunks are before the client's first one, which has the index 0. */
  readonly hidden: number
}

const RUN = /^([0-7][0-9A-HJKMNP-TV-Z]{25})\.(\d{1,9})\.(.+)$/s

/** The id with which `WorkflowChatTransport` asks for the rest of an answer. It is opaque to the client, and no secret. */
export function runIdOf(run: { chatId: string; generation: string; hidden: number }): string {
  return encodeURIComponent(`${run.generation}.${run.hidden}.${run.chatId}`)
}

/** The run that an id names; a chat's id is its current answer. */
export function runOf(id: string): Run {
  let decoded = id
  try {
    decoded = decodeURIComponent(id)
  } catch {
    // A chat's id with a per cent sign in it.
  }
  const [, generation, hidden, chatId] = RUN.exec(decoded) ?? []
  if (generation === undefined || chatId === undefined)
    return { chatId: id, generation: undefined, hidden: 0 }
  return { chatId, generation, hidden: Number(hidden) }
}

/** A number that a request's query asks for, if it does. */
export function indexIn(request: Request, name: 'startIndex' | 'sequence'): number | undefined {
  const given = new URL(request.url).searchParams.get(name)
  if (given === null) return undefined
  const isRight = (name === 'startIndex' ? /^-?\d{1,15}$/ : /^\d{1,15}$/).test(given)
  if (!isRight) throw invalidArgument(name, 'must be a whole number')
  return Number(given)
}

interface IndexedOptions extends Pick<ResumeOptions, 'owner' | 'onError' | 'maxDurationMs'> {
  signal: AbortSignal
  /** The message that the client waits for an answer to: that is sent although it has ended. */
  after: string | null
  /** The client asks until it has seen a `finish`, and takes nothing else for an end. */
  needsFinish: boolean
}

/** An answer's chunks from this index on, a negative one counting from the end. 204 when nothing is active, unless a `finish` is needed. */
export async function indexedResponse(
  engine: api.Engine,
  streamId: string,
  run: Run,
  index: number,
  options: IndexedOptions,
): Promise<Response> {
  const { owner, after, needsFinish, onError, maxDurationMs } = options
  const status = await engine.status(streamId)
  if (status !== null && status.owner !== owner) return forbidden()
  const generation = run.generation ?? status?.generation
  const isWanted =
    run.generation !== undefined ||
    status?.state === 'active' ||
    (status !== null && after !== null && isAfter(status, after))
  if (!isWanted || status === null || generation === undefined) {
    return needsFinish ? answerResponse(startedWith(finish()), String) : nothing()
  }
  const isCurrent = generation === status.generation
  const count = Math.max(0, status.lastSeq - status.firstSeq + 1 - run.hidden)
  const start = run.hidden + (index < 0 ? Math.max(0, count + index) : index)
  // The first seq is known of the current answer only: of the one before, the first chunks are read and skipped.
  const from = cursorAt(generation, isCurrent ? status.firstSeq - 1 + start : 0)
  const left = new AbortController()
  const signal = AbortSignal.any([options.signal, left.signal])
  const texts = copy(engine, streamId, from, isCurrent ? 0 : start, { ...options, signal })
  const started = startedWith(texts, () => left.abort())
  const response = answerResponse(started, wordingOf(onError), maxDurationMs)
  if (isCurrent) response.headers.set('x-workflow-stream-tail-index', String(count - 1))
  return response
}

type Texts = AsyncGenerator<string, api.Outcome>

/** As if an answer had begun with these texts. */
function startedWith(texts: Texts, leave: () => void = ignore): Started {
  const done = deferred<api.Outcome>()
  const events = {
    async next(): Promise<IteratorResult<Uint8Array, unknown>> {
      const result = await texts.next()
      if (!result.done) return { done: false, value: uiMessage(result.value) }
      done.resolve(result.value)
      return result
    },
    leave,
  }
  return { events, done: done.promise }
}

const FINISH = '{"type":"finish"}'

/** For a client that waits for a `finish` where there is no answer to resume. */
async function* finish(): Texts {
  yield FINISH
  return 'complete'
}

/** The chunks after `from` without the first few, and, if the client needs one, a `finish`, however the answer ended. */
async function* copy(
  engine: api.Engine,
  streamId: string,
  from: string,
  skipped: number,
  { owner, signal, needsFinish }: IndexedOptions,
): Texts {
  const subscription = engine.subscribe(streamId, { from, owner, signal, wait: 0 })
  let last = ''
  let count = 0
  try {
    for await (const chunk of subscription) {
      if (count++ < skipped) continue
      last = chunk.text()
      yield last
    }
  } catch (error) {
    // A client that leaves is no failure.
    if (signal.aborted) throw cutError(streamId)
    const words = endOf(error)
    if (words === undefined) throw error
    if (!isCutShort(last)) yield JSON.stringify({ type: 'error', errorText: words })
  }
  const outcome = subscription.outcome ?? 'complete'
  if (!needsFinish || /^\{"type":"finish"[,}]/.test(last)) return outcome
  if (outcome === 'stopped' && !isCutShort(last)) yield '{"type":"abort"}'
  yield FINISH
  return 'complete'
}

/** The text of the error for an answer that ended badly; undefined if only this connection did. */
function endOf(error: unknown): string | undefined {
  if (error instanceof FailedError) return error.reason
  if (error instanceof InterruptedError) return `interrupted: ${error.reason}`
  return error instanceof GapError ? 'This answer is not kept any more.' : undefined
}
