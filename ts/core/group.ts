import type * as api from '../../index'
import { readvised } from '../errors/advice'
import { closedError, fromThrown, type Origin, outcomeError } from '../errors/errors'
import type { Bridge } from '../native/bridge'
import { unpacked } from '../native/large'
import type { Handed, HandedItem, Parcel } from '../native/native'
import type { ConsumeArgs, Owned } from '../options/args'
import type { Consuming } from '../options/groups'
import { generationOf, seqOf } from '../util/cursor'
import { ignore } from '../util/deferred'
import { Fifo } from '../util/fifo'
import { show } from '../util/shown'
import { Chunk, fieldsOf } from './chunk'
import { Resolutions } from './resolutions'

/** The dead letters of one request. */
const PAGE = 64

type Ending = { error: unknown } | { quiet: true }

class GroupItem extends Chunk implements api.GroupItem {
  readonly deliveries: number
  readonly #ack: () => Promise<void>

  constructor({ cursor, deliveries }: HandedItem, data: api.ChunkData, ack: () => Promise<void>) {
    super(generationOf(cursor), seqOf(cursor), data)
    this.deliveries = deliveries
    this.#ack = ack
  }

  override toJSON(): api.ChunkJson & { deliveries: number } {
    return { ...super.toJSON(), deliveries: this.deliveries }
  }

  ack(): Promise<void> {
    return this.#ack()
  }
}

show(GroupItem, 'GroupItem', (item) => ({ ...fieldsOf(item), deliveries: item.deliveries }))

/** A consumer's loop: items come in batches, and those that the loop did not get to are given back when it is left. */
class Consumption<Item> implements AsyncIterableIterator<Item>, AsyncDisposable {
  outcome: api.Outcome | undefined
  reason: string | undefined
  readonly #bridge: Bridge
  readonly #args: ConsumeArgs
  readonly #signal: AbortSignal | undefined
  readonly #from: Origin
  readonly #make: (item: HandedItem, ack: () => Promise<void>) => Item
  readonly #resolutions: Resolutions
  readonly #items = new Fifo<HandedItem>()
  #handle: number | undefined
  /** One `next()` at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #end: Ending | undefined

  constructor(
    bridge: Bridge,
    { args, signal }: Consuming,
    from: Origin,
    make: (item: HandedItem, ack: () => Promise<void>) => Item,
  ) {
    this.#bridge = bridge
    this.#args = args
    this.#signal = signal
    this.#from = from
    this.#make = make
    const { streamId, group, consumer, owner } = args
    this.#resolutions = new Resolutions(bridge, { streamId, group, consumer, owner })
    this.#open()
  }

  get streamId(): string {
    return this.#args.streamId ?? ''
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    const turn = this.#turn.then(() => this.#next())
    this.#turn = turn.catch(ignore)
    return turn
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    await this.#leave({ quiet: true })
    return { done: true, value: undefined }
  }

  async throw(error?: unknown): Promise<IteratorResult<Item, undefined>> {
    await this.#leave({ quiet: true })
    throw error
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave({ quiet: true })
  }

  #open(): void {
    if (this.#bridge.closing) this.#end = { error: closedError(this.#from) }
    else if (this.#signal?.aborted) this.#end = { error: this.#signal.reason }
    else {
      try {
        this.#handle = this.#bridge.native.consume(this.#bridge.handle, JSON.stringify(this.#args))
        this.#resolutions.handle = this.#handle
        this.#signal?.addEventListener('abort', this.#onAbort)
      } catch (thrown) {
        this.#end = { error: fromThrown(thrown, this.#from) }
      }
    }
  }

  async #next(): Promise<IteratorResult<Item, undefined>> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) {
        const value = this.#make(item, () => this.#resolutions.give(item.id, 'done'))
        return { done: false, value }
      }
      const end = this.#end
      if (end !== undefined) {
        this.#end = { quiet: true }
        if ('error' in end) throw end.error
        return { done: true, value: undefined }
      }
      await this.#take()
    }
  }

  async #take(): Promise<void> {
    let handed: Handed
    try {
      const args = { consumer: this.#handle }
      handed = await this.#bridge.request('take', args, (answer: Handed) => answer)
    } catch (error) {
      await this.#leave({ error: readvised(error, this.#args, this.#from) })
      return
    }
    if (this.#end !== undefined) this.#giveBack(handed.items)
    else if (handed.done !== null) await this.#finish(handed.done)
    else for (const item of handed.items) this.#items.push(item)
  }

  #finish({ outcome, reason }: { outcome: api.Outcome; reason: string }): Promise<void> {
    this.outcome = outcome
    this.reason = reason || undefined
    if (outcome === 'complete' || outcome === 'stopped') return this.#leave({ quiet: true })
    return this.#leave({ error: outcomeError(outcome, this.streamId, reason, this.#from) })
  }

  /** Gives back items that were in flight when the loop was left. */
  #giveBack(items: HandedItem[]): void {
    for (const { id } of items) this.#resolutions.give(id, 'back').catch(ignore)
  }

  readonly #onAbort = (): void => {
    this.#leave({ error: this.#signal?.reason })
  }

  async #leave(end: Ending): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#end ??= end
    const consumer = this.#handle
    const untouched: string[] = []
    for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) {
      untouched.push(item.id)
    }
    this.#handle = undefined
    if (consumer === undefined) return
    // If this fails, they are redelivered after a while.
    await this.#bridge.request('leave', { consumer, untouched }, ignore).catch(ignore)
  }
}

export function consume(bridge: Bridge, consuming: Consuming, from: Origin): api.Consumption {
  return new Consumption(
    bridge,
    consuming,
    from,
    (item, ack) => new GroupItem(item, dataOf(bridge, item) ?? '', ack),
  )
}

export function finished(bridge: Bridge, consuming: Consuming, from: Origin): api.FinishedQueue {
  return new Consumption(bridge, consuming, from, (item, ack) => ({
    ...finishedOf(item),
    deliveries: item.deliveries,
    ack,
  }))
}

/** The dead letters of a stream's group, or of a group of finished generations. */
export async function* deadLetters(
  bridge: Bridge,
  args: Owned,
): AsyncGenerator<api.DeadChunk | api.DeadFinished, undefined> {
  const resolutions = new Resolutions(bridge, { ...args, consumer: '' })
  let after: string | null = null
  for (;;) {
    const { items }: Handed = await bridge.request(
      'dead',
      { ...args, after, count: PAGE },
      (answer: Handed) => answer,
    )
    for (const item of items) {
      const { id, cursor, deliveries } = item
      const own = {
        deliveries,
        retry: () => resolutions.give(id, 'retry'),
        drop: () => resolutions.give(id, 'drop'),
      }
      if (args.streamId === null) yield { ...finishedOf(item), ...own }
      else yield { seq: seqOf(cursor), cursor, data: dataOf(bridge, item), ...own }
    }
    after = items.at(-1)?.id ?? null
    if (after === null) return undefined
  }
}

function finishedOf({ streamId, cursor, outcome, reason }: HandedItem) {
  return {
    streamId: streamId as string,
    generation: generationOf(cursor),
    cursor,
    outcome: outcome as api.Outcome,
    reason: reason || null,
  }
}

function dataOf({ native }: Bridge, { text, bytes, large }: HandedItem): api.ChunkData | null {
  if (large !== undefined) return unpacked(native, large as Parcel)
  return text ?? (bytes === undefined ? null : new Uint8Array(Buffer.from(bytes, 'latin1')))
}
