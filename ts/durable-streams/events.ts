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

function dataOf(chunks: readonly api.Chunk[], format: Format): string {
  if (chunks.length === 0) return ''
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
  const characters = new Characters(format === 'text')
  let page = first
  for (;;) {
    const { next, upToDate, closed, origins } = page
    const chunks = closed ? characters.end(page.chunks) : characters.take(page.chunks)
    const { held } = characters
    const offset = offsetOf(held === undefined ? next : cursorBefore(held), origins)
    yield dataOf(chunks, format) + control(offset, cursor, upToDate, closed)
    if (closed || over.aborted) return undefined
    if (upToDate) break
    const later = await log.look({ from: next })
    if (later === null) return undefined
    page = later
  }
  yield* live(log.follow({ from: page.next, signal: over }), page, { cursor, format, over, characters })
  return undefined
}

interface Live {
  cursor: string
  format: Format
  over: AbortSignal
  characters: Characters
}

async function* live(
  following: Subscription,
  { next, origins }: LookedAt,
  { cursor, format, over, characters }: Live,
): AsyncGenerator<string, undefined> {
  let at = next
  try {
    for (;;) {
      const { done, value } = await following.next()
      if (done) {
        yield dataOf(characters.end(), format) + control(offsetOf(at, origins), cursor, true, true)
        return undefined
      }
      const chunks = [value]
      while (chunks.length < MOST) {
        const more = following.ready()
        if (more === undefined) break
        chunks.push(more)
      }
      at = (chunks.at(-1) as api.Chunk).cursor
      const shown = characters.take(chunks)
      const last = shown.at(-1)
      if (last === undefined) continue
      yield dataOf(shown, format) + control(offsetOf(last.cursor, origins), cursor, true, false)
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
