import type { ChunkData, Outcome } from '../../index'
import { copyUntilAborted } from '../core/copy'
import { called, EndedError, StoppedError } from '../errors/errors'
import { type Check, integer, oneOf, refuse, text } from '../options/checks'
import { streamId } from '../options/fields'
import { leave, type Reading, read } from '../options/source'
import type { MessageType, StreamMessage } from '../schema/message-events'
import { deferred, ignore } from '../util/deferred'
import { SurrogatePairs } from '../util/text'
import { generateContent, paced, splitIntoChunks } from './content'
import { defaultEngine, newId } from './default-engine'
import { reasonOf, startOptions } from './options'
import { Publisher } from './publisher'
import type { MessageChunkStreamData, MessageChunkStreamRun, MessageSource, StartOptions } from './types'

const DEFAULT_MAX_CHUNKS = 20
const MAX_CONTENT_BYTES = 256 * 1024

const content = text(0, MAX_CONTENT_BYTES)
/** Whatever was typed: half a character is no reason to refuse a message. */
const userContent: Check<string> = (value, field) =>
  content(typeof value === 'string' ? value.toWellFormed() : value, field)
const type = oneOf('demo', 'ai', 'conversation')
const maxChunks = integer(1, 1_000_000, 'pieces')

/**
 * Starts a run: returns at once, and writes in the background `userMessage`, `aiMessageStart`, an `aiMessageChunk` for each
 * piece of text, and `aiMessageComplete` with the whole of it. A stop ends the run early, with what was written so far in
 * the last event. A run that is under way in the same chat is taken over.
 *
 * The promise resolves to the chat's id; it rejects with an `InvalidArgumentError` if nothing was begun. Later errors go to
 * the readers (`ERR_FAILED`), to `onError`, and to the promise's `finished`.
 */
export function startMessageChunkStream(
  data: MessageChunkStreamData,
  options: StartOptions = {},
): MessageChunkStreamRun {
  const finished = deferred<Outcome>()
  // Awaiting the result is optional: a failure must not be an unhandled rejection.
  finished.promise.catch(ignore)
  const beginning = called(startMessageChunkStream, () => begin(data, options, finished.resolve))
  const started = beginning.catch((error) => {
    finished.reject(error)
    throw error
  })
  return Object.assign(started, { finished: finished.promise })
}

async function begin(
  data: MessageChunkStreamData,
  given: StartOptions,
  settle: (outcome: Promise<Outcome>) => void,
): Promise<string> {
  if (typeof data !== 'object' || data === null) return refuse('data', 'an object', data)
  const chatId = data.chatId === undefined ? newId('chat') : streamId(data.chatId, 'data.chatId')
  const metadata = { type: type(data.type, 'data.type'), ownerId: data.ownerId }
  const content = userContent(data.userContent, 'data.userContent')
  const { source, signal, onError, ...options } = startOptions(given, 'options')
  const run = new Run(data, chatId, content, source ?? builtIn(data))
  const outcome = Publisher.open(defaultEngine(), chatId, { ...options, metadata }).then(
    (publisher) => run.through(publisher, signal),
    (error) => {
      run.leaveSource()
      throw error
    },
  )
  outcome.catch(onError ?? warn)
  settle(outcome)
  return chatId
}

function builtIn(data: MessageChunkStreamData): MessageSource {
  const { intervalMs = 0 } = data
  if (typeof intervalMs !== 'number' || !(intervalMs >= 0) || intervalMs > 3_600_000) {
    refuse('data.intervalMs', 'milliseconds from 0 to 3600000', intervalMs)
  }
  const most = data.maxChunks === undefined ? DEFAULT_MAX_CHUNKS : maxChunks(data.maxChunks, 'data.maxChunks')
  return (signal) =>
    paced(splitIntoChunks(generateContent(data.type, data.userContent), most), intervalMs, signal)
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}

/** One answer on its way into a chat. */
class Run {
  readonly #data: MessageChunkStreamData
  readonly #chatId: string
  readonly #userContent: string
  readonly #source: MessageSource
  // In the order of the messages, which their ids sort by.
  readonly #questionId = newId('msg')
  readonly #messageId = newId('msg')
  readonly #halves = new SurrogatePairs()
  #answer = ''
  #pieces = 0

  constructor(data: MessageChunkStreamData, chatId: string, userContent: string, source: MessageSource) {
    this.#data = data
    this.#chatId = chatId
    this.#userContent = userContent
    this.#source = source
  }

  /** Writes everything; resolves with how it ended. */
  async through(publisher: Publisher, caller: AbortSignal | undefined): Promise<Outcome> {
    const { signal } = publisher
    const onAbort = () => publisher.stop(reasonOf(caller?.reason)).catch(ignore)
    let reading: Reading | undefined
    try {
      if (caller?.aborted) await onAbort()
      else caller?.addEventListener('abort', onAbort, { once: true })
      if (this.#data.shouldStop) await publisher.stop('shouldStop')

      const said = this.#message(this.#questionId, 'user', this.#userContent)
      await publisher.write(this.#event({ type: 'userMessage', message: said }))
      await publisher.write(this.#event({ type: 'aiMessageStart', messageId: this.#messageId }))
      if (!signal.aborted) {
        reading = read(this.#source, signal)
        await copyUntilAborted(reading, signal, (piece) => this.#take(publisher, piece))
        await this.#add(publisher, this.#halves.end())
      } else this.leaveSource()
      const message = this.#message(this.#messageId, 'ai', this.#answer)
      await publisher.write(this.#event({ type: 'aiMessageComplete', messageId: this.#messageId, message }))
    } catch (error) {
      if (reading !== undefined) leave(reading)
      await this.#fail(publisher, error)
    } finally {
      caller?.removeEventListener('abort', onAbort)
    }
    const outcome = await publisher.complete()
    // The caller's object may be frozen.
    if (outcome === 'stopped') Reflect.set(this.#data, 'stoppedAt', new Date().toISOString())
    return outcome
  }

  /** The source will not be read; if it has not been created yet, it never is. */
  leaveSource(): void {
    if (typeof this.#source !== 'function') leave(read(this.#source))
  }

  #take(publisher: Publisher, piece: ChunkData): Promise<void> | undefined {
    if (this.#data.shouldStop) return publisher.stop('shouldStop')
    if (typeof piece !== 'string') return refuse('options.source', 'a source of strings', piece)
    return this.#add(publisher, this.#halves.join(piece))
  }

  #add(publisher: Publisher, piece: string): Promise<void> | undefined {
    if (piece === '') return undefined
    const full = publisher.write(
      this.#event({
        type: 'aiMessageChunk',
        messageId: this.#messageId,
        chunk: piece,
        chunkId: `chunk-${this.#pieces + 1}`,
      }),
    )
    this.#answer += piece
    this.#pieces += 1
    return full
  }

  /** Throws, unless the error only says that the stop's time for closing words is over. */
  async #fail(publisher: Publisher, error: unknown): Promise<void> {
    const { signal } = publisher
    const isStopped = signal.aborted && signal.reason instanceof StoppedError
    if (isStopped && error instanceof EndedError) return
    // The cause matters more than that it could not be stored: readers notice when the lease expires.
    if (!signal.aborted || isStopped) await publisher.fail(error).catch(ignore)
    throw error
  }

  #event(event: Omit<StreamMessage, 'chatId'>): StreamMessage {
    return { ...event, chatId: this.#chatId }
  }

  #message(id: string, from: 'user' | 'ai', content: string): MessageType {
    return { id, chatId: this.#chatId, createdAt: new Date(), from, content, text: content }
  }
}
