import type { ChunkData, PipeSource } from '../../index'
import { ignore } from '../util/deferred'
import { refuse } from './checks'

/** Reads a source once; `return` leaves it early. */
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
    value === undefined && field !== 'source' ? '; is a return missing?' : '',
  )
}

function isStream<T>(value: unknown): value is ReadableStream<T> {
  return typeof (value as { getReader?: unknown } | null | undefined)?.getReader === 'function'
}

/** Tells a source that nobody reads on; its errors are ignored. */
export function leave(reading: Reading<unknown>): void {
  try {
    reading.return?.().catch(ignore)
  } catch {
    // Neither an iterator's synchronous throw nor a missing promise concerns anybody.
  }
}
