import { fromThrown } from '../errors/errors'
import { nextTick } from '../util/timers'
import type { KeepAlive } from './keep-alive'
import { ACK_COST, CHUNK_COST, type Native } from './native'

/** More than this crosses at once; a longer chunk crosses alone. */
const ARENA_BYTES = 64 * 1024
/**
 * The writes of many streams in one turn cross in pieces, so that the native side sends the first while the next are gathered. It knows
 * a piece by its size (`src/engine/produce/pump.rs`).
 */
const MAX_CHUNKS = 16
/** UTF-8 takes at most three bytes for each UTF-16 unit. */
export const BYTES_PER_UNIT = 3

/** The part of a queue's bound that a chunk of this many bytes takes. */
export function costOf(bytes: number, wantsAck: boolean): number {
  return bytes + CHUNK_COST + (wantsAck ? ACK_COST : 0)
}

/** The cost of a producer's queue: `depth` at the last crossing, and `gathered` since. */
export interface Queue {
  readonly handle: number
  depth: number
  gathered: number
  /** The chunks did not cross. */
  lost(error: Error): void
}

/**
 * Gathers the writes of all producers until JavaScript's current turn ends, and crosses to Rust once.
 *
 * `nextTick` from a promise callback runs after all promise callbacks, so a source that yields many chunks at
 * once costs one crossing; a lone chunk crosses before the event loop continues.
 */
export class Writes {
  readonly #native: Native
  readonly #engine: number
  readonly #keepAlive: KeepAlive
  readonly #arena = Buffer.allocUnsafeSlow(ARENA_BYTES)
  readonly #words = new Uint32Array(2 * MAX_CHUNKS)
  readonly #queues: Queue[] = []
  #used = 0
  #chunks = 0
  #scheduled = false
  /** Whether something has been written that the store may not have accepted yet. */
  #unsettled = false

  constructor(native: Native, engine: number, keepAlive: KeepAlive) {
    this.#native = native
    this.#engine = engine
    this.#keepAlive = keepAlive
  }

  text(queue: Queue, chunk: string, wantsAck: boolean): void {
    const most = chunk.length * BYTES_PER_UNIT
    if (most > ARENA_BYTES) this.#alone(queue, Buffer.from(chunk, 'utf8'), 1, wantsAck)
    else {
      this.#room(most)
      this.#gather(queue, this.#arena.write(chunk, this.#used, most), 1, wantsAck)
    }
  }

  bytes(queue: Queue, chunk: Uint8Array, wantsAck: boolean): void {
    // The caller may change its bytes as soon as this returns, and shared memory at any time: always a copy.
    if (chunk.byteLength > ARENA_BYTES) this.#alone(queue, Buffer.from(chunk), 0, wantsAck)
    else {
      this.#room(chunk.byteLength)
      this.#arena.set(chunk, this.#used)
      this.#gather(queue, chunk.byteLength, 0, wantsAck)
    }
  }

  /** Sends the gathered writes. Any call that has to come after a write calls this first. */
  cross(): void {
    const chunks = this.#chunks
    if (chunks === 0) return
    const arena = this.#arena.subarray(0, this.#used)
    this.#chunks = 0
    this.#used = 0
    this.#send(chunks, arena)
  }

  /** The native side says that everything that crossed has been settled. */
  idle(): void {
    if (!this.#unsettled || this.#chunks > 0) return
    this.#unsettled = false
    this.#keepAlive.release()
  }

  /** Nothing crosses any more. */
  close(): void {
    this.#chunks = 0
    this.#used = 0
    this.#queues.length = 0
    this.idle()
  }

  #room(bytes: number): void {
    if (this.#used + bytes > ARENA_BYTES || this.#chunks === MAX_CHUNKS) this.cross()
  }

  #gather(queue: Queue, length: number, isText: number, wantsAck: boolean): void {
    this.#put(queue, length, isText, wantsAck)
    this.#used += length
    queue.gathered += costOf(length, wantsAck)
    if (this.#scheduled) return
    this.#scheduled = true
    nextTick(this.#turn)
  }

  readonly #turn = (): void => {
    this.#scheduled = false
    this.cross()
  }

  /** A chunk that does not fit into the arena. */
  #alone(queue: Queue, bytes: Uint8Array, isText: number, wantsAck: boolean): void {
    this.cross()
    this.#put(queue, bytes.byteLength, isText, wantsAck)
    this.#chunks = 0
    this.#send(1, bytes)
  }

  #put(queue: Queue, length: number, isText: number, wantsAck: boolean): void {
    const at = 2 * this.#chunks
    this.#words[at] = queue.handle
    this.#words[at + 1] = (length << 2) | (isText << 1) | (wantsAck ? 1 : 0)
    this.#queues[this.#chunks++] = queue
    if (this.#unsettled) return
    this.#unsettled = true
    this.#keepAlive.hold()
  }

  #send(chunks: number, arena: Uint8Array): void {
    const queues = this.#queues
    try {
      this.#native.write(this.#engine, this.#words, chunks, arena)
      for (let i = 0; i < chunks; i++) {
        const queue = queues[i] as Queue
        queue.depth = this.#words[2 * i] as number
        queue.gathered = 0
      }
    } catch (thrown) {
      const error = fromThrown(thrown)
      for (const queue of new Set(queues)) queue.lost(error)
    }
    // The old list must not keep producers that have ended.
    queues.length = 0
  }
}
