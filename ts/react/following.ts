import { type Follow, FollowError, type FollowedChunk, type FollowOptions, follow } from '../client/follow.js'
import { sending } from '../client/requests.js'
import { refusal } from '../client/responses.js'
import { clearTimeout, setTimeout } from '../util/browser-timers.js'

/** The state of a stream: `'idle'` without a URL; `'error'` if it ended with an error or cannot be followed. */
export type FollowStatus = 'idle' | 'connecting' | 'streaming' | 'ended' | 'error'

/** Options of `useFollow`: those of `follow` of `tidemark/client`, and what to make of the chunks. */
export interface UseFollowOptions<T = undefined> extends Omit<FollowOptions, 'signal'> {
  /** Builds `value` from the chunks, one by one; the last render's function is called. Must not change the value that it gets. */
  reduce?: ((value: T, chunk: FollowedChunk) => T) | undefined
  /** The `value` before the first chunk, and again if the server starts over. */
  initial?: T | undefined
}

/** The state of a stream at a render. */
export interface FollowState<T = undefined> {
  readonly status: FollowStatus
  /** All text so far. */
  readonly text: string
  /** All chunks so far. */
  readonly chunks: readonly FollowedChunk[]
  /** The result of `reduce`. */
  readonly value: T
  /** `'complete'`, `'stopped'`, `'failed'` or `'interrupted'`, once it has ended. */
  readonly outcome: string | undefined
  /** Why it ended, if a reason was given. */
  readonly reason: string | undefined
  /** Why the stream cannot be followed, or the error with which it ended. */
  readonly error: Error | undefined
  /** The cursor of the last chunk. */
  readonly cursor: string | undefined
  /** Sends `DELETE` to the URL, where the server should call `engine.stop`; rejects with a {@link FollowError} if that is refused. */
  readonly stop: () => Promise<void>
}

/** Where no frame is drawn, as in a hidden tab, chunks wait no longer than this. */
const HIDDEN_MS = 250

/** A followed stream: outlives the component's being hidden, and shows its state at most once per frame. */
export class Following<T> {
  readonly url: string | null
  #state: FollowState<T>
  readonly #options: () => UseFollowOptions<T>
  #all: FollowedChunk[] = []
  #text = ''
  #value: T
  #changes: Partial<FollowState<T>> = {}
  #cancel: (() => void) | undefined
  #show: (state: FollowState<T>) => void = () => {}

  /** `initial` is that of the render which names this URL; `options`, those of the last one that is shown. */
  constructor(url: string | null, options: () => UseFollowOptions<T>, initial: T | undefined) {
    this.url = url
    this.#options = options
    this.#value = initial as T
    this.#state = this.#made({ status: url === null ? 'idle' : 'connecting' })
  }

  get state(): FollowState<T> {
    return this.#state
  }

  /** Follows from where the stream was left; returns a function that disconnects. */
  open(show: (state: FollowState<T>) => void): () => void {
    const { status, cursor } = this.#state
    if (this.url === null || status === 'ended' || status === 'error') return () => {}
    this.#show = show
    const left = new AbortController()
    const { reduce: _, initial: __, ...options } = this.#options()
    const following = follow(this.url, {
      ...options,
      from: cursor ?? options.from,
      headers: () => {
        const { headers } = this.#options()
        return typeof headers === 'function' ? headers() : headers
      },
      signal: left.signal,
    })
    this.#run(following, left.signal)
    return () => {
      left.abort()
      this.#draw()
      this.#show = () => {}
    }
  }

  async #run(following: Follow, left: AbortSignal): Promise<void> {
    let error: Error | undefined
    try {
      for await (const chunk of following) {
        if (left.aborted) return
        this.#take(chunk)
      }
    } catch (thrown) {
      error = thrown as Error
    }
    if (left.aborted) return
    const { outcome, reason } = following
    this.#change({ status: error === undefined ? 'ended' : 'error', error, outcome, reason })
  }

  #take(chunk: FollowedChunk): void {
    const { reduce, initial } = this.#options()
    if (chunk.isReset) {
      this.#all = []
      this.#text = ''
      this.#value = initial as T
    }
    this.#all.push(chunk)
    if (typeof chunk.data === 'string') this.#text += chunk.data
    if (reduce !== undefined) this.#value = reduce(this.#value, chunk)
    this.#change({ status: 'streaming', cursor: chunk.cursor })
  }

  #change(changes: Partial<FollowState<T>>): void {
    Object.assign(this.#changes, changes)
    this.#cancel ??= onFrame(() => this.#draw())
  }

  #draw(): void {
    if (this.#cancel === undefined) return
    this.#cancel()
    this.#cancel = undefined
    this.#state = this.#made({ ...this.#state, ...this.#changes })
    this.#changes = {}
    this.#show(this.#state)
  }

  #made({ status, outcome, reason, error, cursor }: Partial<FollowState<T>>): FollowState<T> {
    const [all, count] = [this.#all, this.#all.length]
    let chunks: readonly FollowedChunk[] | undefined
    return {
      status: status as FollowStatus,
      text: this.#text,
      // Copied, so that each render has its own array.
      get chunks() {
        chunks ??= all.slice(0, count)
        return chunks
      },
      value: this.#value,
      outcome,
      reason,
      error,
      cursor,
      stop: this.#stop,
    }
  }

  readonly #stop = async (): Promise<void> => {
    if (this.url === null) return
    const response = await sending(this.#options())(this.url, { method: 'DELETE', headers: {} })
    if (!response.ok) throw await refusal(response)
    await response.body?.cancel()
  }
}

/** Calls back with the next frame, once; returns a function that cancels this. */
function onFrame(callback: () => void): () => void {
  const page = globalThis as {
    requestAnimationFrame?: (callback: () => void) => number
    cancelAnimationFrame?: (frame: number) => void
  }
  const frame = page.requestAnimationFrame?.(callback)
  const timer = setTimeout(callback, frame === undefined ? 16 : HIDDEN_MS)
  return () => {
    clearTimeout(timer)
    if (frame !== undefined) page.cancelAnimationFrame?.(frame)
  }
}

export { FollowError }
