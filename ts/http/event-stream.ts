import { advised } from '../errors/advice'
import { closedError, cutError, fromNative, type Origin } from '../errors/errors'
import type { OnError } from '../errors/wording'
import type { Bridge } from '../native/bridge'
import type { DrainCursor } from '../native/drain-cursor'
import { NativeSubscription } from '../native/native-subscription'
import type { End, Receiver } from '../native/records'
import type { SseLimits, SubscribeArgs } from '../options/args'
import { deferred, ignore } from '../util/deferred'
import { Fifo } from '../util/fifo'
import { clearTimeout, setTimeout } from '../util/timers'
import { heartbeat } from './events'
import { report } from './refusal'

/** Who takes the pieces, one for each pull, at once or later. */
export type Taker = Pick<ReadableStreamDefaultController<Uint8Array>, 'enqueue' | 'close' | 'error'>

/** An event stream is ended by the application, while its client is still there, or by the client, which is then gone. */
export interface Signals {
  application: AbortSignal | undefined
  client?: AbortSignal | undefined
}

/** A body that was dropped must not keep receiving. */
const dropped = new FinalizationRegistry<EventStream>((stream) => stream.leave())

/**
 * A subscription as the bytes of a `text/event-stream`, which the native side has framed. Like `ReaderState` it does not refer
 * to its public object, the body, unless somebody waits.
 */
export class EventStream implements Receiver {
  readonly #opened = deferred<void>()
  readonly #bridge: Bridge
  readonly #native: NativeSubscription
  readonly #from: Origin
  readonly #onError: OnError | undefined
  readonly #pieces = new Fifo<Uint8Array>()
  readonly #listening: { signal: WeakRef<AbortSignal>; listener: () => void }[] = []
  readonly #streamId: string
  readonly #asked: Pick<SubscribeArgs, 'owner' | 'waitMs'>
  /** The AI SDK takes a body's clean end for the answer's, so a body that ends earlier has to be broken off. */
  readonly #breaks: boolean
  #isOpen = false
  /** A read that waits. */
  #waiting: Taker | undefined
  /** The end, after the last piece. */
  #end: { error?: unknown } | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #limit: NodeJS.Timeout | undefined

  private constructor(
    bridge: Bridge,
    { streamId, sse, owner, waitMs }: SubscribeArgs,
    from: Origin,
    onError: OnError | undefined,
  ) {
    this.#bridge = bridge
    this.#from = from
    this.#onError = onError
    this.#streamId = streamId
    this.#asked = { owner, waitMs }
    this.#breaks = sse?.format === 'ui-messages'
    this.#native = new NativeSubscription(bridge)
    this.#opened.promise.catch(ignore)
  }

  /** Begins to follow; the body's first read throws a failure. */
  static open(
    bridge: Bridge,
    args: SubscribeArgs,
    { heartbeatMs, maxDurationMs, onError }: SseLimits,
    { application, client }: Signals,
    from: Origin,
  ): EventStream {
    const stream = new EventStream(bridge, args, from, onError)
    if (bridge.closing) stream.broken(closedError(from))
    else if (client?.aborted) stream.leave()
    else if (application?.aborted) stream.#cut()
    else {
      stream.#listen(client, stream.leave)
      if (application !== client) stream.#listen(application, stream.#cut)
      stream.#start(args, heartbeatMs, maxDurationMs)
    }
    return stream
  }

  #start(args: SubscribeArgs, heartbeatMs: number, maxDurationMs: number | undefined): void {
    try {
      this.#native.open(args, this)
    } catch (error) {
      this.broken(error)
      return
    }
    if (heartbeatMs > 0) this.#heartbeat = setTimeout(this.#beat, heartbeatMs).unref()
    if (maxDurationMs !== undefined) this.#limit = setTimeout(this.#cut, maxDurationMs).unref()
  }

  /** The bytes, for one reader. */
  body(): ReadableStream<Uint8Array> {
    const source = {
      pull: (taker: Taker) => this.pull(taker),
      cancel: () => this.#cancelled(),
    }
    // Nothing is taken before it is read, so that waiting bytes stay where they are counted.
    const body = new ReadableStream<Uint8Array>(source, { highWaterMark: 0 })
    dropped.register(body, this, this)
    return body
  }

  /** Waits until the reading position is known; rejects with the reason if there is none. */
  async opened(): Promise<void> {
    this.#bridge.keepAlive.hold()
    try {
      await this.#opened.promise
    } finally {
      this.#bridge.keepAlive.release()
    }
  }

  /** A drain's events. */
  push(drain: DrainCursor): void {
    while (drain.left > 0) this.pushPiece(drain.chunk() as Uint8Array)
  }

  pushPiece(piece: Uint8Array): void {
    if (!this.#isOpen) {
      this.#isOpen = true
      this.#opened.resolve()
    }
    if (this.#waiting === undefined) this.#pieces.push(piece)
    else this.#answer((taker) => this.#hand(taker, piece))
  }

  /** Cursors are written by the native side. */
  enter(): void {}

  /** After the start, the native side has written any event that the client should get; otherwise the client has to reconnect. */
  ended({ error: native }: End): void {
    const error = native && fromNative(advised(native, this.#asked), this.#from)
    if (error !== undefined && !this.#isOpen) this.#settle({ error })
    else if (error?.retryable || error?.code === 'ERR_CLOSED') this.#cut()
    else this.#settle({})
    // Transient errors end many responses at once, and the engine's state shows them already.
    if (this.#isOpen && error?.retryable === false) report(error, this.#onError)
  }

  broken(error: unknown): void {
    if (this.#isOpen) this.#cut()
    else this.#settle({ error })
  }

  /** The client is gone. */
  readonly leave = (): void => {
    this.#native.cancel()
    this.#settle({})
  }

  /** Ends after the bytes that have arrived, without an event: the client has to notice, and may reconnect. */
  readonly #cut = (): void => {
    this.#native.cancel()
    // The response begins normally; only its body is broken off.
    this.#opened.resolve()
    this.#settle(this.#breaks ? { error: cutError(this.#streamId) } : {})
  }

  /** The client has left: the stream has answered a pending read itself, and its controller accepts nothing any more. */
  #cancelled(): void {
    this.#answer(ignore)
    this.leave()
  }

  /** Gives the next piece, or the end, to who takes it, as soon as there is one. */
  pull(taker: Taker): void {
    this.#native.want()
    const piece = this.#pieces.shift()
    if (piece !== undefined) this.#hand(taker, piece)
    else if (this.#end !== undefined) this.#finish(taker, this.#end)
    else {
      // A body may be read again before it has answered.
      if (this.#waiting === undefined) this.#bridge.keepAlive.hold()
      this.#waiting = taker
    }
  }

  #hand(taker: Taker, piece: Uint8Array): void {
    this.#heartbeat?.refresh()
    this.#native.consume(piece.byteLength)
    taker.enqueue(piece)
  }

  readonly #beat = (): void => {
    this.#heartbeat?.refresh()
    if (this.#waiting !== undefined) this.#answer((taker) => taker.enqueue(heartbeat()))
  }

  #answer(how: (taker: Taker) => void): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    this.#bridge.keepAlive.release()
    how(waiting)
  }

  #settle(end: { error?: unknown }): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#native.forget()
    clearTimeout(this.#heartbeat)
    clearTimeout(this.#limit)
    dropped.unregister(this)
    for (const { signal, listener } of this.#listening) signal.deref()?.removeEventListener('abort', listener)
    if ('error' in end) this.#opened.reject(end.error)
    else this.#opened.resolve()
    this.#answer((taker) => this.#finish(taker, end))
  }

  #finish(taker: Taker, end: { error?: unknown }): void {
    if ('error' in end) taker.error(end.error)
    else taker.close()
  }

  #listen(signal: AbortSignal | undefined, listener: () => void): void {
    if (signal === undefined) return
    this.#listening.push({ signal: new WeakRef(signal), listener })
    signal.addEventListener('abort', listener)
  }
}
