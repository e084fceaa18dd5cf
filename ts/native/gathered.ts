import type { Payload } from '../options/log-options'
import { setImmediate } from '../util/timers'
import { type Native, PAGE } from './native'

/** With more bytes than this they begin at once. */
const MOST_BYTES = 64 * 1024
const NOTHING = new Uint8Array(1)

/** A page, or an append with its chunks. */
interface Begun {
  readonly request: number
  readonly args: object
  readonly payload: Payload | null
}

/**
 * Operations that begin together. A server begins many in a turn of the event loop, and each that begins by itself wakes the engine's thread,
 * which then takes the processor from this one.
 */
export class Gathered {
  readonly #native: Native
  readonly #engine: number
  readonly #lost: (request: number, thrown: unknown) => void
  readonly #words = new Uint32Array(1024)
  #begun: Begun[] = []
  #bytes = 0

  /** @param lost is told of operations that did not cross */
  constructor(native: Native, engine: number, lost: (request: number, thrown: unknown) => void) {
    this.#native = native
    this.#engine = engine
    this.#lost = lost
  }

  add(one: Begun): void {
    if (this.#begun.push(one) === 1) setImmediate(this.#turn)
    this.#bytes += one.payload?.data.byteLength ?? 0
    if (this.#bytes > MOST_BYTES) this.cross()
  }

  /** Begins them now: before whatever has to come after them. */
  cross(): void {
    if (this.#begun.length === 0) return
    const begun = this.#begun
    this.#begun = []
    this.#bytes = 0
    try {
      this.#begin(begun)
    } catch (thrown) {
      for (const { request } of begun) this.#lost(request, thrown)
    }
  }

  #begin(begun: readonly Begun[]): void {
    const words = this.#roomFor(begun)
    const parts: Uint8Array[] = []
    let at = 0
    for (const { request, payload } of begun) {
      words[at++] = request
      words[at++] = payload === null ? PAGE : payload.tags.length + 1
      if (payload === null || payload.tags.length === 0) continue
      for (const tag of payload.tags) words[at++] = tag
      parts.push(payload.data)
    }
    // JSON has no line breaks of its own.
    const args = begun.map((one) => JSON.stringify(one.args)).join('\n')
    this.#native.begin(this.#engine, words, args, joined(parts))
  }

  /** As many words as they need, or more. */
  #roomFor(begun: readonly Begun[]): Uint32Array {
    let need = 2 * begun.length
    for (const { payload } of begun) need += payload?.tags.length ?? 0
    return need <= this.#words.length ? this.#words : new Uint32Array(need)
  }

  readonly #turn = (): void => this.cross()
}

/** All parts in one array, which is not empty. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [first = NOTHING] = parts
  const whole = parts.length > 1 ? Buffer.concat(parts) : first
  return whole.byteLength > 0 ? whole : NOTHING
}
