import type { ChunkData, Outcome } from '../../index'
import type { KeepAlive } from '../native/keep-alive'
import { cursorAt } from '../util/cursor'
import { type Deferred, deferred } from '../util/deferred'
import { type Hidden, Later, type Local } from './local'

type Result = IteratorResult<Uint8Array, unknown>

/** How much waits for a client before it is left to the log, in UTF-16 units: as much as any other reader's credit. */
const MOST = 64 * 1024

/** What events cannot hold as it is. */
const UNFIT = /[\0\r\n]/

const encoder = new TextEncoder()

/** The generation whose only producer writes the chunks. */
interface Origin {
  readonly generation: string
  /** The seq before its first chunk. */
  readonly seq: number
}

/**
 * The events of an answer's chunks for the client that has asked, with their cursors, as they are written: they wait neither for the
 * store nor for a turn of the engine's thread. Whatever else there is to be read comes from the log: what is behind a client that does not
 * keep up, and the end, unless it is a good one.
 */
export class Ahead implements Local {
  readonly #keepAlive: KeepAlive
  readonly #origin: Origin
  readonly #hidden: Hidden
  readonly #follow: (cursor: string, bareAfter: number) => Local
  readonly #prefix: string
  /** The last chunk that was written, and the last one that is in {@link #text} or was handed over. */
  #written: number
  #last: number
  /** The events that wait for the client. */
  #text = ''
  #waiting: Deferred<Result> | undefined
  /** Nothing is added any more. */
  #isFull = false
  #isOver = false
  #isLeft = false
  /** What is left in the log. */
  #log: Local | undefined

  /** `follow` opens the log: after a cursor, without so many chunks. */
  constructor(
    keepAlive: KeepAlive,
    origin: Origin,
    hidden: Hidden,
    follow: (cursor: string, bareAfter: number) => Local,
  ) {
    this.#keepAlive = keepAlive
    this.#origin = origin
    this.#hidden = hidden
    this.#follow = follow
    this.#prefix = `id: ${origin.generation}.`
    this.#written = origin.seq
    this.#last = origin.seq
  }

  /** The producer has taken this chunk. */
  put(chunk: ChunkData): void {
    const seq = ++this.#written
    if (this.#isFull || this.#isLeft) return
    if (!this.#takes(chunk)) {
      this.#isFull = true
      this.#hurry()
      return
    }
    this.#last = seq
    if (seq - this.#origin.seq <= this.#hidden.count) return
    this.#text += `${this.#prefix}${seq}\ndata: ${chunk}\n\n`
    this.#take()?.resolve(this.#hand())
  }

  /** The source has been copied; `outcome` if the generation has ended well. */
  over(outcome?: Outcome): void {
    this.#isOver = outcome === 'complete' || outcome === 'stopped'
    if (!this.#isOver) this.#isFull = true
    this.#hurry()
  }

  /** Rejects with what a loop over the chunks would throw. */
  next(): Promise<IteratorResult<ChunkData, unknown>> {
    if (this.#log !== undefined) return this.#log.next()
    if (this.#text !== '') return Promise.resolve(this.#hand())
    if (this.#isFull) {
      this.#log = this.#rest()
      return this.#log.next()
    }
    const waiting = deferred<Result>()
    if (this.#isOver || this.#isLeft) waiting.resolve({ done: true, value: undefined })
    else {
      this.#waiting = waiting
      this.#keepAlive.hold()
    }
    return waiting.promise
  }

  leave(): void {
    this.#isLeft = true
    this.#text = ''
    this.#log?.leave()
    this.#take()?.resolve({ done: true, value: undefined })
  }

  #takes(chunk: ChunkData): chunk is string {
    if (typeof chunk !== 'string' || (this.#text !== '' && this.#text.length + chunk.length > MOST))
      return false
    return !UNFIT.test(chunk) && chunk.isWellFormed()
  }

  #hand(): Result {
    const value = encoder.encode(this.#text)
    this.#text = ''
    return { done: false, value }
  }

  /** A read that waits is to see what there is now. */
  #hurry(): void {
    const waiting = this.#take()
    if (waiting !== undefined) waiting.resolve(this.next() as Promise<Result>)
  }

  #take(): Deferred<Result> | undefined {
    const waiting = this.#waiting
    if (waiting === undefined) return undefined
    this.#waiting = undefined
    this.#keepAlive.release()
    return waiting
  }

  #rest(): Local {
    const passed = this.#last - this.#origin.seq
    const from = cursorAt(this.#origin.generation, this.#last)
    return new Later(this.#hidden.known.then((hidden) => this.#follow(from, Math.max(0, hidden - passed))))
  }
}
