import type { Bridge } from '../native/bridge'
import type { Owned } from '../options/args'
import { ignore } from '../util/deferred'
import { nextTick } from '../util/timers'

/** The resolution of an item: `src/store/groups.rs`. */
export type Resolution = 'done' | 'back' | 'retry' | 'drop'

/** Resolves a group's items: all resolutions of one turn cross together. */
export class Resolutions {
  readonly #bridge: Bridge
  readonly #args: Owned & { consumer: string }
  #pending: [id: string, resolution: Resolution][] = []
  #sent: Promise<void> | undefined
  /** The consumer's, while it is there. */
  handle: number | null = null

  constructor(bridge: Bridge, args: Owned & { consumer: string }) {
    this.#bridge = bridge
    this.#args = args
  }

  /** Settles once it is stored. */
  give(id: string, resolution: Resolution): Promise<void> {
    this.#pending.push([id, resolution])
    this.#sent ??= new Promise((resolve) => nextTick(() => resolve(this.#send())))
    return this.#sent
  }

  #send(): Promise<void> {
    const resolutions = this.#pending
    this.#pending = []
    this.#sent = undefined
    return this.#bridge.request('resolve', { ...this.#args, resolutions, handle: this.handle }, ignore)
  }
}
