import type { ConnectionState } from '../../index'
import { advised } from '../errors/advice'
import { closedError, fromNative, fromThrown, type NativeError, type Origin, origin } from '../errors/errors'
import { warnOnce } from '../errors/warnings'
import { ask, numberOf, type Provider } from '../options/credentials'
import type { Log } from '../options/log'
import type { Payload } from '../options/log-options'
import type { Config } from '../options/options'
import { type Deferred, deferred, ignore } from '../util/deferred'
import { setImmediate } from '../util/timers'
import { DrainCursor, memory } from './drain-cursor'
import { Gathered } from './gathered'
import { KeepAlive } from './keep-alive'
import { Large } from './large'
import type { Counted } from './native'
import * as abi from './native'
import type { AckSender, ProducerReceiver, Receiver } from './records'
import { Writes } from './writes'

/** Drains in a row before the event loop gets a turn. */
const ROUNDS = 16
/** Every so many wakes, the event loop gets a turn before the drain. */
const WAKES_IN_A_ROW = 4
/** Before one of these begins, what nobody reads crosses too. */
const AFTER_WRITES: ReadonlySet<abi.Operation> = new Set([
  'ready',
  'flush',
  'finish',
  'close',
  'stop',
  'produce',
])
/** Requests are numbered with one word. */
const MOST_REQUESTS = 2 ** 32

interface Call extends Deferred<unknown> {
  readonly args: object
  readonly from: Origin
  /** Whether the process stays for the answer. */
  readonly holds: boolean
  readonly receive: (answer: never) => unknown
  readonly refused: (error: Error) => unknown
}

/** Spelled out, since objects that are spread are several times as dear. */
function callOf({ args, from, holds, receive, refused }: Omit<Call, keyof Deferred<unknown>>): Call {
  const { promise, resolve, reject } = deferred<unknown>()
  return { promise, resolve, reject, args, from, holds, receive, refused }
}

function rethrow(error: Error): never {
  throw error
}

/** Puts parcels where a reply names them by their numbers. */
function addressed(
  answer: (Partial<abi.Handed> & Partial<abi.Page>) | null,
  larges: readonly abi.Parcel[],
): void {
  if (typeof answer?.large === 'number') answer.large = larges[answer.large] as abi.Parcel
  for (const item of answer?.items ?? []) {
    if (typeof item.large === 'number') item.large = larges[item.large] as abi.Parcel
  }
}

/** An engine's side of the boundary: the calls in flight, the drain loop, and the receivers of records. */
export class Bridge {
  readonly native: abi.Native
  readonly handle: number
  readonly keepAlive = new KeepAlive()
  readonly writes: Writes
  readonly gathered: Gathered
  readonly producers = new Map<number, ProducerReceiver>()
  readonly receivers = new Map<number, Receiver>()
  /** Told of each stream that this engine has appended to: of logs at once, of a producer's at its end. */
  readonly growth = new Set<(streamId: string) => void>()
  /** Loops with an acknowledgement in flight. */
  readonly autoAcks = new Set<AckSender>()
  readonly #calls = new Map<number, Call>()
  readonly #words = new Uint32Array(abi.WORDS)
  readonly #drainCursor = new DrainCursor(this.#words)
  readonly #onState: (state: ConnectionState, reason: string) => void
  readonly #provider: Provider | null
  readonly #log: Log
  #lastRequest = 0
  #wakes = 0
  #closing: Promise<void> | undefined
  #closed = false

  constructor(native: abi.Native, config: Config, onState: (state: ConnectionState, reason: string) => void) {
    this.native = native
    this.#onState = onState
    this.#provider = config.credentials
    this.#log = config.log
    const credentials = config.credentials && numberOf(config.credentials)
    try {
      this.handle = native.open(
        JSON.stringify({ ...config, credentials, log: undefined, logLevel: config.log.level }),
        this.#wake,
      )
    } catch (thrown) {
      throw fromThrown(thrown)
    }
    this.writes = new Writes(native, this.handle, this.keepAlive)
    this.gathered = new Gathered(native, this.handle, (request, thrown) => this.#lost(request, thrown))
  }

  grew(streamId: string): void {
    for (const told of this.growth) told(streamId)
  }

  /** Whether `close` was called: nothing can be begun any more. */
  get closing(): boolean {
    return this.#closing !== undefined || this.#closed
  }

  /**
   * Starts an operation. `receive` turns the answer into the promise's value, and `refused` an error into a value or
   * another error. They run within the drain, before any later record is handled.
   */
  request<T>(
    operation: abi.Operation,
    args: object,
    receive: (answer: never) => T,
    refused: (error: Error) => T = rethrow,
    holds = true,
  ): Promise<T> {
    const from = origin(this.request)
    if (this.closing) return Promise.reject(closedError(from))
    return this.#call(operation, args, receive, refused, from, holds)
  }

  /** An append to a log, or a page if there is no payload, which begins with others at the end of this turn of the event loop. */
  soon<T>(
    args: object,
    payload: Payload | null,
    receive: (answer: never) => T,
    from = origin(this.soon),
  ): Promise<T> {
    if (this.closing) return Promise.reject(closedError(from))
    const call = callOf({ args, from, holds: true, receive, refused: rethrow })
    this.gathered.add({ request: this.#enter(call), args, payload })
    return call.promise as Promise<T>
  }

  #call<T>(
    operation: abi.Operation,
    args: object,
    receive: (answer: never) => T,
    refused: (error: Error) => T,
    from: Origin,
    holds = true,
  ): Promise<T> {
    const call = callOf({ args, from, holds, receive, refused })
    const request = this.#enter(call)
    if (AFTER_WRITES.has(operation)) this.cross()
    else {
      this.gathered.cross()
      this.writes.crossTurn()
    }
    try {
      this.native.call(this.handle, request, operation, JSON.stringify(args))
    } catch (thrown) {
      this.#lost(request, thrown)
    }
    return call.promise as Promise<T>
  }

  /** Numbers a call that waits for its answer. */
  #enter(call: Call): number {
    const request = this.#nextRequest()
    this.#calls.set(request, call)
    if (call.holds) this.keepAlive.hold()
    return request
  }

  /** A call did not cross. */
  #lost(request: number, thrown: unknown): void {
    const call = this.#calls.get(request)
    this.#calls.delete(request)
    if (call !== undefined) this.#refuse(call, fromThrown(thrown, call.from))
  }

  /** Before anything begins that has to come after what is written and begun by now. */
  cross(): void {
    this.gathered.cross()
    this.writes.cross()
  }

  #nextRequest(): number {
    do {
      this.#lastRequest = (this.#lastRequest + 1) % MOST_REQUESTS
    } while (this.#calls.has(this.#lastRequest))
    return this.#lastRequest
  }

  /** The counters of the native side. */
  counted(): Counted {
    try {
      return JSON.parse(this.native.metrics(this.handle))
    } catch (thrown) {
      throw fromThrown(thrown, origin(this.counted))
    }
  }

  /** Lets the native side flush and disconnect, and settles the calls that are left. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      for (const autoAck of this.autoAcks) autoAck.tell()
      for (const producer of this.producers.values()) producer.endText()
      const from = origin(this.close)
      const over = () => this.#end(closedError(from))
      const failed = (error: Error) => {
        over()
        throw error
      }
      this.#closing = this.#closed ? Promise.resolve() : this.#call('close', {}, over, failed, from)
    }
    return this.#closing
  }

  // Node calls this again and again, without a turn of the event loop, as long as calls arrive meanwhile.
  readonly #wake = (): void => {
    if (++this.#wakes % WAKES_IN_A_ROW === 0) setImmediate(this.#turn)
    else this.#turn()
  }

  // An exception in here would end the process, so it is caught and becomes the error of all calls in flight.
  readonly #turn = (): void => {
    try {
      if (!this.#drain()) setImmediate(this.#turn)
    } catch (thrown) {
      this.#end(fromThrown(thrown))
    }
  }

  /** Whether everything was taken. */
  #drain(): boolean {
    for (let round = 0; round < ROUNDS; round++) {
      if (this.#closed) return true
      const text = this.native.drain(this.handle, this.#words)
      const flags = this.#words[0] as number
      const bytes = (flags & abi.BYTES) === 0 ? undefined : this.native.takeBytes(this.handle)
      const larges = (flags & abi.LARGES) === 0 ? undefined : this.native.takeLarges(this.handle)
      // Before the records: the flag does not cover chunks that their receivers write.
      if ((flags & abi.IDLE) !== 0) this.writes.idle()
      this.#drainCursor.open(text, bytes)
      this.#dispatch(this.#drainCursor, larges)
      this.#drainCursor.close()
      if ((flags & abi.MORE) === 0) return true
    }
    return false
  }

  // `#dispatch` is long, since it has a case for each record, and the cases share the position in the drain.
  #dispatch(drain: DrainCursor, larges: readonly abi.Parcel[] = []): void {
    const words = this.#words
    const end = words[1] as number
    let at = abi.HEADER
    while (at < end && !this.#closed) {
      const kind = words[at] as number
      const id = words[at + 1] as number
      switch (kind) {
        case abi.DATA: {
          // What others have an id for is the number of the subscriptions that follow.
          const first = at + 2
          at = first + id
          const seq = abi.seqAt(words, at)
          const count = words[at + 2] as number
          drain.run(at + 3, count)
          for (let one = first; one < at; one++) {
            drain.again()
            this.receivers.get(words[one] as number)?.push(drain, seq)
          }
          drain.skip()
          at += 3 + count
          break
        }
        case abi.LARGE: {
          const seq = abi.seqAt(words, at + 2)
          const bytes = words[at + 4] as number
          const parcel = larges[words[at + 5] as number] as abi.Parcel
          at += 6
          this.receivers.get(id)?.pushLarge?.(new Large(this.native, parcel, bytes), seq)
          break
        }
        case abi.PIECE: {
          const receiver = this.receivers.get(id)
          if (receiver?.pushPiece !== undefined) {
            const piece = memory(words[at + 2] as number)
            this.native.takePiece(this.handle, words[at + 3] as number, words[at + 4] as number, piece)
            receiver.pushPiece(piece)
          }
          at += 5
          break
        }
        case abi.SETTLED: {
          const count = words[at + 2] as number
          this.producers.get(id)?.settled(words, at + 3, count)
          at += 3 + 2 * count
          break
        }
        case abi.GENERATION: {
          const generation = drain.own(words[at + 2] as number)
          at += 3
          this.receivers.get(id)?.enter(generation)
          break
        }
        case abi.END: {
          const end = JSON.parse(drain.take(words[at + 2] as number))
          at += 3
          this.receivers.get(id)?.ended(end)
          break
        }
        case abi.REPLY: {
          const isOk = words[at + 2] === 1
          const answer = JSON.parse(drain.take(words[at + 3] as number))
          at += 4
          if (larges.length > 0) addressed(answer, larges)
          this.#reply(id, isOk, answer)
          break
        }
        case abi.PRODUCER: {
          const notice = JSON.parse(drain.take(words[at + 2] as number))
          at += 3
          const producer = this.producers.get(id)
          if (notice.error === undefined) producer?.stopped(notice.stop)
          else producer?.lost(fromNative(notice.error))
          break
        }
        case abi.STATE: {
          const { state, reason } = JSON.parse(drain.take(id))
          at += 2
          this.#onState(state, reason)
          break
        }
        case abi.WARNING: {
          const warning = JSON.parse(drain.take(id))
          at += 2
          warnOnce('TIDEMARK_RIGHTS', warning)
          break
        }
        case abi.LOG:
          this.#log.take(drain.take(id))
          at += 2
          break
        case abi.ASK:
          at += 2
          this.#answer(id)
          break
        default:
          throw new Error(`record ${kind} at word ${at}`)
      }
    }
  }

  /** Answers a request for credentials; also while the engine is closing, since the remaining writes may need a connection. */
  async #answer(question: number): Promise<void> {
    const answer = this.#provider === null ? {} : await ask(this.#provider)
    if (this.#closed) return
    const args = { ask: question, given: null, failure: null, ...answer }
    await this.#call('credentials', args, ignore, ignore, origin(this.request), false)
  }

  #reply(request: number, isOk: boolean, answer: unknown): void {
    const call = this.#calls.get(request)
    if (call === undefined) return
    this.#calls.delete(request)
    if (isOk) this.#settle(call, call.receive, answer as never)
    else this.#refuse(call, fromNative(advised(answer as NativeError, call.args), call.from))
  }

  #refuse(call: Call, error: Error): void {
    this.#settle(call, call.refused, error)
  }

  #settle<A>(call: Call, how: (answer: A) => unknown, answer: A): void {
    if (call.holds) this.keepAlive.release()
    try {
      call.resolve(how(answer))
    } catch (error) {
      call.reject(error)
    }
  }

  #end(error: Error): void {
    if (this.#closed) return
    this.#closed = true
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const call of calls) this.#refuse(call, error)
    for (const producer of [...this.producers.values()]) producer.lost(error)
    for (const receiver of [...this.receivers.values()]) receiver.broken(error)
    this.writes.close()
    this.keepAlive.close()
    this.native.dispose(this.handle)
    this.#onState('closed', '')
  }
}
