// Repeats a request while the page is visible.

const PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 15_000

/** Calls `ask` once a second, or when its answer says so; slower when it fails, and not at all while the page is hidden. */
export class Poll {
  #ask
  #onFailure
  #timer = 0
  #failures = 0
  #isAsking = false
  #isOver = false
  /** Whether it was asked for again: the answer that is on its way is to another question. */
  isOutdated = false

  /** @param {() => Promise<number | undefined>} ask gives the pause in ms @param {(error: unknown) => void} onFailure */
  constructor(ask, onFailure) {
    this.#ask = ask
    this.#onFailure = onFailure
    document.addEventListener('visibilitychange', this.#onVisible)
    void this.now()
  }

  /** Asks at once. @returns {Promise<void>} */
  now = async () => {
    clearTimeout(this.#timer)
    this.isOutdated = this.#isAsking
    if (this.#isAsking || this.#isOver) return
    this.#isAsking = true
    let pause = PAUSE_MS
    try {
      pause = (await this.#ask()) ?? PAUSE_MS
      this.#failures = 0
    } catch (error) {
      if (/** @type {Error} */ (error).name !== 'AbortError') {
        this.#failures += 1
        if (!this.#isOver) this.#onFailure(error)
      }
    } finally {
      this.#isAsking = false
    }
    if (this.isOutdated) return this.now()
    if (!this.#isOver && !document.hidden)
      this.#timer = setTimeout(this.now, Math.min(LONGEST_PAUSE_MS, pause * 2 ** this.#failures))
  }

  end() {
    this.#isOver = true
    clearTimeout(this.#timer)
    document.removeEventListener('visibilitychange', this.#onVisible)
  }

  #onVisible = () => {
    if (!document.hidden) void this.now()
  }
}
