import type { ChunkData, Outcome } from '../../index'
import { advised } from '../errors/advice'
import { fromNative, invalidArgument, type Origin, outcomeError } from '../errors/errors'
import type { Bridge } from '../native/bridge'
import type { DrainCursor } from '../native/drain-cursor'
import type { Large } from '../native/large'
import { CHUNK_COST } from '../native/native'
import { NativeSubscription } from '../native/native-subscription'
import type { End, Receiver } from '../native/records'
import { Unread, UnreadLarge } from '../native/unread'
import type { AckArgs } from '../options/args'
import type { Following } from '../options/read'
import { cursorAt, seqOf } from '../util/cursor'
import { type Deferred, deferred, ignore } from '../util/deferred'
import { Fifo } from '../util/fifo'
import { AutoAck } from './auto-ack'
import { Chunk } from './chunk'

type Result = IteratorResult<Chunk, undefined>

/** Errors are created when they are received: only the public object knows where it was created. */
type Ending = { error: (from: Origin | undefined) => unknown } | { quiet: true }

/** The public object, as far as the reader's state needs it. */
interface Reader {
  /** Where `subscribe` was called. Its frames lead to the caller's variables, so it must not be kept in here. */
  readonly origin: Origin
}

/**
 * The inside of a subscription, which the engine holds. It does not refer to the public object unless somebody waits, so
 * that a loop that was dropped is noticed and its native half cancelled.
 */
export class ReaderState implements Receiver {
  readonly streamId: string
  outcome: Outcome | undefined
  reason: string | undefined
  /** The public object, while a `next()` waits. */
  waitingFor: Reader | undefined
  readonly #bridge: Bridge
  readonly #native: NativeSubscription
  /** Weak: a signal's listeners may well lead to the public object. */
  readonly #signal: WeakRef<AbortSignal> | undefined
  readonly #args: Following['args']
  readonly #isAuto: boolean
  /** For a consumer with automatic acknowledgements. */
  readonly #autoAck: AutoAck | undefined
  readonly #waiting = new Fifo<Deferred<Result>>()
  readonly #unread = new Fifo<Unread | UnreadLarge>()
  #generation = ''
  #lastGeneration = ''
  #lastSeq = 0
  #isReferenced = true
  #isHeld = false
  /** The end, after the last chunk; set once. */
  #end: Ending | undefined

  constructor(bridge: Bridge, { args, signal, isAuto }: Following) {
    const { streamId, consumer, owner } = args
    this.streamId = streamId
    this.#bridge = bridge
    this.#native = new NativeSubscription(bridge)
    this.#signal = signal && new WeakRef(signal)
    this.#args = args
    this.#isAuto = isAuto
    if (consumer !== null && isAuto) this.#autoAck = new AutoAck(bridge, { streamId, consumer, owner })
  }

  /** Begins; the first `next()` throws a failure. */
  open(): void {
    const signal = this.#signal?.deref()
    if (signal?.aborted) {
      this.broken(signal.reason)
      return
    }
    try {
      this.#native.open(this.#args, this)
    } catch (error) {
      this.broken(error)
      return
    }
    signal?.addEventListener('abort', this.#onAbort)
  }

  get cursor(): string | undefined {
    return this.#lastSeq === 0 ? undefined : cursorAt(this.#lastGeneration, this.#lastSeq)
  }

  /** Whether the caller has got everything. */
  get isExhausted(): boolean {
    return this.#end !== undefined && this.#unread.size === 0
  }

  /** The loop asks for more, so it is done with the chunks it has got. */
  pass(): void {
    this.#native.want()
    if (this.#isAuto && this.#lastSeq > 0) this.#native.acknowledge(this.#lastSeq)
    if (this.#lastSeq > 0) this.#autoAck?.passed(this.#lastGeneration, this.#lastSeq, this.#isReferenced)
    if (this.isExhausted) this.#autoAck?.tell(this.#isReferenced)
  }

  /** Acknowledges everything up to the cursor; settles once that is stored. */
  ack(cursor: string): Promise<void> {
    const { streamId, consumer, owner, window } = this.#args
    this.#native.acknowledge(seqOf(cursor))
    if (consumer !== null) {
      const args: AckArgs = { streamId, consumer, owner, cursor, isPatient: true }
      return this.#bridge.request('ack', args, ignore)
    }
    if (window === null) throw invalidArgument('options.consumer', 'was not given to subscribe')
    return Promise.resolve()
  }

  /** The next chunk, if it is there. */
  take(): Chunk | undefined {
    const unread = this.#unread.first()
    if (unread === undefined) return undefined
    const seq = unread.seq
    const chunk = this.#hand(unread.generation, seq, unread.take(), unread.bytes)
    if (unread.isEmpty) {
      this.#unread.shift()
      if (this.isExhausted) this.#release()
    }
    return chunk
  }

  /** A promise for the next chunk, if none is there yet. */
  wait(owner: Reader): Promise<Result> {
    if (this.#end !== undefined) return this.#finish(this.#end, owner.origin)
    const waiter = deferred<Result>()
    this.#waiting.push(waiter)
    this.waitingFor = owner
    this.#hold()
    return waiter.promise
  }

  /** Takes chunks that have arrived; a waiting `next()` comes first. */
  push(drain: DrainCursor, seq: number): void {
    while (this.#waiting.size > 0) {
      const chunk = this.#hand(this.#generation, seq++, drain.chunk())
      this.#waiting.shift()?.resolve({ done: false, value: chunk })
      if (this.#waiting.size === 0) this.#unwait()
      if (drain.left === 0) return
    }
    let unread = this.#unread.last()
    if (!(unread instanceof Unread) || !unread.precedes(this.#generation, seq)) {
      unread = new Unread(this.#generation, seq)
      this.#unread.push(unread)
    }
    unread.add(drain)
  }

  /** Takes a large chunk. */
  pushLarge(large: Large, seq: number): void {
    const waiter = this.#waiting.shift()
    if (waiter === undefined) this.#unread.push(new UnreadLarge(this.#generation, seq, large))
    else waiter.resolve({ done: false, value: this.#hand(this.#generation, seq, large.take(), large.bytes) })
    if (this.#waiting.size === 0) this.#unwait()
  }

  /** The following chunks belong to this generation. */
  enter(generation: string): void {
    this.#generation = generation
  }

  /** The native half is over. */
  ended(end: End): void {
    this.#native.forget()
    this.outcome = end.outcome
    this.reason = end.reason || undefined
    const { error, outcome, reason = '' } = end
    if (error !== undefined) this.#settle({ error: (from) => fromNative(advised(error, this.#args), from) })
    else if (outcome === 'failed' || outcome === 'interrupted') {
      this.#settle({ error: (from) => outcomeError(outcome, this.streamId, reason, from) })
    } else this.#settle({ quiet: true })
  }

  /** Ends with an error after the chunks that have arrived. */
  broken(error: unknown): void {
    this.#native.forget()
    if (this.#end === undefined) this.#settle({ error: () => error })
  }

  /** Ends quietly and at once: chunks that have arrived are dropped. */
  leave(): void {
    if (this.isExhausted) {
      this.#end = { quiet: true }
      return
    }
    this.#drop({ quiet: true })
  }

  /** Where another subscription continues if this one is left now; undefined: where this one began. */
  get position(): string | undefined {
    const unread = this.#unread.first()
    return this.cursor ?? (unread && cursorAt(unread.generation, unread.seq - 1))
  }

  set isReferenced(value: boolean) {
    this.#isReferenced = value
    this.#hold()
  }

  readonly #onAbort = (event: Event): void => {
    const { reason } = event.target as AbortSignal
    this.#drop({ error: () => reason })
  }

  #drop(end: Ending): void {
    this.#native.cancel()
    this.#unread.clear()
    this.outcome = undefined
    this.reason = undefined
    this.#settle(end)
  }

  /** `bytes` is what a large chunk costs. */
  #hand(generation: string, seq: number, data: ChunkData, bytes?: number): Chunk {
    this.#lastGeneration = generation
    this.#lastSeq = seq
    this.#native.consume((bytes ?? (typeof data === 'string' ? data.length : data.byteLength)) + CHUNK_COST)
    return new Chunk(generation, seq, data)
  }

  #settle(end: Ending): void {
    this.#end = end
    const from = this.waitingFor?.origin
    for (let waiter = this.#waiting.shift(); waiter !== undefined; waiter = this.#waiting.shift()) {
      if ('error' in this.#end) waiter.reject(this.#once(this.#end.error(from)))
      else waiter.resolve({ done: true, value: undefined })
    }
    this.#unwait()
    if (this.#unread.size === 0) this.#release()
  }

  #finish(end: Ending, from: Origin): Promise<Result> {
    if ('error' in end) return Promise.reject(this.#once(end.error(from)))
    return Promise.resolve({ done: true, value: undefined })
  }

  /** An error is thrown once; a loop that continues after it is done. */
  #once(error: unknown): unknown {
    this.#end = { quiet: true }
    return error
  }

  #unwait(): void {
    this.waitingFor = undefined
    this.#hold()
  }

  #hold(): void {
    const wanted = this.#isReferenced && this.#waiting.size > 0
    if (wanted === this.#isHeld) return
    this.#isHeld = wanted
    if (wanted) this.#bridge.keepAlive.hold()
    else this.#bridge.keepAlive.release()
  }

  #release(): void {
    this.#autoAck?.tell(this.#isReferenced)
    this.#signal?.deref()?.removeEventListener('abort', this.#onAbort)
  }
}
