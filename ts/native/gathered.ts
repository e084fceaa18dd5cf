import { setImmediate } from '../util/timers'

/**
 * Operations that begin together. A server begins many in a turn of the event loop, and each that begins by itself wakes the engine's thread,
 * which then takes the processor from this one.
 */
export class Gathered {
  #begins: (() => void)[] = []

  add(begin: () => void): void {
    if (this.#begins.push(begin) === 1) setImmediate(this.#turn)
  }

  /** Begins them now: before whatever has to come after them. */
  cross(): void {
    if (this.#begins.length === 0) return
    const begins = this.#begins
    this.#begins = []
    for (const begin of begins) begin()
  }

  readonly #turn = (): void => this.cross()
}
