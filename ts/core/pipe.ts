import type { Chunk, ChunkData, Outcome, PipeSource } from '../../index'
import { ClosedError, FailedError, origin, TidemarkError } from '../errors/errors'
import { type OnError, wordsOf } from '../errors/wording'
import type { Bridge } from '../native/bridge'
import type { PipeArgs, ProduceArgs } from '../options/args'
import { checkChunk, isTooLarge } from '../options/chunk'
import { checkSource, leave, type Reading, read } from '../options/source'
import { cursorAt } from '../util/cursor'
import { type Deferred, deferred, ignore } from '../util/deferred'
import { Halves } from '../util/text'
import { copyUntilAborted, put } from './copy'
import { type Producer, produce } from './producer'
import { Subscription } from './subscription'

/** What the local client reads through. */
interface Local {
  /** The cursor of the last chunk; nothing without a store, and for what is not in it. */
  readonly cursor?: string | undefined
  readonly generation?: string | undefined
  next(): Promise<IteratorResult<ChunkData, unknown>>
  leave(): void
}

type Done = Deferred<Outcome | undefined>

const locals = new WeakMap<ReadableStream, () => Local | undefined>()
const generations = new WeakMap<ReadableStream, Promise<string | undefined>>()

/** The generation that {@link pipe} writes to; nothing without a store. */
export async function generationIn(chunks: ReadableStream): Promise<string | undefined> {
  return generations.get(chunks)
}

/** The cursor of the chunk that was read last from what {@link pipe} has returned, if that chunk is in the stream. */
export function lastCursorOf(chunks: ReadableStream): string | undefined {
  return locals.get(chunks)?.()?.cursor
}

/** `Engine.pipe`, its arguments checked but for the source. */
export function pipe(
  bridge: Bridge,
  { start, waitUntil, onError }: PipeArgs,
  maxQueueBytes: number,
  source: PipeSource,
): ReadableStream<ChunkData> {
  if (typeof source !== 'function') checkSource(source, 'source')
  const done: Done = deferred()
  // Whoever wants to know is told; nobody has to.
  done.promise.catch(ignore)
  waitUntil?.(done.promise)
  const failure = new Failure(onError)
  const opening = begin(bridge, start, maxQueueBytes, source, failure, done)
  opening.catch(done.reject)
  let open: Local | undefined
  const local = {
    async pull(controller: ReadableStreamDefaultController<ChunkData>) {
      open ??= await opening
      const result = await open.next()
      if (result.done) controller.close()
      else controller.enqueue(result.value)
    },
    cancel() {
      opening.then((local) => local.leave(), ignore)
    },
  }
  // A failure is for who reads that far, not for who has left before.
  const chunks = new ReadableStream<ChunkData>(local, { highWaterMark: 0 })
  locals.set(chunks, () => open)
  generations.set(
    chunks,
    opening.then(
      ({ generation }) => generation,
      () => undefined,
    ),
  )
  return chunks
}

/** Starts the generation and the copying; without a store, what the client reads is the source itself. */
async function begin(
  bridge: Bridge,
  start: ProduceArgs,
  maxQueueBytes: number,
  source: PipeSource,
  failure: Failure,
  done: Done,
): Promise<Local> {
  let producer: Producer
  try {
    producer = await produce(bridge, start, maxQueueBytes)
  } catch (error) {
    if (isUnreachable(error)) return passThrough(source, failure, done)
    if (typeof source !== 'function') leave(read(source))
    throw error
  }
  const args = {
    streamId: start.streamId,
    from: cursorAt(producer.generation, 0),
    consumer: null,
    owner: start.owner,
    waitMs: 0,
    isPatient: true,
    followAll: false,
    window: null,
    ackTimeoutMs: null,
    sse: null,
  }
  const following = { args, signal: undefined, isAuto: false }
  const reader = new Subscription(bridge, following, origin(begin))
  const local = new Follower(reader, failure, producer.generation)
  done.resolve(run(bridge, source, producer, failure))
  return local
}

function isUnreachable(error: unknown): boolean {
  return error instanceof TidemarkError && (error.code === 'ERR_CONNECTION' || error.code === 'ERR_TIMEOUT')
}

/** Why a generation has failed, as far as it concerns the local client. */
class Failure {
  /** The source's own error, which the local client gets, and the words for it that other readers get. */
  error: { is: unknown } | undefined
  words = ''
  /** A chunk that is too large to be kept is no failure to the local client: it goes on with that and the source's rest. */
  rest: PassThrough | undefined
  /** Nobody reads any more. */
  isLeft = false
  readonly #onError: OnError | undefined

  constructor(onError: OnError | undefined) {
    this.#onError = onError
  }

  /** The first one counts: what a source throws after its end is of no concern. */
  set(error: unknown): void {
    if (this.error !== undefined) return
    this.error = { is: error }
    this.words = wordsOf(error, this.#onError)
  }
}

class Follower implements Local {
  readonly #subscription: Subscription
  readonly #failure: Failure
  #last: Chunk | undefined
  #isAtRest = false

  constructor(
    subscription: Subscription,
    failure: Failure,
    readonly generation: string,
  ) {
    this.#subscription = subscription
    this.#failure = failure
  }

  get cursor(): string | undefined {
    return this.#isAtRest ? undefined : this.#last?.cursor
  }

  async next(): Promise<IteratorResult<ChunkData, unknown>> {
    if (this.#isAtRest) return (this.#failure.rest as PassThrough).next()
    try {
      const result = await this.#subscription.next()
      if (result.done) return result
      this.#last = result.value
      return { done: false, value: result.value.data }
    } catch (error) {
      const { error: own, rest } = this.#failure
      if (!(error instanceof FailedError)) {
        rest?.leave()
        throw error
      }
      if (rest === undefined) throw own === undefined ? error : own.is
      this.#isAtRest = true
      return rest.next()
    }
  }

  leave(): void {
    this.#subscription.return().catch(ignore)
    this.#failure.isLeft = true
    this.#failure.rest?.leave()
  }
}

/** Reads at the client's pace; what is left when the client leaves is read to its end all the same. */
class PassThrough implements Local {
  readonly #reading: Reading
  readonly #failure: Failure
  readonly #done: Done
  readonly #halves: Halves
  /** Chunks that come before the next one of the source. */
  readonly #made: ChunkData[] = []

  /** `first` comes before what is read, and follows the text that `halves` knows. */
  constructor(reading: Reading, failure: Failure, done: Done, halves = new Halves(), first?: ChunkData) {
    this.#reading = reading
    this.#failure = failure
    this.#done = done
    this.#halves = halves
    if (first !== undefined) this.#make(first)
  }

  async next(): Promise<IteratorResult<ChunkData, unknown>> {
    try {
      if (this.#made.length === 0) await this.#read()
      const value = this.#made.shift()
      if (value !== undefined) return { done: false, value }
      this.#done.resolve(undefined)
      return { done: true, value }
    } catch (error) {
      leave(this.#reading)
      this.#failure.set(error)
      this.#done.reject(error)
      throw error
    }
  }

  /** The same chunks as a stream's readers would get; none at the source's end. */
  async #read(): Promise<void> {
    const { done, value } = await this.#reading.next()
    if (!done) checkChunk(value)
    this.#make(done ? undefined : value)
  }

  #make(chunk: ChunkData | undefined): void {
    if (typeof chunk === 'string') this.#made.push(this.#halves.join(chunk))
    else {
      const rest = this.#halves.end()
      if (rest !== '') this.#made.push(rest)
      if (chunk !== undefined) this.#made.push(chunk)
    }
  }

  leave(): void {
    this.#drain().catch(ignore)
  }

  async #drain(): Promise<void> {
    while (!(await this.next()).done);
  }
}

function passThrough(source: PipeSource, failure: Failure, done: Done): PassThrough {
  try {
    // Nobody can stop a stream that is in no store.
    return new PassThrough(read(source, new AbortController().signal), failure, done)
  } catch (error) {
    failure.set(error)
    throw error
  }
}

/** Copies the source and ends the generation accordingly. */
async function run(
  bridge: Bridge,
  source: PipeSource,
  producer: Producer,
  failure: Failure,
): Promise<Outcome> {
  let reading: Reading | undefined
  let last: ChunkData | undefined
  try {
    if (!producer.signal.aborted) {
      reading = read(source, producer.signal)
      await copyUntilAborted(reading, producer.signal, (chunk) => {
        last = chunk
        return put(producer, chunk)
      })
    } else if (typeof source !== 'function') leave(read(source))
  } catch (error) {
    if (reading !== undefined && isTooLarge(error)) return outlive(reading, last, producer, failure, error)
    if (reading !== undefined) leave(reading)
    const isLost = producer.signal.aborted && error === producer.signal.reason
    // Neither a loss nor the end of this engine is the source's doing, and readers are told of both.
    if (!isLost && !(bridge.closing && error instanceof ClosedError)) {
      failure.set(error)
      // Why it failed matters more than that this could not be written down: readers are told when the lease lapses.
      await producer.fail(failure.words).catch(ignore)
    }
    throw error
  }
  return producer.complete()
}

/** The generation fails for a chunk that is too large, and the local client gets it all the same, and what comes after it. */
async function outlive(
  reading: Reading,
  chunk: ChunkData | undefined,
  producer: Producer,
  failure: Failure,
  error: unknown,
): Promise<never> {
  const over: Done = deferred()
  // The source's own end is told to the local client.
  const isOver = over.promise.catch(ignore)
  const rest = new PassThrough(reading, failure, over, producer.takeHalves(), chunk)
  failure.set(error)
  failure.rest = rest
  if ((await producer.fail(failure.words).catch(ignore)) === 'stopped') {
    leave(reading)
    throw error
  }
  if (failure.isLeft) rest.leave()
  await isOver
  throw error
}
