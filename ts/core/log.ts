import type * as api from '../../index'
import { fromNative, type NativeError, type Origin, origin, publish, TidemarkError } from '../errors/errors'
import type { Bridge } from '../native/bridge'
import { unpacked } from '../native/large'
import type { LogAnswer, Page, Parcel } from '../native/native'
import type { AppendArgs } from '../options/args'
import {
  appendArgs,
  creation,
  forkArgs,
  type LogArgs,
  type Payload,
  pageArgs,
  payload,
  readArgs,
} from '../options/log-options'
import { show } from '../util/shown'
import { Chunk } from './chunk'
import { status } from './status'
import { Subscription } from './subscription'

/** @internal A page, with the origins of its log if that is a fork: see {@link api.LogFork}. */
export type LookedAt = api.LogPage & { readonly origins: readonly string[] }

const NOTHING: Payload = { tags: [], data: new Uint8Array(0) }

export class Log implements api.Log {
  readonly #bridge: Bridge
  readonly #args: LogArgs

  constructor(bridge: Bridge, args: LogArgs) {
    this.#bridge = bridge
    this.#args = args
  }

  get streamId(): string {
    return this.#args.streamId
  }

  /** @internal */
  get owner(): string | null {
    return this.#args.owner
  }

  async create(options?: { close?: boolean | undefined }): Promise<api.LogAppended> {
    const { close } = appendArgs(this.#args, options && { close: options.close })
    return this.#done(await this.attempt({ create: creation(this.#args, true), close }, NOTHING), 0)
  }

  async append(chunks: readonly api.ChunkData[], options?: api.LogAppendOptions): Promise<api.LogAppended> {
    const args = appendArgs(this.#args, options)
    const given = payload(chunks, 'chunks')
    return this.#done(await this.attempt(args, given), given.tags.length)
  }

  async close(options?: Omit<api.LogAppendOptions, 'close'>): Promise<api.LogAppended> {
    const args = appendArgs(this.#args, { ...options, close: true })
    return this.#done(await this.attempt(args, NOTHING), 0)
  }

  async createFrom(source: string, options?: api.LogForkOptions): Promise<api.LogAppended> {
    const { fork, close } = forkArgs(this.#args, source, options)
    const create = creation(this.#args, true)
    return this.#done(await this.attempt({ create, close, fork }, NOTHING), 0, fork.source)
  }

  async page(options?: api.LogPageOptions): Promise<api.LogPage> {
    const looked = await this.look(options)
    if (looked === null) throw this.#error('ERR_NOT_FOUND', 'does not exist')
    const { origins: _, ...page } = looked
    return page
  }

  read(options?: api.LogReadOptions): AsyncIterableIterator<api.Chunk, undefined> {
    return quiet(this.follow(options))
  }

  status(): Promise<api.StreamStatus | null> {
    return status(this.#bridge, this.streamId)
  }

  async delete(): Promise<boolean> {
    const { streamId, owner } = this.#args
    return this.#bridge.request('delete', { streamId, owner }, (existed: boolean) => existed)
  }

  toJSON(): { streamId: string } {
    return { streamId: this.streamId }
  }

  /** @internal Any outcome of an append, refusals included. */
  attempt(args: Partial<AppendArgs>, payload: Payload, from?: Origin): Promise<LogAnswer> {
    const { streamId, owner } = this.#args
    // Spelled out, since a spread of them is several times as dear.
    const whole: AppendArgs = {
      streamId,
      owner,
      create: args.create ?? null,
      producer: args.producer ?? null,
      order: args.order ?? null,
      contentType: args.contentType ?? null,
      generation: args.generation ?? null,
      close: args.close ?? false,
      isPatient: args.isPatient ?? true,
      fork: args.fork ?? null,
    }
    const receive = (answer: LogAnswer) => {
      if (answer.outcome === 'written') this.#bridge.grew(streamId)
      return answer
    }
    return this.#bridge.soon(whole, payload, receive, from)
  }

  /** @internal A page; null when there is no such stream. */
  look(options?: api.LogPageOptions, from?: Origin): Promise<LookedAt | null> {
    const receive = (page: Page | null) => page && paged(this.#bridge, page)
    return this.#bridge.soon(pageArgs(this.#args, options), null, receive, from)
  }

  /** @internal The chunks that exist by now, without waiting for others; none when there is no such stream. */
  async *present(): AsyncGenerator<api.Chunk, void, undefined> {
    for (let from = 'start'; ; ) {
      const page = await this.look({ from })
      if (page === null) return
      yield* page.chunks
      if (page.upToDate) return
      from = page.next
    }
  }

  /** @internal Its status; refuses another owner, for operations that the store does for everybody. */
  async check(): Promise<api.StreamStatus | null> {
    const there = await this.status()
    const owner = there?.owner ?? null
    if (owner !== null && owner !== this.#args.owner)
      throw this.#error('ERR_FORBIDDEN', 'belongs to another owner')
    return there
  }

  /** @internal {@link read} with all that a subscription has. */
  follow(options?: api.LogReadOptions): Subscription {
    return new Subscription(this.#bridge, readArgs(this.#args, options), origin(this.follow))
  }

  /** @internal Whether its name is kept for the forks of a log that was deleted. */
  isKept(): Promise<boolean> {
    return this.#bridge.request('kept', { streamId: this.streamId }, (isKept: boolean) => isKept)
  }

  #done(answer: LogAnswer, count: number, source = ''): api.LogAppended {
    const { head, outcome, last = 0 } = answer
    if (head === null) throw this.#refusal(outcome, source)
    const cursor = (seq: number) => `${head.generation}.${seq}`
    switch (outcome) {
      case 'written':
      case 'exists':
      case 'duplicate':
        return {
          cursors:
            outcome === 'written'
              ? Array.from({ length: count }, (_, index) => cursor(last - count + 1 + index))
              : [],
          next: cursor(head.seq),
          closed: head.end !== null,
          isNew: answer.isNew ?? false,
          isDuplicate: outcome === 'duplicate',
          stop: head.stop ?? undefined,
        }
      case 'closed':
        throw this.#error(
          'ERR_ENDED',
          `has ended as ${head.end?.outcome}; nothing can be written to this generation`,
        )
      case 'stale':
        throw this.#error(
          'ERR_FENCED',
          `this producer was replaced by its epoch ${answer.epoch}; its append was not written`,
        )
      case 'begin':
        throw this.#error('ERR_CONFLICT', 'a new epoch begins with seq 0', 0)
      case 'skipped': {
        const { expected = 0 } = answer
        throw this.#error('ERR_CONFLICT', `the producer's next append has seq ${expected}`, expected)
      }
      case 'disorder':
        throw this.#error('ERR_CONFLICT', "the order is not greater than the last append's")
      case 'contentType':
        throw this.#error('ERR_CONFLICT', 'the log has another content type')
      case 'other':
        throw this.#error('ERR_CONFLICT', 'it is the stream of a producer, not a log')
      case 'conflict':
        throw this.#error('ERR_CONFLICT', 'the log is there, and was made differently')
      default:
        throw this.#error('ERR_STORE', `the append was not written: ${outcome}`)
    }
  }

  /** The error for an append that found no log to write to. */
  #refusal(outcome: LogAnswer['outcome'], source: string): TidemarkError {
    const other = `the log ${JSON.stringify(source)}`
    switch (outcome) {
      case 'kept':
        return this.#error('ERR_CONFLICT', 'it was deleted, and its name is kept for as long as it has forks')
      case 'noSource':
        return this.#error('ERR_NOT_FOUND', `${other}, to be forked, does not exist`)
      case 'sourceKept':
        return this.#error('ERR_CONFLICT', `${other}, to be forked, was deleted`)
      case 'crowded':
        return this.#error('ERR_CONFLICT', `${other} has as many forks as it can`)
      case 'noPlace':
        return this.#error('ERR_CONFLICT', `${other} has no such place to be forked at`)
      case 'contentType':
        return this.#error('ERR_CONFLICT', `${other}, to be forked, has another content type`)
      case 'other':
        return this.#error('ERR_CONFLICT', `${JSON.stringify(source)} is the stream of a producer, not a log`)
      default:
        return this.#error('ERR_NOT_FOUND', 'does not exist')
    }
  }

  #error(code: NativeError['code'], problem: string, expected?: number): TidemarkError {
    const message = `stream ${JSON.stringify(this.streamId)}: ${problem}`
    const fields = { code, message, streamId: this.streamId, retryable: false }
    return fromNative(expected === undefined ? fields : { ...fields, expected })
  }
}

/** Ends quietly when the log is deleted. */
async function* quiet(subscription: Subscription): AsyncGenerator<api.Chunk, undefined> {
  try {
    yield* subscription
  } catch (error) {
    if (!(error instanceof TidemarkError) || error.code !== 'ERR_INTERRUPTED') throw error
    if ((error as api.InterruptedError).reason !== 'deleted') throw gone(error)
  }
  return undefined
}

/** A log is not interrupted: it has expired, or its store has lost it. */
function gone({ streamId, message }: TidemarkError): TidemarkError {
  return fromNative({
    code: 'ERR_NOT_FOUND',
    message: message.replace(/ was interrupted.*/, ' does not exist any more'),
    streamId: streamId ?? null,
    retryable: false,
  })
}

function paged({ native }: Bridge, page: Page): LookedAt {
  const { generation, after, end, log } = page
  const data = page.large === null ? NOTHING.data : (unpacked(native, page.large as Parcel) as Uint8Array)
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  let at = 0
  const chunks = page.tags.map((tag, index) => {
    const start = at
    at += tag >>> 1
    const isText = (tag & 1) === 1
    return new Chunk(
      generation,
      after + 1 + index,
      isText ? text.toString('utf8', start, at) : data.subarray(start, at),
    )
  })
  return {
    chunks,
    next: `${generation}.${after + chunks.length}`,
    upToDate: page.isLast,
    closed: end !== null,
    outcome: end?.outcome,
    reason: end?.reason || undefined,
    contentType: log?.contentType,
    origins: log?.fork?.origins ?? [],
  }
}

publish(Log, 'append', 'close', 'create', 'createFrom', 'delete', 'page', 'read')
show(Log, 'Log')
