import type { ChunkData, PipeSource, Producer } from '../index'
import { refuse } from './checks'
import { ignore } from './deferred'
import { BackpressureError, StoppedError } from './errors'

/** What a source is read through: once, and left early by `return`. */
export interface Reading<T = ChunkData> {
  next(): Promise<IteratorResult<T, unknown>>
  return?(): Promise<unknown>
}

export function read(source: PipeSource, signal?: AbortSignal): Reading {
  if (typeof source !== 'function') return begin(source, 'source')
  return begin(source(signal as AbortSignal), 'the result of source')
}

/** Begins to read an async iterable or a stream; `field` names it if it is neither. */
export function begin<T>(given: AsyncIterable<T> | ReadableStream<T>, field: string): Reading<T> {
  checkSource(given, field)
  if (!isStream(given)) return given[Symbol.asyncIterator]()
  // The stream's own iterator would wait for a pending read before it cancels.
  const reader = given.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<T, unknown>>,
    return: () => reader.cancel(),
  }
}

export function checkSource(value: unknown, field: string): void {
  const iterable = value as Partial<AsyncIterable<unknown>> | null | undefined
  if (isStream(value) ? !value.locked : typeof iterable?.[Symbol.asyncIterator] === 'function') return
  refuse(
    field,
    'an async iterable, a ReadableStream that is not locked, or a function that returns one',
    value,
  )
}

function isStream<T>(value: unknown): value is ReadableStream<T> {
  return typeof (value as { getReader?: unknown } | null | undefined)?.getReader === 'function'
}

/** Tells a source that nobody reads on; what it makes of that is its own affair. */
export function leave(reading: Reading<unknown>): void {
  try {
    reading.return?.().catch(ignore)
  } catch {
    // Neither an iterator's synchronous throw nor a missing promise concerns anybody.
  }
}

/** Takes a chunk; a promise when the next one has to wait for it. */
export type Take = (chunk: ChunkData) => Promise<void> | undefined

/**
 * Hands on what the source gives. Settles when the source does, or at once when the signal is aborted: quietly if that
 * was a stop.
 */
export function copyUntilAborted(reading: Reading, signal: AbortSignal, take: Take): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const onAbort = () => {
      leave(reading)
      if (signal.reason instanceof StoppedError) resolve()
      else reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    copy(reading, signal, take)
      .finally(() => signal.removeEventListener('abort', onAbort))
      .then(resolve, reject)
  })
}

async function copy(reading: Reading, signal: AbortSignal, take: Take): Promise<void> {
  while (!signal.aborted) {
    const result = await reading.next()
    if (result.done || signal.aborted) return
    const full = take(result.value)
    if (full !== undefined) await full
  }
}

/** Writes a chunk at the pace of the producer's queue. */
export function put(producer: Producer, chunk: ChunkData): Promise<void> | undefined {
  try {
    return producer.write(chunk) ? undefined : producer.ready
  } catch (error) {
    if (!(error instanceof BackpressureError)) throw error
    // A chunk larger than what is left of a small queue.
    return producer.flush().then(() => void producer.write(chunk))
  }
}
