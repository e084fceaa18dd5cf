import { EventEmitter } from 'node:events'
import type * as api from '../../index'
import { called, origin, publish } from '../errors/errors'
import { acknowledge } from '../http/acknowledge'
import { respond } from '../http/respond'
import { send } from '../http/send'
import { Bridge } from '../native/bridge'
import { type GroupStatus, loadNative, type Rights, type Swept, type Tail } from '../native/native'
import { cleanupArgs, deleteArgs, memoryArgs, metricsArgs, stopArgs } from '../options/admin'
import { streamId as checkStreamId } from '../options/fields'
import { consumeArgs, deadArgs, finishedArgs } from '../options/groups'
import { logArgs } from '../options/log-options'
import { type Config, closingSignals, engineConfig, engineName } from '../options/options'
import { pipeArgs, produceArgs } from '../options/produce'
import { ackArgs, acknowledgeArgs, respondArgs, resultArgs, subscribeArgs, textArgs } from '../options/read'
import { addressOf, hasServer } from '../options/url'
import { ignore } from '../util/deferred'
import { show } from '../util/shown'
import { nextTick } from '../util/timers'
import { cleanup } from './cleanup'
import type { Glance } from './glance'
import { consume, deadLetters, finished } from './group'
import { Log } from './log'
import { MemorySampler, sizeOf } from './memory'
import { combined, prometheus } from './metrics'
import { replace } from './names'
import { type ListCursor, type Page, page, pages } from './pages'
import { pipe } from './pipe'
import { produce } from './producer'
import { Reminders } from './reminders'
import { ended } from './result'
import { closeOn } from './signals'
import { type Found, glance, glances, inspect, list, status } from './status'
import { Subscription } from './subscription'

export function createEngine(options?: api.EngineOptions): api.Engine {
  return called(createEngine, () => openEngine(options))
}

/** `createEngine`, for the other entry points of this package. */
export function openEngine(options?: api.EngineOptions): Engine {
  const engine = new Engine(engineConfig(options, process.env))
  engine.closeOn(closingSignals(options))
  const name = engineName(options)
  if (name !== undefined) replace(name, engine)
  return engine
}

export class Engine extends EventEmitter<api.EngineEvents> implements api.Engine {
  readonly #config: Config
  readonly #bridge: Bridge
  readonly #memory: MemorySampler
  #state: api.ConnectionState
  #ignoreSignals: () => void = ignore

  constructor(config: Config) {
    super()
    this.#config = config
    this.#state = hasServer(config.url) ? 'idle' : 'ready'
    this.#bridge = new Bridge(loadNative(), config, this.#enter)
    this.#memory = new MemorySampler(this.#bridge)
  }

  get state(): api.ConnectionState {
    return this.#state
  }

  /** @internal Engines with the same one share their streams. */
  get namespace(): string {
    return `${this.#config.keyPrefix} ${this.#config.url}`
  }

  /** @internal */
  get stopGraceMs(): number {
    return this.#config.stopGraceMs
  }

  toJSON(): api.EngineJson {
    const { url, keyPrefix } = this.#config
    return { url: addressOf(url), keyPrefix, state: this.#state }
  }

  connect(): Promise<void> {
    return this.#bridge.request('connect', {}, ignore)
  }

  async produce(streamId: string, options?: api.ProduceOptions): Promise<api.Producer> {
    const args = produceArgs(streamId, options, this.#config)
    return produce(this.#bridge, args, this.#config.maxQueueBytes)
  }

  pipe(streamId: string, source: api.PipeSource, options?: api.PipeOptions): ReadableStream<api.ChunkData> {
    const args = pipeArgs(streamId, options, this.#config)
    return pipe(this.#bridge, args, this.#config.maxQueueBytes, source)
  }

  log(streamId: string, options?: api.OpenLogOptions): Log {
    return new Log(this.#bridge, logArgs(streamId, options, this.#config))
  }

  subscribe(streamId: string, options?: api.SubscribeOptions): api.Subscription {
    const following = subscribeArgs(streamId, options)
    return new Subscription(this.#bridge, following, origin(this.subscribe))
  }

  async text(streamId: string, options?: api.TextOptions): Promise<string> {
    const { result, error } = await ended(this.#bridge, textArgs(streamId, options), origin(this.text))
    if (error !== undefined) throw error
    return result.text
  }

  async result<Message = never>(
    streamId: string,
    options?: api.ResultOptions<Message>,
  ): Promise<api.StreamResult<Message>> {
    const args = resultArgs<Message>(streamId, options)
    return (await ended(this.#bridge, args, origin(this.result))).result
  }

  async ack(
    streamId: string,
    consumer: string | api.AckOptions,
    cursor?: string,
    options?: { owner?: string },
  ): Promise<void> {
    return this.#bridge.request('ack', ackArgs(streamId, consumer, cursor, options), ignore)
  }

  consume(streamId: string, options: api.ConsumeOptions): api.Consumption {
    return consume(this.#bridge, consumeArgs(streamId, options), origin(this.consume))
  }

  finished(options: api.FinishedOptions): api.FinishedQueue {
    return finished(this.#bridge, finishedArgs(options), origin(this.finished))
  }

  deadLetters(options: api.DeadLettersOptions & { streamId: string }): AsyncIterableIterator<api.DeadChunk>
  deadLetters(
    options: api.DeadLettersOptions & { streamId?: undefined },
  ): AsyncIterableIterator<api.DeadFinished>
  deadLetters(options: api.DeadLettersOptions & { streamId?: string }) {
    return deadLetters(this.#bridge, deadArgs(options)) as AsyncIterableIterator<never>
  }

  async respond(
    request: api.StreamRequest,
    streamId: string,
    options?: api.RespondOptions,
  ): Promise<Response> {
    return respond(this.#bridge, request, respondArgs(streamId, options))
  }

  async send(
    request: api.StreamRequest,
    response: api.ServerResponse,
    streamId: string,
    options?: api.RespondOptions,
  ): Promise<void> {
    return send(this.#bridge, request, response, respondArgs(streamId, options))
  }

  async acknowledge(
    request: api.AcknowledgeRequest,
    streamId: string,
    options?: api.AcknowledgeOptions,
  ): Promise<Response> {
    return acknowledge(this.#bridge, request, acknowledgeArgs(streamId, options))
  }

  async stop(
    streamId: string,
    reason?: string | api.StopOptions,
    options?: api.StopOptions,
  ): Promise<api.StopResult> {
    return this.#bridge.request(
      'stop',
      stopArgs(streamId, reason, options),
      (result: api.StopResult) => result,
    )
  }

  async status(streamId: string): Promise<api.StreamStatus | null> {
    return status(this.#bridge, checkStreamId(streamId, 'streamId'))
  }

  streams(): AsyncIterableIterator<api.StreamStatus> {
    return list(this.#bridge)
  }

  /** @internal The same; `onDamaged` gets the streams that are left out. */
  survey(onDamaged: (streamId: string, why: string) => void): AsyncIterableIterator<api.StreamStatus> {
    return list(this.#bridge, onDamaged)
  }

  /** @internal The same in pages, and with less of each. */
  glances(onDamaged: (streamId: string, why: string) => void): AsyncIterableIterator<Glance[]> {
    return glances(this.#bridge, onDamaged)
  }

  /** @internal In one request; null for a missing or damaged stream. */
  glance(streamIds: string[]): Promise<(Glance | null)[]> {
    return glance(this.#bridge, streamIds)
  }

  /** @internal Where streams end, at most 256 of them; null for a missing or damaged one. */
  tails(streamIds: string[]): Promise<(Tail | null)[]> {
    return this.#bridge.request('tails', { streamIds }, (tails: (Tail | null)[]) => tails)
  }

  /** @internal */
  get reminders(): Reminders {
    return new Reminders(this.#bridge)
  }

  /** @internal Calls with each stream that this engine has appended to, until the returned function is called. */
  onGrowth(told: (streamId: string) => void): () => void {
    this.#bridge.growth.add(told)
    return () => void this.#bridge.growth.delete(told)
  }

  /** @internal A page of the ids of all streams, which may repeat some of an earlier page. */
  listed(from: ListCursor, count: number): Promise<Page> {
    return page(this.#bridge, from, count)
  }

  /** @internal The ids of all streams, by pages. */
  listing(): AsyncGenerator<string[], undefined> {
    return pages(this.#bridge, 256)
  }

  /** @internal */
  ulid(): string {
    return this.#bridge.native.ulid()
  }

  /** @internal The record under a stream's name, even if it is damaged. */
  async inspect(streamId: string): Promise<Found> {
    const [found = null] = await inspect(this.#bridge, [checkStreamId(streamId, 'streamId')])
    return found
  }

  async delete(streamId: string, options?: api.DeleteOptions): Promise<boolean> {
    return this.#bridge.request('delete', deleteArgs(streamId, options), (existed: boolean) => existed)
  }

  async cleanup(options?: api.CleanupOptions): Promise<api.CleanupReport> {
    return cleanup(this.#bridge, cleanupArgs(options))
  }

  metrics(options?: { format?: 'object' | undefined }): api.Metrics
  metrics(options: { format: 'prometheus' }): string
  metrics(options?: { format?: 'object' | 'prometheus' | undefined }): api.Metrics | string {
    const { format } = metricsArgs(options)
    const metrics = combined(this.#bridge.counted(), this.#memory.last)
    return format === 'prometheus' ? prometheus(metrics) : metrics
  }

  /** @internal The groups of a stream, if it exists; without an id, those of finished generations. */
  groups(streamId: string | null): Promise<GroupStatus[] | null> {
    const args = { streamId: streamId === null ? null : checkStreamId(streamId, 'streamId') }
    return this.#bridge.request('groups', args, (groups: GroupStatus[] | null) => groups)
  }

  /** @internal The server's `INFO`; null on memory. */
  info(): Promise<string | null> {
    return this.#bridge.request('info', {}, (text: string | null) => text)
  }

  /** @internal The rights of the URL's user on the server; null on memory. */
  rights(): Promise<Rights | null> {
    return this.#bridge.request('rights', {}, (rights: Rights | null) => rights)
  }

  async sampleMemory(options?: { streams?: number }): Promise<api.MemorySample> {
    return this.#memory.sample(memoryArgs(options).streams)
  }

  /** @internal Removes those of these streams that have ended, or, with force, all of them. */
  sweep(streamIds: string[], force: boolean): Promise<Swept[]> {
    const { sweep } = cleanupArgs({ olderThan: 0, force })
    return this.#bridge.request('sweep', { ...sweep, streamIds }, (swept: Swept[]) => swept)
  }

  /** @internal */
  memoryOf(streamId: string): Promise<number | null> {
    return sizeOf(this.#bridge, streamId)
  }

  /** @internal A question of `src/legacy/mod.rs`. */
  predecessor<T>(ask: object): Promise<T | null> {
    return this.#bridge.request('predecessor', ask, (left: T | null) => left)
  }

  /** @internal */
  closeOn(signals: readonly NodeJS.Signals[]): void {
    if (signals.length > 0) this.#ignoreSignals = closeOn(signals, () => this.#bridge.close())
  }

  close(): Promise<void> {
    // The signals have their default effect again, also while it closes.
    this.#ignoreSignals()
    return this.#bridge.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  readonly #enter = (state: api.ConnectionState, reason: string): void => {
    if (state === this.#state) return
    this.#state = state
    try {
      this.emit('state', state, reason)
    } catch (error) {
      // A listener's error is the program's, not the connection's: it surfaces as if the event loop had called it.
      nextTick(() => {
        throw error
      })
    }
  }
}

publish(
  Engine,
  'ack',
  'acknowledge',
  'cleanup',
  'close',
  'connect',
  'consume',
  'deadLetters',
  'delete',
  'finished',
  'log',
  'metrics',
  'pipe',
  'produce',
  'respond',
  'result',
  'sampleMemory',
  'send',
  'status',
  'stop',
  'subscribe',
  'text',
)
show(Engine, 'Engine')
