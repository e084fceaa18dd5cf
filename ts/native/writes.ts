import { clearTimeout, nextTick, now, setTimeout } from '../util/timers'
import { ARENA_BYTES, Crossing, type Queue } from './crossing'
import type { KeepAlive } from './keep-alive'
import type { Native } from './native'

/**
 * The writes of many streams in one turn cross in pieces, so that the native side sends the first while the next are gathered. It knows
 * a piece by its size (`src/engine/produce/pump.rs`).
 */
const MAX_CHUNKS = 16
/** UTF-8 takes at most three bytes for each UTF-16 unit. */
export const BYTES_PER_UNIT = 3

/** How long the chunks of streams gather that nobody reads (ADR 51): a reader that comes finds them in the log. */
const WAIT_MS = 64
/** No more of them cross together. */
const MOST_WAITING = 512

/**
 * Gathers the writes of all producers until JavaScript's current turn ends, and crosses to Rust once.
 *
 * `nextTick` from a promise callback runs after all promise callbacks, so a source that yields many chunks at
 * once costs one crossing; a lone chunk crosses before the event loop continues.
 *
 * What nobody reads gathers over many turns: a crossing costs more than the chunks that it brings. A producer's chunks are never in both
 * places, since it changes from one to the other only when they have crossed.
 */
export class Writes {
  readonly #native: Native
  readonly #engine: number
  readonly #keepAlive: KeepAlive
  readonly #turn: Crossing
  #waiting: Crossing | undefined
  #isTurn = false
  /** What waits crosses with this turn. */
  #isHurried = false
  /** Until when chunks wait. */
  #due = 0
  #timer: NodeJS.Timeout | undefined
  /** Whether something has been written that the store may not have accepted yet. */
  #unsettled = false

  constructor(native: Native, engine: number, keepAlive: KeepAlive) {
    this.#native = native
    this.#engine = engine
    this.#keepAlive = keepAlive
    this.#turn = new Crossing(native, engine, MAX_CHUNKS)
  }

  text(queue: Queue, chunk: string, wantsAck: boolean): void {
    const most = chunk.length * BYTES_PER_UNIT
    if (most > ARENA_BYTES) this.#alone(queue, Buffer.from(chunk, 'utf8'), 1, wantsAck)
    else this.#placeOf(queue, most, wantsAck).text(queue, chunk, most, wantsAck)
  }

  bytes(queue: Queue, chunk: Uint8Array, wantsAck: boolean): void {
    if (chunk.byteLength > ARENA_BYTES) this.#alone(queue, Buffer.from(chunk), 0, wantsAck)
    else this.#placeOf(queue, chunk.byteLength, wantsAck).bytes(queue, chunk, wantsAck)
  }

  /** Sends everything that was gathered. Any call that has to come after a write calls this first. */
  cross(): void {
    this.#turn.cross()
    this.#crossWaiting()
  }

  /** Sends the writes of this turn; what nobody reads goes on waiting. */
  crossTurn(): void {
    this.#turn.cross()
  }

  /** The native side says that everything that crossed has been settled. */
  idle(): void {
    const isEmpty = this.#turn.isEmpty && this.#waiting?.isEmpty !== false
    if (!this.#unsettled || !isEmpty) return
    this.#unsettled = false
    this.#keepAlive.release()
  }

  /** Nothing crosses any more. */
  close(): void {
    clearTimeout(this.#timer)
    this.#turn.clear()
    this.#waiting?.clear()
    this.idle()
  }

  /** Where the chunk is to be gathered, with room for it; it crosses in time. */
  #placeOf(queue: Queue, bytes: number, isAwaited: boolean): Crossing {
    this.#hold()
    // A crossing may change the place of its queues: what is full crosses before it is known where this chunk goes.
    if (!queue.mayWait) this.#makeRoom(bytes)
    if (queue.mayWait && this.#waiting?.hasRoom(bytes) === false) this.#crossWaiting()
    if (queue.mayWait) return this.#placeToWait(isAwaited)
    this.#makeRoom(bytes)
    this.#endSoon()
    return this.#turn
  }

  #makeRoom(bytes: number): void {
    if (!this.#turn.hasRoom(bytes)) this.#turn.cross()
  }

  #placeToWait(isAwaited: boolean): Crossing {
    this.#waiting ??= new Crossing(this.#native, this.#engine, MOST_WAITING)
    const isLone = this.#waiting.isEmpty && now() >= this.#due
    if (isAwaited || isLone) {
      this.#isHurried = true
      this.#endSoon()
    } else if (!this.#isHurried) this.#timer ??= setTimeout(this.#late, this.#due - now())
    return this.#waiting
  }

  #endSoon(): void {
    if (this.#isTurn) return
    this.#isTurn = true
    nextTick(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    this.#isTurn = false
    this.#turn.cross()
    if (this.#isHurried) this.#crossWaiting()
  }

  readonly #late = (): void => this.#crossWaiting()

  #crossWaiting(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#isHurried = false
    if (this.#waiting === undefined || this.#waiting.isEmpty) return
    this.#due = now() + WAIT_MS
    this.#waiting.cross()
  }

  /** A chunk that does not fit into the arena. */
  #alone(queue: Queue, bytes: Uint8Array, isText: number, wantsAck: boolean): void {
    this.#hold()
    this.cross()
    this.#turn.alone(queue, bytes, isText, wantsAck)
  }

  #hold(): void {
    if (this.#unsettled) return
    this.#unsettled = true
    this.#keepAlive.hold()
  }
}
