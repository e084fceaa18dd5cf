import type { Bridge } from '../native/bridge'
import type { AckArgs } from '../options/args'
import { cursorAt } from '../util/cursor'
import { ignore } from '../util/deferred'

/**
 * Automatic acknowledgements of a consumer's loop: one request at a time, which the native side answers once
 * it has stored the cursors that gathered meanwhile.
 */
export class AutoAck {
  readonly #bridge: Bridge
  readonly #args: Omit<AckArgs, 'cursor' | 'isPatient'>
  #generation = ''
  #seq = 0
  #told = 0
  #isUnderWay = false

  constructor(bridge: Bridge, args: Omit<AckArgs, 'cursor' | 'isPatient'>) {
    this.#bridge = bridge
    this.#args = args
  }

  /** The loop has moved past this chunk. `holds`: the process stays until that is stored. */
  passed(generation: string, seq: number, holds: boolean): void {
    this.#generation = generation
    this.#seq = seq
    if (!this.#isUnderWay) this.tell(holds)
  }

  /** Passes on the latest cursor, if that has not been sent yet, without waiting for an answer. */
  tell(holds = true): void {
    if (this.#seq === this.#told || this.#bridge.closing) return
    this.#told = this.#seq
    this.#isUnderWay = true
    this.#bridge.autoAcks.add(this)
    const args: AckArgs = { ...this.#args, isPatient: true, cursor: cursorAt(this.#generation, this.#told) }
    const over = () => {
      this.#isUnderWay = false
      this.#bridge.autoAcks.delete(this)
      this.tell(holds)
    }
    // A refusal only means that chunks are read again; a caller that has to know calls `ack` itself.
    this.#bridge.request('ack', args, over, over, holds).catch(ignore)
  }
}
