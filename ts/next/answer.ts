import type { Hidden } from '../core/local'
import { refuse } from '../options/checks'
import { MAX_CHUNK_BYTES } from '../options/chunk'
import { begin, leave, type Reading } from '../options/source'
import { deferred, ignore } from '../util/deferred'
import { EventParser } from '../util/sse-parser'
import { clearTimeout, setTimeout } from '../util/timers'
import { chunkOf } from './ui-chunk'

/** Chunks of the AI SDK's UI message stream, each an object with a `type`. */
export type UIMessageChunks = ReadableStream<object> | AsyncIterable<object>

/** The result of `streamText` of `ai` 5, 6 and 7, or the UI message stream made from it. */
export type Answer =
  | UIMessageChunks
  | { toUIMessageStream(options: { onError(error: unknown): string }): UIMessageChunks }

const START = '{"type":"start"}'
/** Milliseconds that a stopped answer may take for its closing chunks. */
const CLOSING_MS = 1000

/** The JSON texts of one value of a source. */
export type Encode = (value: unknown) => Iterable<string>

/** Texts in front of an answer's own, for readers other than the client that has asked. */
export interface Prelude {
  /** As soon as there is an answer; undefined: there will be none. */
  opened?(answer: Answer | undefined): Iterable<string>
  /** When the answer's first text has come. */
  begun?(first: string): PromiseLike<Iterable<string>>
}

/** The content of a generation: JSON texts of UI message chunks, each one chunk of the stream. */
export class AnswerSource implements AsyncIterableIterator<string> {
  readonly #open: () => Answer | PromiseLike<Answer>
  readonly #encode: Encode
  readonly #signal: AbortSignal
  readonly #wording: (error: unknown) => string
  readonly #prelude: Prelude
  readonly #closed = deferred<void>()
  readonly #known = deferred<number>()
  #reading: Promise<Reading<unknown>> | undefined
  /** The same, once it is there. */
  #source: Reading<unknown> | undefined
  readonly #texts: string[] = []
  #hasBegun = false
  /** How many texts belong to the prelude: all of them come first. */
  #hidden = 0

  /** `wording` gives the text for errors that the SDK turns into chunks. */
  constructor(
    open: () => Answer | PromiseLike<Answer>,
    encode: Encode,
    signal: AbortSignal,
    wording: (error: unknown) => string,
    prelude: Prelude = {},
  ) {
    this.#open = open
    this.#encode = encode
    this.#signal = signal
    this.#wording = wording
    this.#prelude = prelude
    this.#closed.promise.then(this.#know)
    if (prelude.opened === undefined && prelude.begun === undefined) this.#know()
  }

  /** How many texts are not for the client that has asked. */
  get hidden(): Hidden {
    return { count: this.#hidden, known: this.#known.promise }
  }

  /** Settles when nothing is left of the source, its hooks included. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  async next(): Promise<IteratorResult<string, undefined>> {
    try {
      for (;;) {
        const text = this.#texts.shift()
        if (text !== undefined) return { done: false, value: text }
        if (this.#reading === undefined) {
          this.#reading = this.#start()
          // The prelude is written even if there is no answer.
          await this.#reading.catch(ignore)
          continue
        }
        this.#source ??= await this.#reading
        const result = await this.#source.next()
        if (!result.done) for (const text of this.#encode(result.value)) this.#texts.push(text)
        // What follows the prelude begins with a `start`, also where nothing else follows.
        else if (this.#hidden > 0 && !this.#hasBegun) this.#texts.push(START)
        else break
        const [first] = this.#texts
        if (first !== undefined && !this.#hasBegun) await this.#begin(first)
      }
    } catch (error) {
      this.#closed.resolve()
      throw error
    }
    this.#closed.resolve()
    return { done: true, value: undefined }
  }

  /** Called when nobody reads on. A stopped answer is still read to its end, so that its own hooks run. */
  async return(): Promise<IteratorResult<string, undefined>> {
    const reading = await this.#reading?.catch(ignore)
    if (reading !== undefined) {
      if (this.#signal.aborted) await drain(reading)
      else leave(reading)
    }
    this.#closed.resolve()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #start(): Promise<Reading<unknown>> {
    let answer: Answer | undefined
    try {
      answer = await this.#open()
    } finally {
      this.#precede(this.#prelude.opened?.(answer))
      if (this.#prelude.begun === undefined) this.#know()
    }
    // After a stop, an error only means that the answer was stopped.
    const onError = (error: unknown) => (this.#signal.aborted ? 'stopped' : this.#wording(error))
    const chunks = isResult(answer) ? answer.toUIMessageStream({ onError }) : answer
    return begin(chunks, 'the result of generate')
  }

  async #begin(first: string): Promise<void> {
    this.#hasBegun = true
    // What follows the prelude begins with a `start`: a client that has the rest leaves out all before that.
    if (this.#hidden > 0 && chunkOf(first).type !== 'start') this.#texts.unshift(START)
    this.#precede(await this.#prelude.begun?.(first))
    this.#know()
  }

  readonly #know = (): void => this.#known.resolve(this.#hidden)

  #precede(texts: Iterable<string> = []): void {
    // A chunk that the stream refuses must not end the answer.
    const prelude = [...texts].filter((text) => Buffer.byteLength(text) <= MAX_CHUNK_BYTES)
    this.#hidden += prelude.length
    this.#texts.unshift(...prelude)
  }
}

function isResult(answer: Answer): answer is Exclude<Answer, UIMessageChunks> {
  return (
    typeof (answer as { toUIMessageStream?: unknown } | null | undefined)?.toUIMessageStream === 'function'
  )
}

/** Reads to the end, but gives up after a time limit, for instance if a model ignores its signal. */
async function drain(reading: Reading<unknown>): Promise<void> {
  let limit: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    limit = setTimeout(resolve, CLOSING_MS)
  })
  const end = (async () => {
    while (!(await reading.next()).done);
  })()
  // Errors in the closing chunks are ignored.
  await Promise.race([end.catch(ignore), late])
  clearTimeout(limit)
  leave(reading)
}

/**
 * Encodes chunks as they come from the SDK. The first one gets the message's id, if there is one and the chunk has none, so that
 * every client and every replay has the same id.
 */
export function encodeChunks(messageId: string | undefined): Encode {
  return (chunk) => {
    if (typeof chunk !== 'object' || chunk === null) return refuse('chunk', 'a UI message chunk', chunk)
    const { type, messageId: given } = chunk as { type?: unknown; messageId?: unknown }
    const complete = type === 'start' && given === undefined ? { ...chunk, messageId } : chunk
    return [JSON.stringify(complete)]
  }
}

/** Extracts the texts from server-sent events, which arrive as text in pieces of any size. */
export function decodeEvents(): Encode {
  const parser = new EventParser()
  return (piece) => {
    if (typeof piece !== 'string') return refuse('stream', 'a stream of text', piece)
    return parser
      .pushText(piece)
      .map(({ data }) => data)
      .filter((data) => data !== '' && data !== '[DONE]')
  }
}
