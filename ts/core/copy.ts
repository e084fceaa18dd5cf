import type { ChunkData, Producer } from '../../index'
import { BackpressureError, StoppedError } from '../errors/errors'
import { leave, type Reading } from '../options/source'

/** Takes a chunk; returns a promise if the next one has to wait. */
export type Take = (chunk: ChunkData) => Promise<void> | undefined

/**
 * Passes on the source's chunks. Settles when the source does, or at once when the signal is aborted: quietly if that
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
