import type { ChunkData, Outcome, PipeSource } from '../../index'
import { ClosedError, origin, TidemarkError } from '../errors/errors'
import type { Bridge } from '../native/bridge'
import type { PipeArgs, ProduceArgs, SubscribeArgs } from '../options/args'
import { isTooLarge } from '../options/chunk'
import { begin, checkSource, leave, type Reading, read } from '../options/source'
import { cursorAt } from '../util/cursor'
import { deferred, ignore } from '../util/deferred'
import { copyUntilAborted, put } from './copy'
import { FramedChunks } from './framed-chunks'
import {
  Chunks,
  type Done,
  Failure,
  Follower,
  Framed,
  type Hidden,
  Later,
  type Local,
  PassThrough,
} from './local'
import { type Producer, produce } from './producer'
import { Subscription } from './subscription'

/** How the local client reads: said before the generation has begun, or not at all. */
interface LocalMode {
  /** As the events of an AI SDK's answer, after the chunks that are not for it. */
  events?: Hidden
  /** Not at all. */
  isLeft?: boolean
  /** What is written to, once it has begun. */
  generation?: string
}

/** For a client that has left before there was anything to read. */
const NOBODY: Local = { next: async () => ({ done: true, value: undefined }), leave: ignore }

const piped = new WeakMap<ReadableStream, { local: Local; mode: LocalMode }>()

/** Pieces of a response of server-sent events, which its maker opens and ends. */
export interface Events {
  next(): Promise<IteratorResult<Uint8Array, unknown>>
  leave(): void
}

/**
 * Has what {@link pipe} has just returned read as the events of an AI SDK's answer, instead: those of chunks that are in the stream
 * have their cursors.
 */
export function eventsOf(chunks: ReadableStream<ChunkData>, hidden: Hidden): Events {
  const known = piped.get(chunks)
  // Somebody has wrapped the engine.
  if (known === undefined) {
    const reading = begin(chunks, 'the result of pipe')
    return new Framed({ next: () => reading.next(), leave: () => leave(reading) }, hidden) as Local as Events
  }
  known.mode.events = hidden
  return known.local as Events
}

/** The generation that {@link pipe} writes to; undefined before it has begun, and without a store. */
export function generationIn(chunks: ReadableStream<ChunkData>): string | undefined {
  return piped.get(chunks)?.mode.generation
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
  // Awaiting the result is optional: a failure must not be an unhandled rejection.
  done.promise.catch(ignore)
  waitUntil?.(done.promise)
  const failure = new Failure(onError)
  const mode: LocalMode = {}
  const opening = open(bridge, start, maxQueueBytes, source, failure, done, mode)
  opening.catch(done.reject)
  const local = new Later(opening)
  const client = {
    async pull(controller: ReadableStreamDefaultController<ChunkData>) {
      const result = await local.next()
      if (result.done) controller.close()
      else controller.enqueue(result.value)
    },
    cancel() {
      mode.isLeft = true
      local.leave()
    },
  }
  // Only a client that reads to the failure gets it, not one that has left before.
  const chunks = new ReadableStream<ChunkData>(client, { highWaterMark: 0 })
  piped.set(chunks, { local, mode })
  return chunks
}

/** Starts the generation and the copying; without a store, the client reads the source itself. */
async function open(
  bridge: Bridge,
  start: ProduceArgs,
  maxQueueBytes: number,
  source: PipeSource,
  failure: Failure,
  done: Done,
  mode: LocalMode,
): Promise<Local> {
  let producer: Producer
  try {
    producer = await produce(bridge, start, maxQueueBytes)
  } catch (error) {
    if (isUnreachable(error)) {
      const chunks = passThrough(source, failure, done)
      return mode.events === undefined ? chunks : new Framed(chunks, mode.events)
    }
    if (typeof source !== 'function') leave(read(source))
    throw error
  }
  mode.generation = producer.generation
  const local = follow(bridge, start, producer.generation, failure, mode)
  done.resolve(run(bridge, source, producer, failure))
  return local
}

/** The local client of a generation that is about to begin. */
function follow(
  bridge: Bridge,
  { streamId, owner }: ProduceArgs,
  generation: string,
  failure: Failure,
  { events, isLeft = false }: LocalMode,
): Local {
  const args: SubscribeArgs = {
    streamId,
    from: cursorAt(generation, 0),
    consumer: null,
    owner,
    waitMs: 0,
    isPatient: true,
    followAll: false,
    window: null,
    ackTimeoutMs: null,
    sse: null,
  }
  if (isLeft) return new Follower(NOBODY, failure)
  if (events === undefined) {
    const following = { args, signal: undefined, isAuto: false }
    return new Follower(new Chunks(new Subscription(bridge, following, origin(follow))), failure)
  }
  const framed = events.known.then((bareAfter) => {
    const sse = { format: 'ui-messages', retryMs: 0, isMerged: false, bareAfter } as const
    return new FramedChunks(bridge, { ...args, sse })
  })
  return new Follower(new Later(framed), failure, true)
}

function isUnreachable(error: unknown): boolean {
  return error instanceof TidemarkError && (error.code === 'ERR_CONNECTION' || error.code === 'ERR_TIMEOUT')
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
    // A loss and the end of this engine are not failures of the source, and readers learn of both anyway.
    if (!isLost && !(bridge.closing && error instanceof ClosedError)) {
      failure.set(error)
      // The cause matters more than that it could not be stored: readers notice when the lease expires.
      await producer.fail(failure.words).catch(ignore)
    }
    throw error
  }
  return producer.complete()
}

/** The generation fails because of a chunk that is too large, but the local client gets that chunk and the rest. */
async function outlive(
  reading: Reading,
  chunk: ChunkData | undefined,
  producer: Producer,
  failure: Failure,
  error: unknown,
): Promise<never> {
  const over: Done = deferred()
  // The local client gets the source's own end.
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
