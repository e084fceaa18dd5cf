import { fromThrown } from '../errors/errors'
import { ACK_COST, CHUNK_COST, type Native } from './native'

/** More than this crosses at once; a longer chunk crosses alone. */
export const ARENA_BYTES = 64 * 1024

/** The part of a queue's bound that a chunk of this many bytes takes. */
export function costOf(bytes: number, wantsAck: boolean): number {
  return bytes + CHUNK_COST + (wantsAck ? ACK_COST : 0)
}

/** The cost of a producer's queue: `depth` at the last crossing, and `gathered` since. */
export interface Queue {
  readonly handle: number
  depth: number
  gathered: number
  /** Nobody reads what it writes, so that it may wait to cross; as of the last crossing. */
  mayWait: boolean
  /** The chunks did not cross. */
  lost(error: Error): void
}

/** Chunks that cross to Rust together. */
export class Crossing {
  readonly #native: Native
  readonly #engine: number
  readonly #most: number
  readonly #arena = Buffer.allocUnsafeSlow(ARENA_BYTES)
  readonly #words: Uint32Array
  readonly #queues: Queue[] = []
  #used = 0
  #chunks = 0

  /** `most` chunks fit into it. */
  constructor(native: Native, engine: number, most: number) {
    this.#native = native
    this.#engine = engine
    this.#most = most
    this.#words = new Uint32Array(2 * most)
  }

  get isEmpty(): boolean {
    return this.#chunks === 0
  }

  /** Whether a chunk of so many bytes, which are no more than {@link ARENA_BYTES}, still fits. */
  hasRoom(bytes: number): boolean {
    return this.#used + bytes <= ARENA_BYTES && this.#chunks < this.#most
  }

  /** Adds a text, for which there is room if it takes `most` bytes. */
  text(queue: Queue, chunk: string, most: number, wantsAck: boolean): void {
    this.#gather(queue, this.#arena.write(chunk, this.#used, most), 1, wantsAck)
  }

  /** Adds bytes, for which there is room. The caller may change them later, and shared memory at any time: always a copy. */
  bytes(queue: Queue, chunk: Uint8Array, wantsAck: boolean): void {
    this.#arena.set(chunk, this.#used)
    this.#gather(queue, chunk.byteLength, 0, wantsAck)
  }

  /** Crosses with a chunk that does not fit into the arena; nothing else must have been gathered. */
  alone(queue: Queue, bytes: Uint8Array, isText: number, wantsAck: boolean): void {
    this.#put(queue, bytes.byteLength, isText, wantsAck)
    this.#send(bytes)
  }

  /** Sends what has been gathered. */
  cross(): void {
    if (this.#chunks > 0) this.#send(this.#arena)
  }

  /** Forgets what has been gathered. */
  clear(): void {
    this.#chunks = 0
    this.#used = 0
    this.#queues.length = 0
  }

  #gather(queue: Queue, length: number, isText: number, wantsAck: boolean): void {
    this.#put(queue, length, isText, wantsAck)
    this.#used += length
    queue.gathered += costOf(length, wantsAck)
  }

  #put(queue: Queue, length: number, isText: number, wantsAck: boolean): void {
    const at = 2 * this.#chunks
    this.#words[at] = queue.handle
    this.#words[at + 1] = (length << 2) | (isText << 1) | (wantsAck ? 1 : 0)
    this.#queues[this.#chunks++] = queue
  }

  #send(payloads: Uint8Array): void {
    const queues = this.#queues
    const chunks = this.#chunks
    this.#chunks = 0
    this.#used = 0
    try {
      this.#native.write(this.#engine, this.#words, chunks, payloads)
      for (let i = 0; i < chunks; i++) {
        const queue = queues[i] as Queue
        queue.depth = this.#words[2 * i] as number
        queue.gathered = 0
        queue.mayWait = this.#words[2 * i + 1] === 1
      }
    } catch (thrown) {
      // Whoever hears of the loss may write to others.
      const lost = new Set(queues.splice(0))
      for (const queue of lost) queue.lost(fromThrown(thrown))
      return
    }
    // The old list must not keep producers that have ended.
    queues.length = 0
  }
}
