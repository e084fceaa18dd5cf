import { fromThrown } from '../errors/errors'
import type { SubscribeArgs } from '../options/args'
import type { Bridge } from './bridge'
import type { Receiver } from './records'

/** What a subscription may hold unread, in costs: UTF-16 units or bytes, and `CHUNK_COST` for each chunk. */
export const CREDIT = 64 * 1024

/** The credit before the reader asks for anything: one chunk, which shows its position. */
const GLANCE = 1

/** The native half of a subscription: opened, granted credit as it is consumed, and cancelled. */
export class NativeSubscription {
  readonly #bridge: Bridge
  #handle: number | undefined
  /** Whether the native side counts what is not acknowledged. */
  #counts = false
  #isWanted = false
  #consumed = 0

  constructor(bridge: Bridge) {
    this.#bridge = bridge
  }

  /** Begins; throws if the native side refuses. */
  open(args: SubscribeArgs, receiver: Receiver): void {
    const bridge = this.#bridge
    // A chunk that was written before must be visible to a later subscriber.
    bridge.cross()
    try {
      this.#handle = bridge.native.subscribe(bridge.handle, JSON.stringify({ ...args, credit: GLANCE }))
    } catch (thrown) {
      throw fromThrown(thrown)
    }
    this.#counts = args.window !== null || args.ackTimeoutMs !== null
    bridge.receivers.set(this.#handle, receiver)
  }

  /** The reader asks for something: from now on, chunks may wait here for it. */
  want(): void {
    if (this.#isWanted || this.#handle === undefined) return
    this.#isWanted = true
    this.#bridge.native.credit(this.#bridge.handle, this.#handle, CREDIT)
  }

  /** Everything up to this seq is acknowledged. */
  acknowledge(seq: number): void {
    if (!this.#counts || this.#handle === undefined) return
    this.#bridge.native.acknowledge(this.#bridge.handle, this.#handle, seq)
  }

  /** This much was consumed, so the same amount may come. */
  consume(cost: number): void {
    this.#consumed += cost
    if (this.#consumed < CREDIT / 2) return
    if (this.#handle !== undefined) {
      this.#bridge.native.credit(this.#bridge.handle, this.#handle, this.#consumed)
    }
    this.#consumed = 0
  }

  /** No record follows. */
  forget(): void {
    if (this.#handle !== undefined) this.#bridge.receivers.delete(this.#handle)
    this.#handle = undefined
  }

  /** Ends the native half. */
  cancel(): void {
    if (this.#handle !== undefined) this.#bridge.native.cancel(this.#bridge.handle, this.#handle)
    this.forget()
  }
}
