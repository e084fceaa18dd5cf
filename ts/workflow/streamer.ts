import { createHash } from 'node:crypto'
import { types } from 'node:util'
import type { Duration, Engine as PublicEngine } from '../../index'
import type { Engine } from '../core/engine'
import type { Log } from '../core/log'
import { called, TidemarkError } from '../errors/errors'
import { engine as anEngine, batches, prefix as checkPrefix, foreignId } from '../options/adapters'
import { duration, integer, list, object, refuse, text } from '../options/checks'
import { owner } from '../options/fields'
import { Order, Turns } from './order'
import { chunksOf, infoOf, names, read } from './reading'
import type { RunId, WorkflowChunk, WorkflowStreamer, WriteSession } from './types'

export interface WorkflowStreamerOptions {
  /** The beginning of its streams' ids. Up to 64 bytes, default `'workflow:'`. */
  prefix?: string | undefined
  /** How long a stream, and the list of a run's streams, is kept after its last use: 1 s to 36,500 days. Default `'30d'`. */
  ttl?: Duration | undefined
  /** The owner of the streams: nobody else can read or write them. 1–512 bytes. Default: everybody. */
  owner?: string | undefined
}

type Bytes = Uint8Array

const DEFAULT_TTL_MS = 30 * 86_400_000
/** How many streams are remembered as listed. */
const MOST_LISTED = 10_000

const checkOptions = object({ prefix: checkPrefix, ttl: duration('1s', '36500d'), owner })
const chunkSeq = integer(0, Number.MAX_SAFE_INTEGER, 'writes')
const writerId = text(1, 1024)

/**
 * The streams of a World of Workflow, kept by Tidemark: with the methods of World 4, and `streams` of World 5, to spread over a World.
 *
 * ```ts
 * export const createWorld = () => ({ ...createLocalWorld(), ...workflowStreamer(createEngine()) })
 * ```
 */
export function workflowStreamer(engine: PublicEngine, options?: WorkflowStreamerOptions): WorkflowStreamer {
  return called(workflowStreamer, () => {
    const checked = anEngine(engine, 'engine') as Engine
    const { prefix = 'workflow:', ttl = DEFAULT_TTL_MS, owner } = checkOptions(options, 'options')
    const logOf = (kind: string, id: string) => checked.log(`${prefix}${kind}:${id}`, { owner, ttl })
    return facesOf(new Writing(logOf), logOf)
  })
}

type LogOf = (kind: 'stream' | 'run', id: string) => Log

function facesOf(writing: Writing, logOf: LogOf): WorkflowStreamer {
  // World 4 reads without a run's id: a stream is found by its name alone.
  const named = (name: string) => logOf('stream', foreignId(name, 'name'))
  const write = async (runId: RunId, name: string, chunk: WorkflowChunk) =>
    writing.write(runId, name, [chunk])
  const writeMulti = async (runId: RunId, name: string, chunks: readonly WorkflowChunk[]) =>
    writing.write(runId, name, chunks)
  const close = async (runId: RunId, name: string) => writing.close(runId, name)
  const get = async (name: string, startIndex?: number) => read(named(name), startIndex)
  const listed = async (runId: string) => names(logOf('run', foreignId(runId, 'runId')))
  return {
    streamFlushIntervalMs: 0,
    writeToStream: (name, runId, chunk) => write(runId, name, chunk),
    writeToStreamMulti: (name, runId, chunks) => writeMulti(runId, name, chunks),
    closeStream: (name, runId) => close(runId, name),
    readFromStream: get,
    listStreamsByRunId: listed,
    getStreamChunks: async (name, _runId, options) => chunksOf(named(name), options),
    getStreamInfo: async (name, _runId) => infoOf(named(name)),
    streams: {
      write,
      writeMulti,
      close,
      get: (_runId, name, startIndex) => get(name, startIndex),
      list: listed,
      getChunks: async (_runId, name, options) => chunksOf(named(name), options),
      getInfo: async (_runId, name) => infoOf(named(name)),
      createWriteSession: (runId, name, options) => writing.session(runId, name, options),
    },
  }
}

class Writing {
  readonly #logOf: LogOf
  readonly #order = new Order()
  /** Streams that are known to be in their run's list. */
  readonly #listed = new Set<string>()

  constructor(logOf: LogOf) {
    this.#logOf = logOf
  }

  write(runId: RunId, name: string, chunks: readonly WorkflowChunk[]): Promise<void> {
    const log = this.#logOf('stream', foreignId(name, 'name'))
    // Copied, since the caller may reuse its buffers.
    const lists = batches(copies(chunks))
    if (lists.length === 0) return Promise.resolve()
    return this.#begin(runId, name, () => all(lists.map((batch) => log.append(batch))))
  }

  close(runId: RunId, name: string): Promise<void> {
    const log = this.#logOf('stream', foreignId(name, 'name'))
    return this.#begin(runId, name, () => all([log.close()]))
  }

  session(runId: RunId, name: string, given: { writerId: string }): WriteSession {
    const id = hash(writerId(given?.writerId, 'options.writerId'))
    const log = this.#logOf('stream', foreignId(name, 'name'))
    const turns = new Turns()
    const write = async (seq: number, chunks: WorkflowChunk | readonly WorkflowChunk[]) => {
      const epoch = chunkSeq(seq, 'chunkSeq')
      const lists = batches(copies(Array.isArray(chunks) ? chunks : [chunks]))
      if (lists.length === 0) return
      return turns.take(() =>
        this.#begin(runId, name, async () => {
          // Each write is an epoch of its writer: it is accepted once, and never after a later one.
          for (const [seq, batch] of lists.entries()) await once(log, { id, epoch, seq }, batch)
        }),
      )
    }
    return { write, close: async () => turns.take(() => this.close(runId, name)), dispose: () => {} }
  }

  /** Lists a stream with its run and then begins to write, in the order of the calls. */
  #begin(runId: RunId, name: string, begin: () => Promise<void>): Promise<void> {
    return this.#order.run(name, () => this.#list(runId, name), begin)
  }

  /** Puts a stream into its run's list; undefined when it is known to be there. */
  #list(runId: RunId, name: string): Promise<void> | undefined {
    if (typeof runId === 'string') {
      foreignId(runId, 'runId')
      if (this.#listed.has(keyOf(runId, name))) return undefined
    }
    return (async () => {
      const run = foreignId(await runId, 'runId')
      const key = keyOf(run, name)
      if (this.#listed.has(key)) return
      // Each name is a producer with a single append, so that the list contains it once.
      await once(this.#logOf('run', run), { id: hash(name), epoch: 0, seq: 0 }, [name])
      if (this.#listed.size >= MOST_LISTED) this.#listed.clear()
      this.#listed.add(key)
    })()
  }
}

const keyOf = (runId: string, name: string) => JSON.stringify([runId, name])

const hash = (name: string) => createHash('sha256').update(name).digest('base64url')

/** Appends once: nothing happens if the append is a repetition, a later epoch has written, or the log is closed. */
async function once(
  log: Log,
  producer: { id: string; epoch: number; seq: number },
  chunks: (string | Bytes)[],
): Promise<void> {
  try {
    await log.append(chunks, { producer })
  } catch (error) {
    if (!(error instanceof TidemarkError) || (error.code !== 'ERR_FENCED' && error.code !== 'ERR_ENDED'))
      throw error
  }
}

/** Waits for all appends. Those to a closed stream are ignored, as the interface says. */
async function all(appends: Promise<unknown>[]): Promise<void> {
  for (const append of await Promise.allSettled(appends)) {
    if (append.status === 'fulfilled') continue
    const { reason } = append
    if (!(reason instanceof TidemarkError) || reason.code !== 'ERR_ENDED') throw reason
  }
}

function copies(chunks: readonly WorkflowChunk[]): Bytes[] {
  return Array.from(list(chunks, 'chunks') as readonly WorkflowChunk[], (chunk, index) => {
    if (typeof chunk === 'string') return Buffer.from(chunk)
    if (types.isUint8Array(chunk)) return Uint8Array.from(chunk)
    return refuse(`chunks[${index}]`, 'a string or a Uint8Array', chunk)
  })
}
