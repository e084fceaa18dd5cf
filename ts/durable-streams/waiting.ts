// Polls that wait until their streams go on. Those of one stream share a subscription, and what it brings.

import type * as api from '../../index'
import type { Log, LookedAt } from '../core/log'
import type { Subscription } from '../core/subscription'
import { NOWHERE } from '../errors/errors'
import type { Asked } from '../http/asked'
import { CHUNK_COST } from '../native/native'
import { CREDIT } from '../native/native-subscription'
import { generationOf, seqOf } from '../util/cursor'
import { ignore } from '../util/deferred'
import { clearTimeout, nextTick, now, setTimeout } from '../util/timers'

/** How long a subscription is kept for polls that come back. */
const LINGER_MS = 1000
/** So long after a page polls are let in without one. A page is a use of the stream, from which its lifetime begins anew. */
const FRESH_MS = 500
/** What arrives with as much or more may be a part of what there is: half of a subscription's credit. */
const MOST_BYTES = CREDIT / 2

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
  readonly #statuses = new Map<string, Promise<api.StreamStatus | null>>()

  constructor(farewell: Farewell) {
    this.#farewell = farewell
  }

  /**
   * The room of those who know all that it knows of their stream. Whoever has the same cursor is let in without a look, if the stream has no
   * owner or the same: somebody was let in by a page, and the room is over when the stream is.
   */
  known(log: Log, cursor: string): Room | undefined {
    const room = this.#rooms.get(keyOf(log, cursor))
    return room?.isFresh && room.admits(log.owner) && room.seq === seqOf(cursor) ? room : undefined
  }

  /** The room of those who have read all of a page, which is its stream's last. */
  async room(log: Log, page: LookedAt): Promise<Room> {
    const key = keyOf(log, page.next)
    let { owner } = log
    if (!this.#rooms.has(key)) {
      const there = await this.#status(log, key)
      if (there?.generation === generationOf(page.next)) {
        owner = there.owner
        // Nothing has been written there: those who come with an offset of this server do not wait with such a one.
        if (there.lastSeq < seqOf(page.next)) return this.#open(log, page, owner, ignore)
      }
    }
    const known = this.#rooms.get(key)
    const room = known ?? this.#open(log, page, owner, () => this.#rooms.delete(key))
    this.#rooms.set(key, room)
    room.refresh()
    return room
  }

  /** The stream's status, which all share who come before it is there. */
  #status(log: Log, key: string): Promise<api.StreamStatus | null> {
    let asked = this.#statuses.get(key)
    if (asked === undefined) {
      asked = log.status().finally(() => this.#statuses.delete(key))
      this.#statuses.set(key, asked)
    }
    return asked
  }

  #open(log: Log, page: LookedAt, owner: string | null, closed: () => void): Room {
    return new Room(log.follow({ from: page.next }).unref(), page, owner, this.#farewell, closed)
  }

  /** A page, which all share who ask for it in the same moment: those of one owner, and all who have waited in a room that is open. */
  look(log: Log, from: string, room?: Room): Promise<LookedAt | null> {
    const key = JSON.stringify([log.streamId, room?.isOpen ? null : log.owner, from])
    let looked = this.#looks.get(key)
    if (looked === undefined) {
      looked = log.look({ from }, NOWHERE)
      this.#looks.set(key, looked)
      nextTick(() => this.#looks.delete(key))
    }
    return looked
  }
}

const keyOf = ({ streamId }: Log, cursor: string): string => `${generationOf(cursor)} ${streamId}`

interface Waiter {
  /** The seq that it knows. */
  readonly after: number
  wake(page?: LookedAt): void
}

/** Those who wait for one generation of a stream. */
export class Room {
  readonly #following: Subscription
  readonly #begin: LookedAt
  readonly #owner: string | null
  readonly #farewell: Farewell
  readonly #waiting = new Set<Waiter>()
  readonly #closed: () => void
  #seq: number
  #freshUntil = 0
  #isOver = false
  #timer: NodeJS.Timeout | undefined

  /** @param owner whose the stream is; null: everybody's */
  constructor(
    following: Subscription,
    begin: LookedAt,
    owner: string | null,
    farewell: Farewell,
    closed: () => void,
  ) {
    this.#following = following
    this.#begin = begin
    this.#owner = owner
    this.#farewell = farewell
    this.#seq = seqOf(begin.next)
    this.#closed = closed
    this.#follow()
  }

  /** Whether the stream is everybody's. */
  get isOpen(): boolean {
    return this.#owner === null
  }

  /** The last chunk that it knows of. */
  get seq(): number {
    return this.#seq
  }

  /** Whether somebody may wait who has read no page. */
  admits(owner: string | null): boolean {
    return this.isOpen || this.#owner === owner
  }

  get isFresh(): boolean {
    return now() < this.#freshUntil
  }

  /** A page was read. */
  refresh(): void {
    this.#freshUntil = now() + FRESH_MS
  }

  /**
   * Waits for chunks after the cursor, for an end, or until nobody waits for the answer any more. The chunks that come next, or nothing:
   * then a page shows what there is.
   */
  growth(cursor: string, asked: Asked, ms: number): Promise<LookedAt | undefined> {
    return new Promise((resolve) => {
      let forget = ignore
      const waiter = {
        after: seqOf(cursor),
        wake: (page?: LookedAt) => {
          forget()
          this.#leave(waiter)
          resolve(page)
        },
      }
      if (this.#isOver || waiter.after < this.#seq) {
        resolve(undefined)
        return
      }
      clearTimeout(this.#timer)
      this.#waiting.add(waiter)
      forget = whenOver(asked, this.#farewell, ms, waiter.wake)
    })
  }

  #leave(waiter: Waiter): void {
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
        const page = this.#page(value)
        const before = value.seq - 1
        this.#seq = seqOf(page.next)
        const isAnswer = this.#isAnswer(page)
        for (const waiter of [...this.#waiting]) {
          if (waiter.after < this.#seq) waiter.wake(isAnswer && waiter.after === before ? page : undefined)
        }
      }
    } catch {
      // The page that they read then shows why.
    }
    this.#end()
  }

  /** All chunks that have arrived, as a page. */
  #page(first: api.Chunk): LookedAt {
    const { contentType, origins } = this.#begin
    const chunks = [first]
    for (let more = this.#following.ready(); more !== undefined; more = this.#following.ready()) {
      chunks.push(more)
    }
    const { cursor: next } = chunks.at(-1) ?? first
    const end = { closed: false, outcome: undefined, reason: undefined }
    return { chunks, next, upToDate: true, ...end, contentType, origins }
  }

  /**
   * Whether what has arrived is what a page would show now. Chunks of a producer may be in no store yet; a page shows the end too, which
   * belongs to the answer.
   */
  #isAnswer({ chunks, contentType }: LookedAt): boolean {
    const isLog = contentType !== undefined
    const bytes = chunks.reduce((sum, { data }) => sum + data.length + CHUNK_COST, 0)
    return isLog && this.#following.outcome === undefined && bytes < MOST_BYTES
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#closed()
    for (const waiter of [...this.#waiting]) waiter.wake()
  }
}
