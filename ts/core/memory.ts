import type * as api from '../../index'
import type { Bridge } from '../native/bridge'
import { FIRST, type ListCursor, page } from './pages'

/** The approximate memory of a stream in the store, in bytes; null if there is no such stream. */
export function sizeOf(bridge: Bridge, streamId: string): Promise<number | null> {
  return bridge.request('memory', { streamId }, (bytes: number | null) => bytes)
}

/** Asks for the memory of a few streams at a time, starting over at the end of the list. */
export class MemorySampler {
  last: api.MemorySample | null = null
  readonly #bridge: Bridge
  /** Listed but not measured yet: a page may be longer than needed. */
  #next: string[] = []
  #from: ListCursor = FIRST

  constructor(bridge: Bridge) {
    this.#bridge = bridge
  }

  async sample(count: number): Promise<api.MemorySample> {
    const ids = await this.#ids(count)
    const sizes = await Promise.all(ids.map((streamId) => sizeOf(this.#bridge, streamId)))
    const streams = ids.flatMap((streamId, index) => {
      const bytes = sizes[index]
      return typeof bytes === 'number' ? [{ streamId, bytes }] : []
    })
    const bytes = streams.map((stream) => stream.bytes)
    this.last = {
      at: new Date(),
      streams,
      averageBytes: bytes.reduce((sum, each) => sum + each, 0) / (bytes.length || 1),
      largestBytes: Math.max(0, ...bytes),
    }
    return this.last
  }

  async #ids(count: number): Promise<string[]> {
    if (this.#next.length < count) {
      const { ids, next } = await page(this.#bridge, this.#from, count)
      this.#next = [...new Set([...this.#next, ...ids])]
      this.#from = next ?? FIRST
    }
    return this.#next.splice(0, count)
  }
}
