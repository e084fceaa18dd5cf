import { createHash } from 'node:crypto'
import type * as api from '../../index'
import type { MaybePromise } from '../util/deferred'

/** Remembers which stream holds a chat's current answer. */
export interface ActiveStream {
  get(chatId: string): MaybePromise<string | null | undefined>
  /** Called once an answer has begun, and with `null` once it has ended. */
  set(chatId: string, streamId: string | null): MaybePromise<unknown>
}

/**
 * The stream of a chat's answers, if the application stores which one that is. `get` and `set` cannot decide which of two
 * answers was first, so the engine does: all answers of a chat go to one stream, which has one producer at a time (ADR 21).
 */
export class RememberedStreams {
  readonly #engine: api.Engine
  readonly #active: ActiveStream

  constructor(engine: api.Engine, active: ActiveStream) {
    this.#engine = engine
    this.#active = active
  }

  /** The stream for the next answer. */
  async next(chatId: string, owner: string): Promise<string> {
    const known = await this.current(chatId)
    const own = streamOf(chatId, owner)
    // There may be a live answer in a stream that another version, or the application itself, has named.
    return known !== undefined && known !== own && (await this.#isActive(known)) ? known : own
  }

  /** The stream with the current answer, if there is one. */
  async current(chatId: string): Promise<string | undefined> {
    return (await this.#active.get(chatId)) || undefined
  }

  /** The same for a stop, which may come when the answer has begun but its id is not stored yet. */
  async stoppable(chatId: string, owner: string): Promise<string | undefined> {
    const known = await this.current(chatId)
    if (known !== undefined) return known
    const own = streamOf(chatId, owner)
    return (await this.#isActive(own)) ? own : undefined
  }

  /** An answer has begun. */
  async begun(chatId: string, streamId: string): Promise<void> {
    await this.#active.set(chatId, streamId)
  }

  /** An answer has ended, or was refused. */
  async ended(chatId: string, streamId: string): Promise<void> {
    if ((await this.#active.get(chatId)) !== streamId || (await this.#isActive(streamId))) return
    await this.#active.set(chatId, null)
    // The cleared id may have been that of the next answer, which began in between.
    if (await this.#isActive(streamId)) await this.#active.set(chatId, streamId)
  }

  async #isActive(streamId: string): Promise<boolean> {
    return (await this.#engine.status(streamId))?.state === 'active'
  }
}

/** An id like any other, since applications may keep it as a UUID: version 8, "whatever the vendor likes". */
function streamOf(chatId: string, owner: string): string {
  const bytes = createHash('sha256')
    .update(JSON.stringify([chatId, owner]))
    .digest()
    .subarray(0, 16)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5')
}
