import type { Chunk } from '../../index'
import type { Log } from '../core/log'
import { TidemarkError } from '../errors/errors'
import { integer, object, refuse } from '../options/checks'
import { cursorBefore, seqOf } from '../util/cursor'
import { encoded } from '../util/text'
import type { ChunksPage, GetChunksOptions, StreamInfo } from './types'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000
/** A page ends with the chunk that exceeds this. */
const MAX_PAGE_BYTES = 8 << 20

const startIndex = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 'chunks')
const limit = integer(1, Number.MAX_SAFE_INTEGER, 'chunks')
const pageOptions = object({
  limit,
  cursor: (value, field) =>
    typeof value === 'string' ? value : refuse(field, 'the cursor of a page', value),
})

/** The chunks of a stream from an index on, to its close. Waits for a stream that does not exist yet. */
export async function read(log: Log, given: number | undefined): Promise<ReadableStream<Uint8Array>> {
  const index = startIndex(given ?? 0, 'startIndex')
  const from = index < 0 ? await fromEnd(log, index) : index
  const left = new AbortController()
  const chunks = following(log, from, left.signal)
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await chunks.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      // Nothing else ends a loop that waits for a chunk.
      cancel: () => left.abort(),
    },
    { highWaterMark: 0 },
  )
}

/** The position that a negative index has now. */
async function fromEnd(log: Log, index: number): Promise<string | number> {
  const page = await log.look({ from: index, limit: 1 })
  if (page === null) return 0
  const [first] = page.chunks
  return first === undefined ? page.next : cursorBefore(first)
}

async function* following(
  log: Log,
  from: string | number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  for (;;) {
    let hasBegun = false
    try {
      for await (const chunk of log.read({ from, signal, wait: '1d' })) {
        hasBegun = true
        yield bytesOf(chunk)
      }
      return undefined
    } catch (error) {
      if (signal.aborted) return undefined
      // There has been no such stream for a day: it is waited for again.
      const isMissing = error instanceof TidemarkError && error.code === 'ERR_NOT_FOUND'
      if (hasBegun || !isMissing || typeof from === 'string') throw error
    }
  }
}

/** A page of chunks, which never waits. */
export async function chunksOf(log: Log, given: GetChunksOptions | undefined): Promise<ChunksPage> {
  const options = pageOptions(given, 'options')
  const most = Math.min(options.limit ?? DEFAULT_LIMIT, MAX_LIMIT)
  const data: ChunksPage['data'] = []
  let bytes = 0
  let index = indexOf(options.cursor)
  for (;;) {
    const page = await log.look({ from: index, limit: most - data.length })
    if (page === null) return { data, cursor: null, hasMore: false, done: false }
    for (const chunk of page.chunks) {
      const found = bytesOf(chunk)
      bytes += found.byteLength
      data.push({ index: chunk.seq - 1, data: found })
    }
    index = Math.max(index, seqOf(page.next))
    if (page.upToDate) return { data, cursor: null, hasMore: false, done: page.closed }
    if (data.length < most && bytes < MAX_PAGE_BYTES) continue
    const { done } = await infoOf(log)
    return { data, cursor: String(index), hasMore: true, done }
  }
}

/** The cursor of a page is the index of its first chunk. */
function indexOf(cursor: string | undefined): number {
  return cursor !== undefined && /^\d{1,15}$/.test(cursor) ? Number(cursor) : 0
}

export async function infoOf(log: Log): Promise<StreamInfo> {
  const page = await log.look({ from: 'now' })
  if (page === null) return { tailIndex: -1, done: false }
  return { tailIndex: seqOf(page.next) - 1, done: page.closed }
}

/** The names in a list, each once. */
export async function names(log: Log): Promise<string[]> {
  const found = new Set<string>()
  for await (const chunk of log.present()) found.add(chunk.text())
  return [...found]
}

/** A copy, which the caller may change. */
function bytesOf({ data }: Chunk): Uint8Array {
  return new Uint8Array(encoded(data))
}
