// Live reading as server-sent events.

import type * as api from '../../index'
import type { Log, LookedAt } from '../core/log'
import type { Subscription } from '../core/subscription'
import type { Answer, Asked } from '../http/asked'
import { BYTES } from '../options/log-options'
import { cursorBefore } from '../util/cursor'
import { answer } from './answers'
import { arrayOf, bytesOf } from './bodies'
import { Characters } from './characters'
import { offsetOf } from './offsets'
import { isJson } from './requests'
import { type Farewell, whenOver } from './waiting'

/** The most chunks of one event. */
const MOST = 256

type Format = 'json' | 'text' | 'base64'

function formatOf(contentType: string): Format {
  if (isJson(contentType)) return 'json'
  return contentType.trim().toLowerCase().startsWith('text/') ? 'text' : 'base64'
}

/** Chunks as the texts of events. */
class Shown {
  readonly #format: Format
  readonly #characters: Characters

  constructor(log: Log, format: Format) {
    this.#format = format
    this.#characters = new Characters(log)
  }

  /** The first chunk that is not shown yet. */
  get held(): api.Chunk | undefined {
    return this.#characters.held
  }

  /** The event of what can be shown now that these have come; of all, when nothing follows them. Empty, if that is nothing. */
  async event(chunks: readonly api.Chunk[], isEnd: boolean): Promise<string> {
    const text = await this.#text(chunks, isEnd)
    if (text === '') return ''
    const lines = text.split(/\r\n|\r|\n/).map((line) => `data:${line}\n`)
    return `event: data\n${lines.join('')}\n`
  }

  async #text(chunks: readonly api.Chunk[], isEnd: boolean): Promise<string> {
    if (this.#format === 'text') return this.#characters.take(chunks, isEnd)
    if (chunks.length === 0) return ''
    return this.#format === 'json' ? arrayOf(chunks) : bytesOf(chunks).toString('base64')
  }
}

function control(streamNextOffset: string, cursor: string, upToDate: boolean, closed: boolean): string {
  const rest = closed
    ? { streamClosed: true, upToDate: true }
    : { streamCursor: cursor, ...(upToDate ? { upToDate } : {}) }
  return `event: control\ndata:${JSON.stringify({ streamNextOffset, ...rest })}\n\n`
}

export function eventStream(
  log: Log,
  page: LookedAt,
  cursor: string,
  asked: Asked,
  farewell: Farewell,
  ms: number,
): Answer {
  const contentType = page.contentType ?? BYTES
  const format = formatOf(contentType)
  const left = new AbortController()
  const forget = whenOver(asked, farewell, ms, () => left.abort())
  const events = follow(log, page, cursor, new Shown(log, format), left.signal)
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await events.next()
        if (!done) {
          controller.enqueue(encoder.encode(value))
          return
        }
        forget()
        controller.close()
      },
      async cancel() {
        forget()
        left.abort()
        await events.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
  return answer(
    200,
    {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-cache',
      'Stream-SSE-Data-Encoding': format === 'base64' ? 'base64' : undefined,
    },
    body,
  )
}

async function* follow(
  log: Log,
  first: LookedAt,
  cursor: string,
  shown: Shown,
  over: AbortSignal,
): AsyncGenerator<string, undefined> {
  let page = first
  for (;;) {
    const { next, upToDate, closed, origins } = page
    const event = await shown.event(page.chunks, closed)
    yield event + control(offsetOf(placeOf(shown, next), origins), cursor, upToDate, closed)
    if (closed || over.aborted) return undefined
    if (upToDate) break
    const later = await log.look({ from: next })
    if (later === null) return undefined
    page = later
  }
  yield* live(log.follow({ from: page.next, signal: over }), page, { cursor, shown, over })
  return undefined
}

/** Where what is shown ends, of what ends at a cursor. */
function placeOf({ held }: Shown, end: string): string {
  return held === undefined ? end : cursorBefore(held)
}

interface Live {
  cursor: string
  shown: Shown
  over: AbortSignal
}

async function* live(
  following: Subscription,
  { next, origins }: LookedAt,
  { cursor, shown, over }: Live,
): AsyncGenerator<string, undefined> {
  let at = next
  try {
    for (;;) {
      const { done, value } = await following.next()
      if (done) {
        const event = await shown.event([], true)
        yield event + control(offsetOf(at, origins), cursor, true, true)
        return undefined
      }
      const chunks = [value]
      while (chunks.length < MOST) {
        const more = following.ready()
        if (more === undefined) break
        chunks.push(more)
      }
      at = (chunks.at(-1) as api.Chunk).cursor
      const event = await shown.event(chunks, false)
      if (event !== '') yield event + control(offsetOf(placeOf(shown, at), origins), cursor, true, false)
    }
  } catch (error) {
    // Its time is over, the client has left, or the stream was deleted.
    const isDeleted = (error as Partial<api.InterruptedError> | null)?.code === 'ERR_INTERRUPTED'
    if (!over.aborted && !isDeleted) throw error
  } finally {
    await following.return()
  }
  return undefined
}
