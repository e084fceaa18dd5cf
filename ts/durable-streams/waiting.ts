// Polls that wait until their streams go on. Those of one stream share a subscription and, since they are woken together, a page.

import type { Log, LookedAt } from '../core/log'
import type { Subscription } from '../core/subscription'
import { NOWHERE } from '../errors/errors'
import type { Asked } from '../http/asked'
import { generationOf, seqOf } from '../util/cursor'
import { ignore } from '../util/deferred'
import { clearTimeout, nextTick, setTimeout } from '../util/timers'

/** How long a subscription is kept for polls that come back. */
const LINGER_MS = 1000

/** Whether the server goes away. Its listeners come and go: an `AbortSignal` looks through all of them to remove one. */
export class Farewell {
  readonly #signal: AbortSignal | undefined
  readonly #listeners = new Set<() => void>()

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
    signal?.addEventListener('abort', () => {
      for (const tell of [...this.#listeners]) tell()
    })
  }

  /** Calls back when it does, at once if it has; the result takes that back. */
  on(tell: () => void): () => void {
    if (this.#signal?.aborted) tell()
    else this.#listeners.add(tell)
    return () => this.#listeners.delete(tell)
  }
}

/** Calls back once: when the client leaves, when the server goes away, or after a time. The result takes that back. */
export function whenOver(asked: Asked, farewell: Farewell, ms: number, tell: () => void): () => void {
  let isOver = false
  const over = () => {
    if (isOver) return
    take()
    tell()
  }
  const timer = setTimeout(over, ms)
  const undo: (() => void)[] = []
  const take = () => {
    isOver = true
    clearTimeout(timer)
    for (const each of undo) each()
  }
  for (const source of [asked.onLeave.bind(asked), farewell.on.bind(farewell)]) {
    const back = source(over)
    if (isOver) back()
    else undo.push(back)
  }
  return take
}

export class Waiting {
  readonly #farewell: Farewell
  readonly #rooms = new Map<string, Room>()
  readonly #looks = new Map<string, Promise<LookedAt | null>>()

  constructor(farewell: Farewell) {
    this.#farewell = farewell
  }

  /** Waits for a chunk after the cursor, for an end, or until nobody waits for the answer any more. */
  growth(log: Log, from: string, asked: Asked, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const room = this.#room(log, from)
      let forget = ignore
      const wake = () => {
        forget()
        room.leave(waiter)
        resolve()
      }
      const waiter = { after: seqOf(from), wake }
      if (room.enter(waiter)) forget = whenOver(asked, this.#farewell, ms, wake)
      else resolve()
    })
  }

  /** A page, which all share who ask for it in the same moment. */
  look(log: Log, from: string): Promise<LookedAt | null> {
    const key = JSON.stringify([log.streamId, log.owner, from])
    let looked = this.#looks.get(key)
    if (looked === undefined) {
      looked = log.look({ from }, NOWHERE)
      this.#looks.set(key, looked)
      nextTick(() => this.#looks.delete(key))
    }
    return looked
  }

  #room(log: Log, from: string): Room {
    const key = `${generationOf(from)} ${log.streamId}`
    const known = this.#rooms.get(key)
    if (known !== undefined) return known
    const room = new Room(log.follow({ from }).unref(), seqOf(from), () => this.#rooms.delete(key))
    this.#rooms.set(key, room)
    return room
  }
}

interface Waiter {
  /** The seq that it knows. */
  readonly after: number
  readonly wake: () => void
}

/** Those who wait for one generation of a stream. */
class Room {
  readonly #following: Subscription
  readonly #waiting = new Set<Waiter>()
  readonly #closed: () => void
  #seq: number
  #isOver = false
  #timer: NodeJS.Timeout | undefined

  constructor(following: Subscription, seq: number, closed: () => void) {
    this.#following = following
    this.#seq = seq
    this.#closed = closed
    this.#follow()
  }

  /** Whether there is something to wait for. */
  enter(waiter: Waiter): boolean {
    if (this.#isOver || waiter.after < this.#seq) return false
    clearTimeout(this.#timer)
    this.#waiting.add(waiter)
    return true
  }

  leave(waiter: Waiter): void {
    this.#waiting.delete(waiter)
    if (this.#waiting.size > 0 || this.#isOver) return
    clearTimeout(this.#timer)
    const close = () => {
      this.#end()
      this.#following.return()
    }
    this.#timer = setTimeout(close, LINGER_MS).unref()
  }

  async #follow(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#following.next()
        if (done) break
        this.#seq = value.seq
        for (let more = this.#following.ready(); more !== undefined; more = this.#following.ready()) {
          this.#seq = more.seq
        }
        for (const waiter of [...this.#waiting]) if (waiter.after < this.#seq) waiter.wake()
      }
    } catch {
      // The page that they read then shows why.
    }
    this.#end()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#closed()
    for (const waiter of [...this.#waiting]) waiter.wake()
  }
}
