import type { Chunk, StreamStatus, Subscription } from '../../index'
import type { Engine } from '../core/engine'
import { FailedError, GapError, InterruptedError, TidemarkError } from '../errors/errors'
import type { Answer } from '../http/asked'
import { HEARTBEAT_MS } from '../options/read'
import { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from '../util/timers'
import type { Viewer } from './access'
import { excerpt } from './excerpt'
import { answer } from './responses'

/** Milliseconds for which chunks are collected into one event. */
const GATHER_MS = 100
/** The most chunks of an event that are listed, the last ones; the others are only counted. */
const MOST_SHOWN = 200
/** The most chunks in an event; after it, other work of the process gets a turn. */
const MOST_GATHERED = 2_000
/** The most characters of payload in an event. */
const MOST_TEXT = 64 * 1024
const ROOM_BYTES = 256 * 1024
const encoder = new TextEncoder()

/** The answer to `api/play`: a stream's chunks as they are written, for an `EventSource`; without `showData`, their sizes only. */
export function play(
  engine: Engine,
  viewer: Viewer,
  { streamId, owner }: StreamStatus,
  from: string,
  signal: AbortSignal,
): Answer {
  const player = new Player(viewer.showData)
  const left = player.left.signal
  const leave = () => player.left.abort()
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave, { once: true })
  const subscribe = (cursor: string) =>
    engine.subscribe(streamId, { from: cursor, owner: owner ?? undefined, wait: 0, signal: left })
  void player.run(subscribe, from)
  return answer(player.body, 'text/event-stream', 200, { 'x-accel-buffering': 'no' })
}

class Player {
  readonly left = new AbortController()
  readonly body: ReadableStream<Uint8Array>
  readonly #showData: boolean
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #hasRoom: () => void = () => {}
  #gathered = new Gathered()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(showData: boolean) {
    this.#showData = showData
    this.left.signal.addEventListener('abort', () => this.#hasRoom())
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: () => this.#hasRoom(),
        cancel: () => {
          this.#controller = undefined
          this.left.abort()
        },
      },
      { highWaterMark: ROOM_BYTES, size: (piece) => piece?.byteLength ?? 0 },
    )
  }

  async run(subscribe: (from: string) => Subscription, from: string): Promise<void> {
    const beat = setInterval(() => this.#put(': still here\n\n'), HEARTBEAT_MS)
    beat.unref()
    try {
      await this.#follow(subscribe, from)
    } catch (error) {
      this.#tell(error)
    } finally {
      clearInterval(beat)
      clearTimeout(this.#timer)
      this.#controller?.close()
    }
  }

  async #follow(subscribe: (from: string) => Subscription, from: string): Promise<void> {
    for (let next: string | undefined = from; next !== undefined; ) {
      const subscription = subscribe(next)
      next = undefined
      try {
        for await (const chunk of subscription) await this.#take(chunk)
        this.#flush()
        this.#event('end', { outcome: subscription.outcome, reason: subscription.reason ?? '' })
      } catch (error) {
        this.#flush()
        if (!(error instanceof GapError)) throw error
        this.#event('gap', { at: Date.now(), resume: error.resume })
        next = error.resume
      }
    }
  }

  async #take(chunk: Chunk): Promise<void> {
    this.#gathered.add(chunk)
    if (this.#gathered.count >= MOST_GATHERED) {
      this.#flush()
      await new Promise((resolve) => setImmediate(resolve))
    } else this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS)
    // The page reads no further: leave the chunks in the engine until it does.
    while ((this.#controller?.desiredSize ?? 0) <= 0 && !this.left.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#hasRoom = resolve
      })
    }
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#gathered.count === 0) return
    const gathered = this.#gathered
    this.#gathered = new Gathered()
    this.#event('chunks', gathered.told(this.#showData), gathered.cursor)
  }

  #tell(error: unknown): void {
    if (this.left.signal.aborted) return
    if (error instanceof FailedError || error instanceof InterruptedError) {
      const outcome = error instanceof FailedError ? 'failed' : 'interrupted'
      this.#event('end', { outcome, reason: error.reason })
    } else this.#event('problem', { code: error instanceof TidemarkError ? error.code : 'ERR_INTERNAL' })
  }

  #event(name: string, data: object, id = ''): void {
    this.#put(`event: ${name}\n${id && `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`)
  }

  #put(text: string): void {
    if (!this.left.signal.aborted) this.#controller?.enqueue(encoder.encode(text))
  }
}

/** Chunks of one event. */
class Gathered {
  count = 0
  cursor = ''
  #bytes = 0
  #last: Chunk[] = []

  add(chunk: Chunk): void {
    this.count += 1
    this.cursor = chunk.cursor
    this.#bytes += Buffer.byteLength(chunk.data)
    this.#last.push(chunk)
    if (this.#last.length > 2 * MOST_SHOWN) this.#last = this.#last.slice(-MOST_SHOWN)
  }

  told(showData: boolean): object {
    let room = showData ? MOST_TEXT : 0
    const chunks = this.#last
      .slice(-MOST_SHOWN)
      .toReversed()
      .map(({ seq, data }) => {
        const shown = room > 0 ? excerpt(data) : undefined
        room -= shown?.text.length ?? 0
        return { seq, bytes: Buffer.byteLength(data), ...shown }
      })
    return { cursor: this.cursor, count: this.count, bytes: this.#bytes, chunks: chunks.reverse() }
  }
}
