// Live reading as server-sent events.

import type * as api from '../../index'
import type { Log, LookedAt } from '../core/log'
import type { Subscription } from '../core/subscription'
import type { Answer, Asked } from '../http/asked'
import { BYTES } from '../options/log-options'
import { answer } from './answers'
import { arrayOf, bytesOf } from './bodies'
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

function data(chunks: readonly api.Chunk[], format: Format): string {
  const lines = (text: string) =>
    text
      .split(/\r\n|\r|\n/)
      .map((line) => `data:${line}\n`)
      .join('')
  const text =
    format === 'json' ? arrayOf(chunks) : bytesOf(chunks).toString(format === 'text' ? 'utf8' : 'base64')
  return `event: data\n${lines(text)}\n`
}

function control(streamNextOffset: string, cursor: string, upToDate: boolean, closed: boolean): string {
  const rest = closed ? { streamClosed: true } : { streamCursor: cursor, ...(upToDate ? { upToDate } : {}) }
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
  const events = follow(log, page, cursor, format, left.signal)
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
  format: Format,
  over: AbortSignal,
): AsyncGenerator<string, undefined> {
  let page = first
  for (;;) {
    const { chunks, next, upToDate, closed, origins } = page
    const events = chunks.length > 0 ? data(chunks, format) : ''
    yield events + control(offsetOf(next, origins), cursor, upToDate, closed)
    if (closed || over.aborted) return undefined
    if (upToDate) break
    const later = await log.look({ from: next })
    if (later === null) return undefined
    page = later
  }
  yield* live(log.follow({ from: page.next, signal: over }), page, cursor, format, over)
  return undefined
}

async function* live(
  following: Subscription,
  { next, origins }: LookedAt,
  cursor: string,
  format: Format,
  over: AbortSignal,
): AsyncGenerator<string, undefined> {
  let at = offsetOf(next, origins)
  try {
    for (;;) {
      const { done, value } = await following.next()
      if (done) {
        yield control(at, cursor, true, true)
        return undefined
      }
      const chunks = [value]
      while (chunks.length < MOST) {
        const more = following.ready()
        if (more === undefined) break
        chunks.push(more)
      }
      at = offsetOf((chunks.at(-1) as api.Chunk).cursor, origins)
      yield data(chunks, format) + control(at, cursor, true, false)
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
