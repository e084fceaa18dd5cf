import type * as api from '../../index'
import { generationIn, lastCursorOf } from '../core/pipe'
import { callback, oneOf } from '../options/checks'
import { ttl } from '../options/fields'
import type { MaybePromise } from '../util/deferred'
import { deferred, ignore } from '../util/deferred'
import { hasMadeWay } from './after-stop'
import { type Answer, AnswerSource, type Encode, type Prelude } from './answer'

type WaitUntil = (done: Promise<unknown>) => void

/** How an answer is kept. */
export interface AnswerOptions {
  /** Whose chat it is: only with the same owner can its answers be continued, followed and stopped. 1–512 bytes. */
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

/** What a stream says of the answer that it holds. */
export interface AnswerMetadata {
  /** Of `chatRoutes` alone. */
  chatId?: string
  /** Whose hook is told of its end. */
  deployment?: string | undefined
  messageId?: string
  /** The message that is answered. */
  after: string | null
  /** The message in front of the request's last one, if it says so. */
  previous?: string | undefined
  /** The request's last message, for other tabs and devices; undefined if it is large. */
  question?: unknown
  /** Whether the answer's message was there before, and its parts so far begin the generation. */
  isContinued?: boolean | undefined
}

/** A generation that has begun. */
export interface Started {
  /** What the client is sent that has asked. */
  chunks: ReadableStream<api.ChunkData>
  /** The cursor of the chunk that was read last; nothing of one that is not kept. */
  cursor: () => string | undefined
  /** Which generation it is, undefined without a store; and how many of its chunks this client is not sent, once that is known. */
  place?: () => Promise<{ generation: string | undefined; hidden: number }>
  /** Undefined: the store could not be reached, and the client was sent the answer all the same. */
  done: Promise<api.Outcome | undefined>
}

interface Hooks {
  prelude?: Prelude | undefined
  metadata?: unknown
  /** The words for what ends the answer, and for the errors within it. */
  wording: (error: unknown) => string
  /** Called once the answer has ended, or could not be started. */
  afterwards?: (() => MaybePromise<unknown>) | undefined
}

/** Starts a generation, after the one before if that is being stopped; rejects with the reason why it could not. */
export async function startAnswer(
  engine: api.Engine,
  streamId: string,
  open: (signal: AbortSignal) => MaybePromise<Answer>,
  encode: Encode,
  { waitUntil = ofHost(), afterwards, wording, prelude, ...options }: AnswerOptions & Hooks,
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
    // A source that was never begun was stopped before, or refused.
    done.then(() => started.resolve(), started.reject)
    await started.promise
    return chunks
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
  const chunks = await starting
  const hidden = () => source?.hidden ?? 0
  const place = async () => {
    await source?.counted
    return { generation: await generationIn(chunks), hidden: hidden() }
  }
  return { chunks: rest(chunks, hidden), cursor: () => lastCursorOf(chunks), place, done }
}

/** What follows the first chunks; how many these are is known when the first one comes. */
function rest(chunks: ReadableStream<api.ChunkData>, hidden: () => number): ReadableStream<api.ChunkData> {
  const reader = chunks.getReader()
  let count = 0
  return new ReadableStream<api.ChunkData>(
    {
      async pull(controller) {
        for (;;) {
          const { done, value } = await reader.read()
          if (done) return controller.close()
          if (++count > hidden()) return controller.enqueue(value)
        }
      },
      cancel: () => reader.cancel(),
    },
    { highWaterMark: 0 },
  )
}

/** Hosts tell by these names what `after` of Next.js and `waitUntil` of Vercel's package come down to. */
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
