import { types } from 'node:util'
import type * as api from '../../index'
import {
  backpressureError,
  closedError,
  endedError,
  outcomeError,
  publish,
  startingAt,
} from '../errors/errors'
import type { Bridge } from '../native/bridge'
import { costOf, type Queue } from '../native/crossing'
import { seqAt } from '../native/native'
import { BYTES_PER_UNIT } from '../native/writes'
import type { ProduceArgs } from '../options/args'
import { MAX_CHUNK_BYTES, refuseChunk } from '../options/chunk'
import { MAX_REASON_BYTES } from '../options/fields'
import { cursorAt } from '../util/cursor'
import { type Deferred, deferred, ignore } from '../util/deferred'
import { Fifo } from '../util/fifo'
import { show } from '../util/shown'
import { SurrogatePairs } from '../util/text'

const READY = Promise.resolve()

interface Started {
  producer: number
  generation: string
  continued: string | null
  stop: string | null
}

export class Producer implements api.Producer, Queue {
  readonly streamId: string
  readonly generation: string
  readonly continued: string | undefined
  /** @internal */ readonly handle: number
  /** @internal */ depth = 0
  /** @internal */ gathered = 0
  /** @internal */ mayWait = false
  readonly #bridge: Bridge
  readonly #limit: number
  readonly #highWater: number
  readonly #appends = new Fifo<Deferred<string>>()
  #halves = new SurrogatePairs()
  #controller: AbortController | undefined
  #abortReason: Error | undefined
  #isStopped = false
  #outcome: api.Outcome | undefined
  /** Why nothing can be written any more, if this producer did not end itself. */
  #loss: Error | undefined
  /** How it was asked to end; the first one counts. */
  #ending: { outcome: 'complete' | 'failed'; reason: string } | undefined
  #finish: Promise<api.Outcome> | undefined
  #ready: Promise<void> | undefined
  /** Whether a chunk found no room since `ready` was asked for. */
  #wasRefused = false

  constructor(bridge: Bridge, streamId: string, limit: number, started: Started) {
    this.streamId = streamId
    this.generation = started.generation
    this.continued = started.continued ?? undefined
    this.handle = started.producer
    this.#bridge = bridge
    this.#limit = limit
    this.#highWater = limit / 4
    bridge.producers.set(this.handle, this)
    if (started.stop !== null) this.stopped(started.stop)
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason)
    }
    return this.#controller.signal
  }

  get outcome(): api.Outcome | undefined {
    return this.#outcome
  }

  toJSON(): api.ProducerJson {
    const { streamId, generation, outcome } = this
    return { streamId, generation, outcome }
  }

  write(chunk: api.ChunkData): boolean {
    try {
      this.#put(chunk, false)
    } catch (error) {
      throw startingAt(error, Producer.prototype.write)
    }
    return this.#isBelowHighWater()
  }

  append(chunk: api.ChunkData): Promise<string> {
    try {
      this.#put(chunk, true)
      // The chunk may have crossed at once and failed.
      if (this.#loss !== undefined) throw this.#loss
    } catch (error) {
      return Promise.reject(startingAt(error, Producer.prototype.append))
    }
    const append = deferred<string>()
    this.#appends.push(append)
    return append.promise
  }

  get ready(): Promise<void> {
    if (this.#loss !== undefined) {
      const refused = Promise.reject(this.#loss)
      // Reading a property must not cause an unhandled rejection; the next write reports the error too.
      refused.catch(ignore)
      return refused
    }
    if (this.#ready === undefined) {
      const isBelow = this.#isBelowHighWater()
      if (isBelow && !this.#wasRefused) return READY
      // A chunk that found no room below the mark fits once nothing is before it.
      this.#ready = this.#wait(isBelow ? 'flush' : 'ready')
      this.#wasRefused = false
      const over = () => {
        this.#ready = undefined
      }
      this.#ready.then(over, over)
    }
    return this.#ready
  }

  flush(): Promise<void> {
    if (this.#loss !== undefined) return Promise.reject(startingAt(this.#loss))
    return this.#outcome === undefined ? this.#wait('flush') : READY
  }

  complete(): Promise<api.Outcome> {
    return this.#end('complete', '')
  }

  fail(error: unknown): Promise<api.Outcome> {
    return this.#end('failed', messageOf(error))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A requested end reports its own failure, and so does a loss.
    if (this.#finish !== undefined) await this.#finish.catch(ignore)
    else if (this.#loss === undefined) await this.fail('the producer was disposed before complete()')
  }

  /** @internal A stop was requested; closing chunks may still be written. */
  stopped(reason: string): void {
    this.#isStopped = true
    this.#abort(outcomeError('stopped', this.streamId, reason))
  }

  /** @internal Nothing can be written any more. */
  lost(error: Error): void {
    if (this.#loss !== undefined || this.#outcome !== undefined) return
    this.#loss = error
    this.#bridge.producers.delete(this.handle)
    this.#rejectAppends(error)
    this.#abort(error)
  }

  /** @internal The oldest appends were accepted; `count` pairs of words say with which seqs. */
  settled(words: Uint32Array, at: number, count: number): void {
    for (let i = at; i < at + 2 * count; i += 2) {
      this.#appends.shift()?.resolve(cursorAt(this.generation, seqAt(words, i)))
    }
  }

  #put(chunk: api.ChunkData, wantsAck: boolean): void {
    if (this.#loss !== undefined || this.#ending !== undefined || this.#bridge.closing) this.#refuse()
    if (typeof chunk === 'string') {
      const most = chunk.length * BYTES_PER_UNIT
      if (most > MAX_CHUNK_BYTES && Buffer.byteLength(chunk) > MAX_CHUNK_BYTES) refuseChunk(chunk)
      if (this.#isFull(costOf(most, wantsAck))) this.#checkRoom(costOf(Buffer.byteLength(chunk), wantsAck))
      const isWhole = this.#halves.isEmpty && chunk.isWellFormed()
      if (isWhole) this.#bridge.writes.text(this, chunk, wantsAck)
      else this.#putWhole(this.#halves.join(chunk), wantsAck)
    } else if (types.isUint8Array(chunk)) {
      if (chunk.byteLength > MAX_CHUNK_BYTES) refuseChunk(chunk)
      const cost = costOf(chunk.byteLength, wantsAck)
      if (this.#isFull(cost)) this.#checkRoom(cost)
      this.endText()
      this.#bridge.writes.bytes(this, chunk, wantsAck)
    } else refuseChunk(chunk)
  }

  /** A half that was kept may make a chunk too long: then its character is one of its own. */
  #putWhole(text: string, wantsAck: boolean): void {
    const { writes } = this.#bridge
    const isTooLong =
      text.length * BYTES_PER_UNIT > MAX_CHUNK_BYTES && Buffer.byteLength(text) > MAX_CHUNK_BYTES
    const head = isTooLong ? String.fromCodePoint(text.codePointAt(0) as number) : ''
    if (isTooLong) writes.text(this, head, false)
    writes.text(this, text.slice(head.length), wantsAck)
  }

  /** @internal No text follows: half a character that was kept will not find its other half. */
  endText(): void {
    const rest = this.#halves.end()
    if (rest !== '' && this.#loss === undefined) this.#bridge.writes.text(this, rest, false)
  }

  /** @internal Returns the half that was kept, for a caller that passes it on itself. */
  takeHalves(): SurrogatePairs {
    const halves = this.#halves
    this.#halves = new SurrogatePairs()
    return halves
  }

  #refuse(): never {
    if (this.#loss !== undefined) throw this.#loss
    if (this.#ending === undefined) throw closedError()
    throw endedError(this.streamId, this.#outcome ?? this.#ending.outcome)
  }

  /** `depth` is as of the last crossing; the queue may have become shorter since. */
  #measure(): number {
    this.depth = this.#bridge.native.depth(this.#bridge.handle, this.handle)
    return this.depth + this.gathered
  }

  #isBelowHighWater(): boolean {
    return this.depth + this.gathered < this.#highWater || this.#measure() < this.#highWater
  }

  #isFull(cost: number): boolean {
    return this.depth + this.gathered + cost > this.#limit
  }

  #checkRoom(cost: number): void {
    this.#bridge.writes.cross()
    const queued = this.#measure()
    // An empty queue takes the longest chunk, whatever the bound.
    this.#wasRefused = queued > 0 && this.#isFull(cost)
    if (this.#wasRefused) throw backpressureError(this.streamId, queued, this.#limit)
  }

  #wait(operation: 'ready' | 'flush'): Promise<void> {
    // The native half goes when the generation has ended, and by then everything has been accepted.
    if (this.#finish !== undefined) return this.#finish.then(ignore)
    return this.#bridge.request(operation, { producer: this.handle }, ignore, (error) => {
      throw this.#loss ?? error
    })
  }

  #end(outcome: 'complete' | 'failed', reason: string): Promise<api.Outcome> {
    if (this.#finish !== undefined) return this.#finish
    if (this.#loss !== undefined) {
      try {
        return Promise.resolve(this.#unasked(this.#loss))
      } catch (error) {
        return Promise.reject(startingAt(error))
      }
    }
    this.#ending ??= { outcome, reason }
    if (!this.#bridge.closing) this.endText()
    this.#finish = this.#bridge.request(
      'finish',
      { producer: this.handle, ...this.#ending },
      (answer: { outcome: api.Outcome }) => this.#ended(answer.outcome),
      (error) => {
        // The same end may be asked for again.
        if ('retryable' in error && error.retryable === true) this.#finish = undefined
        return this.#unasked(this.#loss ?? error)
      },
    )
    return this.#finish
  }

  /** The answer to an end after the end: after a stop's grace period this is expected. */
  #unasked(loss: Error): api.Outcome {
    if (this.#isStopped && 'code' in loss && loss.code === 'ERR_ENDED') return this.#ended('stopped')
    throw loss
  }

  #ended(outcome: api.Outcome): api.Outcome {
    this.#outcome = outcome
    // Nothing waits any more, and the native side is about to be gone.
    this.depth = 0
    this.gathered = 0
    this.#bridge.producers.delete(this.handle)
    this.#bridge.grew(this.streamId)
    this.#rejectAppends(endedError(this.streamId, outcome))
    return outcome
  }

  #abort(reason: Error): void {
    if (this.#abortReason !== undefined) return
    this.#abortReason = reason
    this.#controller?.abort(reason)
  }

  #rejectAppends(error: Error): void {
    for (let append = this.#appends.shift(); append !== undefined; append = this.#appends.shift()) {
      append.reject(error)
    }
  }
}

publish(Producer, 'flush', 'complete', 'fail')
show(Producer, 'Producer')

/** The queue's bound is the engine's option: the native side's error does not contain it. */
export function produce(bridge: Bridge, args: ProduceArgs, maxQueueBytes: number): Promise<Producer> {
  return bridge.request(
    'produce',
    args,
    (started: Started) => new Producer(bridge, args.streamId, maxQueueBytes, started),
  )
}

/** An error's message for the readers, within the limit of a reason. */
export function messageOf(error: unknown): string {
  let message: string
  try {
    message = error instanceof Error ? error.message || error.name : String(error)
  } catch {
    message = 'an error that cannot be shown'
  }
  if (typeof message !== 'string') message = 'an error that cannot be shown'
  message = message.toWellFormed()
  if (Buffer.byteLength(message) <= MAX_REASON_BYTES) return message
  const head = Buffer.from(message).subarray(0, MAX_REASON_BYTES - 3)
  // A character that was cut in two is dropped with its replacement.
  return `${head.toString().replace(/\uFFFD+$/, '')}…`
}
