import type { ChunkData, Outcome } from '../../index'
import { FailedError } from '../errors/errors'
import { type OnError, wordsOf } from '../errors/wording'
import { uiMessage } from '../http/events'
import { checkChunk } from '../options/chunk'
import { leave, type Reading } from '../options/source'
import { type Deferred, ignore } from '../util/deferred'
import { SurrogatePairs } from '../util/text'
import type { Subscription } from './subscription'

/** What the local client of a source reads through: chunks, or pieces of a response. */
export interface Local {
  next(): Promise<IteratorResult<ChunkData, unknown>>
  leave(): void
}

export type Done = Deferred<Outcome | undefined>

/** How many chunks at a source's beginning are not for the local client. */
export interface Hidden {
  /** As far as is known; the chunks that have come so far are counted. */
  readonly count: number
  /** Once it is certain. */
  readonly known: Promise<number>
}

const NOTHING_HIDDEN: Hidden = { count: 0, known: Promise.resolve(0) }

/** One that is not there yet. */
export class Later implements Local {
  readonly #opening: Promise<Local>
  #local: Local | undefined

  constructor(opening: Promise<Local>) {
    this.#opening = opening
  }

  next(): Promise<IteratorResult<ChunkData, unknown>> {
    return this.#local === undefined ? this.#first() : this.#local.next()
  }

  leave(): void {
    this.#opening.then((local) => local.leave(), ignore)
  }

  async #first(): Promise<IteratorResult<ChunkData, unknown>> {
    this.#local = await this.#opening
    return this.#local.next()
  }
}

/** A subscription's chunks. */
export class Chunks implements Local {
  readonly #subscription: Subscription

  constructor(subscription: Subscription) {
    this.#subscription = subscription
  }

  async next(): Promise<IteratorResult<ChunkData, unknown>> {
    const result = await this.#subscription.next()
    return result.done ? result : { done: false, value: result.value.data }
  }

  leave(): void {
    this.#subscription.return().catch(ignore)
  }
}

/** Chunks that are in no store as events of an AI SDK's answer, without cursors. */
export class Framed implements Local {
  readonly #chunks: Pick<Local, 'next'> & Partial<Local>
  readonly #hidden: Hidden
  #count = 0

  constructor(chunks: Pick<Local, 'next'> & Partial<Local>, hidden = NOTHING_HIDDEN) {
    this.#chunks = chunks
    this.#hidden = hidden
  }

  async next(): Promise<IteratorResult<ChunkData, unknown>> {
    for (;;) {
      const result = await this.#chunks.next()
      if (result.done) return result
      if (++this.#count > this.#hidden.count) return { done: false, value: uiMessage(String(result.value)) }
    }
  }

  leave(): void {
    this.#chunks.leave?.()
  }
}

/** Why a generation has failed, as far as it concerns the local client. */
export class Failure {
  /** The source's own error for the local client, and the text that other readers get for it. */
  error: { is: unknown } | undefined
  words = ''
  /** A chunk too large to be stored is no failure for the local client, which gets it and the rest of the source. */
  rest: PassThrough | undefined
  /** Nobody reads any more. */
  isLeft = false
  readonly #onError: OnError | undefined

  constructor(onError: OnError | undefined) {
    this.#onError = onError
  }

  /** Only the first one counts: errors that a source throws after its end are ignored. */
  set(error: unknown): void {
    if (this.error !== undefined) return
    this.error = { is: error }
    this.words = wordsOf(error, this.#onError)
  }
}

/** What a generation's readers get, and what comes instead of its end for the one who has asked for it. */
export class Follower implements Local {
  readonly #chunks: Local
  readonly #failure: Failure
  readonly #isFramed: boolean
  #rest: Local | undefined

  constructor(chunks: Local, failure: Failure, isFramed = false) {
    this.#chunks = chunks
    this.#failure = failure
    this.#isFramed = isFramed
  }

  async next(): Promise<IteratorResult<ChunkData, unknown>> {
    if (this.#rest !== undefined) return this.#rest.next()
    try {
      return await this.#chunks.next()
    } catch (error) {
      const { error: own, rest } = this.#failure
      if (!(error instanceof FailedError)) {
        rest?.leave()
        throw error
      }
      if (rest === undefined) throw own === undefined ? error : own.is
      this.#rest = this.#isFramed ? new Framed(rest) : rest
      return this.#rest.next()
    }
  }

  leave(): void {
    this.#chunks.leave()
    this.#failure.isLeft = true
    this.#failure.rest?.leave()
  }
}

/** Reads at the client's pace; when the client leaves, the rest is still read to its end. */
export class PassThrough implements Local {
  readonly #reading: Reading
  readonly #failure: Failure
  readonly #done: Done
  readonly #halves: SurrogatePairs
  /** Chunks that come before the next one of the source. */
  readonly #made: ChunkData[] = []

  /** `first` comes before what is read, and follows the text that `halves` knows. */
  constructor(
    reading: Reading,
    failure: Failure,
    done: Done,
    halves = new SurrogatePairs(),
    first?: ChunkData,
  ) {
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
