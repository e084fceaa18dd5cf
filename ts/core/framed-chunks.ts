import { advised } from '../errors/advice'
import { closedError, fromNative, outcomeError } from '../errors/errors'
import type { Bridge } from '../native/bridge'
import type { DrainCursor } from '../native/drain-cursor'
import { NativeSubscription } from '../native/native-subscription'
import type { End, Receiver } from '../native/records'
import type { SubscribeArgs } from '../options/args'
import { type Deferred, deferred } from '../util/deferred'
import { Fifo } from '../util/fifo'

type Result = IteratorResult<Uint8Array, undefined>

/** A subscription's chunks as events that the native side has framed: pieces of a response that its maker opens and ends. */
export class FramedChunks implements Receiver {
  readonly #bridge: Bridge
  readonly #native: NativeSubscription
  readonly #args: SubscribeArgs
  readonly #pieces = new Fifo<Uint8Array>()
  #waiting: Deferred<Result> | undefined
  #hasBegun = false
  /** What follows the last piece. */
  #end: { error?: unknown } | undefined

  constructor(bridge: Bridge, args: SubscribeArgs) {
    this.#bridge = bridge
    this.#native = new NativeSubscription(bridge)
    this.#args = args
    if (bridge.closing) {
      this.broken(closedError())
      return
    }
    try {
      this.#native.open(args, this)
    } catch (error) {
      this.broken(error)
    }
  }

  /** The next piece, when the one before was taken. Rejects with what a loop over the chunks would throw. */
  next(): Promise<Result> {
    // The first chunk comes unasked, and so by itself: nothing is to hold it up.
    if (this.#hasBegun) this.#native.want()
    this.#hasBegun = true
    const piece = this.#pieces.shift()
    if (piece !== undefined) return Promise.resolve(this.#hand(piece))
    const waiting = deferred<Result>()
    if (this.#end === undefined) {
      this.#waiting = waiting
      this.#bridge.keepAlive.hold()
    } else finish(waiting, this.#end)
    return waiting.promise
  }

  /** Nobody reads on. */
  leave(): void {
    this.#native.cancel()
    this.#pieces.clear()
    this.#settle({})
  }

  push(drain: DrainCursor): void {
    while (drain.left > 0) this.pushPiece(drain.chunk() as Uint8Array)
  }

  pushPiece(piece: Uint8Array): void {
    const waiting = this.#take()
    if (waiting === undefined) this.#pieces.push(piece)
    else waiting.resolve(this.#hand(piece))
  }

  /** Cursors are written by the native side. */
  enter(): void {}

  ended({ error, outcome, reason = '' }: End): void {
    if (error !== undefined) this.#settle({ error: fromNative(advised(error, this.#args)) })
    else if (outcome === 'failed' || outcome === 'interrupted') {
      this.#settle({ error: outcomeError(outcome, this.#args.streamId, reason) })
    } else this.#settle({})
  }

  broken(error: unknown): void {
    this.#settle({ error })
  }

  #hand(piece: Uint8Array): Result {
    this.#native.consume(piece.byteLength)
    return { done: false, value: piece }
  }

  #take(): Deferred<Result> | undefined {
    const waiting = this.#waiting
    if (waiting === undefined) return undefined
    this.#waiting = undefined
    this.#bridge.keepAlive.release()
    return waiting
  }

  #settle(end: { error?: unknown }): void {
    this.#native.forget()
    this.#end ??= end
    const waiting = this.#take()
    if (waiting !== undefined) finish(waiting, this.#end)
  }
}

function finish(waiting: Deferred<Result>, end: { error?: unknown }): void {
  if ('error' in end) waiting.reject(end.error)
  else waiting.resolve({ done: true, value: undefined })
}
