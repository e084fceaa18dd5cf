import type { Bridge } from '../native/bridge'
import type { Due, Recalled, Reminded } from '../native/native'

/** The same everywhere: how long what nobody uses is kept. */
const KEEP_MS = 30 * 86_400_000

/** Small values that are changed under a condition and are due at a time: `src/store/reminders.rs`. */
export class Reminders {
  readonly #bridge: Bridge

  constructor(bridge: Bridge) {
    this.#bridge = bridge
  }

  /** Makes (`expected` is 0), changes or removes (`value` is null) a reminder. */
  change(args: {
    key: string
    expected: number
    value: string | null
    due: number
    isNews: boolean
  }): Promise<Reminded> {
    return this.#bridge.request('remind', { ...args, keepMs: KEEP_MS }, (reminded: Reminded) => reminded)
  }

  /** At most 4. */
  recall(keys: string[]): Promise<Recalled> {
    return this.#bridge.request('recall', { keys }, (recalled: Recalled) => recalled)
  }

  /** Those that are due, which nobody else gets for the length of the pause. */
  due(count: number, pauseMs: number): Promise<Due> {
    return this.#bridge.request('due', { count, pauseMs, keepMs: KEEP_MS }, (due: Due) => due)
  }

  /** The keys and versions of all. */
  all(): Promise<[key: string, version: number][]> {
    return this.#bridge.request('reminders', {}, (all: [string, number][]) => all)
  }
}
