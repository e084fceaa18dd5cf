import { randomUUID } from 'node:crypto'
import { types } from 'node:util'
import type {
  ResumableStreamAcquireOptions,
  ResumableStreamAcquisition,
  ResumableStreamLease,
  ResumableStreamStore,
} from 'assistant-stream/resumable' with { 'resolution-mode': 'import' }
import type { Duration, Engine as PublicEngine } from '../../index'
import type { Engine } from '../core/engine'
import type { Log } from '../core/log'
import { called, fromNative, TidemarkError } from '../errors/errors'
import { engine as anEngine, prefix as checkPrefix } from '../options/adapters'
import { duration, integer, object, oneOf, refuse, text } from '../options/checks'
import { MAX_CHUNK_BYTES } from '../options/chunk'
import { owner } from '../options/fields'
import { payload } from '../options/log-options'
import { cursorAt, generationOf as generationIn, isCursor } from '../util/cursor'
import { checkId, finalized, notFound, superseded } from './errors'
import { failureOf, marker, read } from './reading'

export interface AssistantUiStoreOptions {
  /** The beginning of its streams' ids, so that an id cannot name another stream. Up to 64 bytes, default `'assistant-ui:'`. */
  prefix?: string | undefined
  /** How long a stream is kept after its last use, unless `acquire` says so: 1 s to 36,500 days. Default `'24h'`. */
  ttl?: Duration | undefined
  /** The largest chunk, 1 byte to 32 MiB. Default 32 MiB. */
  maxChunkBytes?: number | undefined
  /** The owner of the streams: nobody else can read or write them. 1–512 bytes. Default: everybody who knows an id can. */
  owner?: string | undefined
}

/** All of assistant-ui's interface. Its methods need no `this`, so that it may be spread. */
export type AssistantUiStore = Required<ResumableStreamStore>

const DAY_MS = 86_400_000
const MAX_TTL_MS = 36_500 * DAY_MS
/** How many streams that this process has acquired are remembered, for callers that do not pass their lease. */
const MOST_ACQUIRED = 10_000

const checkOptions = object({
  prefix: checkPrefix,
  ttl: duration('1s', '36500d'),
  maxChunkBytes: integer(1, MAX_CHUNK_BYTES, 'bytes'),
  owner,
})
const acquireOptions = object({ ttlMs })
const status = oneOf('done', 'error')
const token = text(1, 64)

/**
 * A store for `createResumableStreamContext` of `assistant-stream/resumable`: streams of an engine, on any number of servers.
 *
 * ```ts
 * const context = createResumableStreamContext({ store: assistantUiStore(engine) })
 * ```
 */
export function assistantUiStore(engine: PublicEngine, options?: AssistantUiStoreOptions): AssistantUiStore {
  return called(assistantUiStore, () => {
    const checked = anEngine(engine, 'engine') as Engine
    return storeOf(checked, checkOptions(options, 'options'))
  })
}

function storeOf(engine: Engine, settings: ReturnType<typeof checkOptions>): AssistantUiStore {
  const { prefix = 'assistant-ui:', ttl = DAY_MS, maxChunkBytes = MAX_CHUNK_BYTES, owner } = settings
  const logOf = (id: string, ms: number = ttl): Log => engine.log(prefix + id, { owner, ttl: ms })
  const acquired = new Acquired()

  const acquireLease = async (
    streamId: string,
    given?: ResumableStreamAcquireOptions,
  ): Promise<ResumableStreamAcquisition> => {
    const id = checkId(streamId)
    const { ttlMs: keep = ttl } = acquireOptions(given, 'options')
    const generation = await made(logOf(id, keep))
    if (generation === undefined) return { role: 'consumer' }
    acquired.note(id, generation)
    return { role: 'producer', lease: { token: generation } }
  }

  return {
    acquireLease,
    acquire: async (id, given) => (await acquireLease(id, given)).role,
    append: async (streamId, chunk, lease) => {
      const id = checkId(streamId)
      if (!types.isUint8Array(chunk)) refuse('chunk', 'a Uint8Array', chunk)
      if (chunk.byteLength > maxChunkBytes) {
        throw new Error(`Chunk exceeds maxChunkBytes: ${chunk.byteLength}`)
      }
      const generation = acquired.held(id, lease) ?? null
      const { outcome, head } = await logOf(id).attempt({ generation }, payload([chunk], 'chunk'))
      if (head === null) throw notFound(id)
      if (generation !== null && head.generation !== generation) throw superseded(id)
      if (outcome === 'closed') throw finalized(id)
      if (outcome !== 'written') throw unwritten(id, outcome)
    },
    finalize: async (streamId, how, error, lease) => {
      const id = checkId(streamId)
      const isError = status(how, 'status') === 'error'
      const generation = acquired.held(id, lease) ?? null
      // A number of its own tells whether it was this call that has closed it.
      const producer = { id: `end ${randomUUID()}`, epoch: 0, seq: 0 }
      const last = isError ? [marker(error)] : []
      const { outcome, head } = await logOf(id).attempt(
        { generation, producer, close: true },
        payload(last, 'error'),
      )
      if (lease !== undefined) acquired.forget(id, lease.token)
      if (head === null) throw notFound(id)
      if (outcome === 'closed' || outcome === 'renewed') return false
      if (outcome !== 'written') throw unwritten(id, outcome)
      acquired.forget(id, head.generation)
      return true
    },
    read: async function* (streamId, cursor, signal) {
      const id = checkId(streamId)
      yield* read(logOf(id), id, cursor, signal)
    },
    status: async (streamId) => {
      const log = logOf(checkId(streamId))
      const there = await log.check()
      if (there === null) return 'missing'
      if (there.state === 'active') return 'streaming'
      if (there.state !== 'complete' && there.state !== 'stopped') return 'error'
      const page = await log.look({ from: -1, limit: 1 })
      const end = page?.chunks[0]
      if (page === null) return 'missing'
      return end !== undefined && failureOf(end) !== undefined ? 'error' : 'done'
    },
    delete: async (streamId) => {
      const id = checkId(streamId)
      const generation = acquired.held(id, undefined)
      const log = logOf(id)
      await log.check()
      await log.delete()
      acquired.forget(id, generation)
    },
  }
}

/** The generation of a log that was created; undefined if it existed. */
async function made(log: Log): Promise<string | undefined> {
  try {
    const { isNew, next } = await log.create()
    return isNew ? generationIn(next) : undefined
  } catch (error) {
    // It is there, with another TTL or closed.
    if (error instanceof TidemarkError && error.code === 'ERR_CONFLICT') return undefined
    throw error
  }
}

function unwritten(id: string, outcome: string): Error {
  const message = `stream ${JSON.stringify(id)} was not written: ${outcome}`
  return fromNative({ code: 'ERR_STORE', message, streamId: id, retryable: false })
}

const NEVER = '0'.repeat(26)

/** A lease is its generation. A text that is not a generation is not a lease. */
function generationOf(lease: ResumableStreamLease): string {
  const given = token((lease as Partial<ResumableStreamLease> | null)?.token, 'lease.token')
  return isCursor(cursorAt(given, 0)) ? given : NEVER
}

/** The generations that a store has acquired, which fence callers that pass no lease. */
class Acquired {
  readonly #generations = new Map<string, string>()

  note(id: string, generation: string): void {
    this.#generations.delete(id)
    this.#generations.set(id, generation)
    if (this.#generations.size <= MOST_ACQUIRED) return
    const [oldest] = this.#generations.keys()
    this.#generations.delete(oldest as string)
  }

  /** The generation that a caller may write to; undefined: any. */
  held(id: string, lease: ResumableStreamLease | undefined): string | undefined {
    return lease === undefined ? this.#generations.get(id) : generationOf(lease)
  }

  forget(id: string, generation: string | undefined): void {
    if (this.#generations.get(id) === generation) this.#generations.delete(id)
  }
}

/** A lifetime in milliseconds, at least a second. */
function ttlMs(value: unknown, field: string): number {
  if (typeof value === 'number' && value > 0 && value <= MAX_TTL_MS) return Math.max(1000, Math.ceil(value))
  return refuse(field, 'a number of milliseconds above 0, at most 36500 days', value)
}
