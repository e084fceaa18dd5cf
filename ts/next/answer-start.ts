import type * as api from '../../index'
import { type Events, eventsOf, generationIn } from '../core/pipe'
import { callback, oneOf } from '../options/checks'
import { ttl } from '../options/fields'
import type { MaybePromise } from '../util/deferred'
import { deferred, ignore } from '../util/deferred'
import { hasMadeWay } from './after-stop'
import { type Answer, AnswerSource, type Encode, type Prelude } from './answer'

type WaitUntil = (done: Promise<unknown>) => void

/** How an answer is kept. */
export interface AnswerOptions {
  /** The owner of the chat: its answers can be continued, followed and stopped only with the same owner. 1–512 bytes. */
  owner: string
  /** If the chat is being answered already: `'error'` (default), or `'takeover'`, which interrupts that answer. */
  ifActive?: 'error' | 'takeover' | undefined
  /** Overrides the engine's. */
  ttl?: api.Ttl | undefined
  /**
   * Keeps a serverless function alive until the answer has ended: `after` of `next/server`, `waitUntil` of
   * `@vercel/functions`. Default: what the host offers, if anything.
   */
  waitUntil?: WaitUntil | undefined
}

export const answerFields = { ifActive: oneOf('error', 'takeover'), ttl, waitUntil: callback }

/** The metadata of an answer's stream. */
export interface AnswerMetadata {
  /** Only set by `chatRoutes`. */
  chatId?: string
  /** The deployment whose hook is called at the answer's end. */
  deployment?: string | undefined
  messageId?: string
  /** The message that is answered. */
  after: string | null
  /** The message before the request's last one, if the request has it. */
  previous?: string | undefined
  /** The request's last message, for other tabs and devices; undefined if it is large. */
  question?: unknown
  /** Whether the answer's message was there before, and its parts so far begin the generation. */
  isContinued?: boolean | undefined
}

/** A generation that has begun. */
export interface Started {
  /** What the client is sent that has asked, but for what ends it. */
  events: Events
  /** The generation, if it is in a store, and how many of its chunks come before the first one that the client is sent. */
  position?: () => Promise<{ generation: string | undefined; hidden: number }>
  /** Undefined: the store could not be reached, and the client was sent the answer all the same. */
  done: Promise<api.Outcome | undefined>
}

interface Hooks {
  prelude?: Prelude | undefined
  metadata?: unknown
  /** Turns errors into text: the one that ends the answer, and those within it. */
  wording: (error: unknown) => string
  /** Whether the client that has asked is sent the answer by somebody else. */
  isUnread?: boolean
  /** Called once the answer has ended, or could not be started. */
  afterwards?: (() => MaybePromise<unknown>) | undefined
}

/** Starts a generation, after the previous one if that is being stopped; rejects with the reason if it cannot. */
export async function startAnswer(
  engine: api.Engine,
  streamId: string,
  open: (signal: AbortSignal) => MaybePromise<Answer>,
  encode: Encode,
  { waitUntil = ofHost(), afterwards, wording, prelude, isUnread = false, ...options }: AnswerOptions & Hooks,
): Promise<Started> {
  let started = deferred<void>()
  let done = Promise.resolve<api.Outcome | undefined>(undefined)
  let source: AnswerSource | undefined
  const begin = (signal: AbortSignal) => {
    source = new AnswerSource(() => open(signal), encode, signal, wording, prelude)
    started.resolve()
    return source
  }
  const attempt = async () => {
    started = deferred<void>()
    const chunks = engine.pipe(streamId, begin, {
      ...options,
      onError: wording,
      waitUntil: (ended) => {
        done = ended as typeof done
      },
    })
    const begun = started.promise
    const hidden = {
      get count() {
        return source?.hidden.count ?? 0
      },
      known: begun.then(() => source?.hidden.known ?? 0).catch(() => 0),
    }
    const events = eventsOf(chunks, hidden)
    // The other promise reports the error that ends it.
    if (isUnread) chunks.cancel().catch(ignore)
    // If the source was never started, the answer was stopped before, or refused.
    done.then(() => started.resolve(), started.reject)
    await begun
    const position = async () => ({ generation: generationIn(chunks), hidden: await hidden.known })
    return { events, position }
  }
  const starting = attempt().catch(async (refused) => {
    if (await hasMadeWay(engine, streamId, options.owner, refused)) return attempt()
    throw refused
  })
  const closed = starting
    .then(() => done)
    .catch(ignore)
    .then(() => source?.closed)
    .then(afterwards)
  waitUntil?.(closed)
  return { ...(await starting), done }
}

/** Under these names hosts offer what `after` of Next.js and `waitUntil` of Vercel's package use. */
function ofHost(): WaitUntil | undefined {
  const global = globalThis as Record<
    symbol,
    { get?: () => { waitUntil?: WaitUntil } | undefined } | undefined
  >
  for (const name of ['@next/request-context', '@vercel/request-context']) {
    const context = global[Symbol.for(name)]?.get?.()
    if (typeof context?.waitUntil === 'function') return (done) => context.waitUntil?.(done)
  }
  return undefined
}
