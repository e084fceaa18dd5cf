import { ignore } from '../util/deferred'
import { clearInterval, setInterval } from '../util/timers'

/** The longest period of a timer; it does not matter whether it fires. */
const NEVER_MS = 2 ** 31 - 1

/** Keeps the process alive while somebody waits for something; the native side itself does not. */
export class KeepAlive {
  #holds = 0
  #timer: NodeJS.Timeout | undefined

  hold(): void {
    if (this.#holds++ > 0) return
    if (this.#timer === undefined) this.#timer = setInterval(ignore, NEVER_MS)
    else this.#timer.ref()
  }

  /** Once for each `hold`. */
  release(): void {
    if (--this.#holds === 0) this.#timer?.unref()
  }

  /** After the last hold was released. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
