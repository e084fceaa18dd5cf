import type { Engine } from '../core/engine'
import type { Glance } from '../core/glance'
import { now } from '../util/timers'
import type { Row } from './answers'
import { History } from './history'

/** Surveys take at most this part of the CPU time of their process. */
const SHARE = 1 / 200
/** A process that does next to nothing gives this part of a processor, */
const LEAST_SHARE = 1 / 2_500
/** and one that is there for the inspector alone this part. */
const OWN_SHARE = 1 / 200
/** So many streams are looked at for the rows of a page anyway. */
const FEW = 50
/** The shortest time between two surveys. */
const LEAST_MS = 1_000
/** The longest, whatever a survey costs: what is not listed by then cannot be found. */
const MOST_MS = 30_000
/** What was looked at longer ago, while no page asked, says nothing about now. */
const OLD_MS = 60_000
/** The most streams in a survey. */
const MOST_STREAMS = 20_000
/** The shortest time over which a rate is measured. */
const LEAST_RATE_MS = 700

/** A survey that takes no longer is waited for: its statuses are not read once more for the page that asked. */
const QUICK_MS = 100
/** A status counts as current for so long. */
const CURRENT_MS = 500

/** A stream that was looked at. It is kept from survey to survey, so that these leave little to collect. */
interface Seen {
  readonly status: Row
  at: number
  /** The status from which the rate is measured. */
  sinceAt: number
  sinceSeq: number
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/**
 * The status of all streams, shared by all pages. It is renewed when a page asks and enough time has passed: without a page it costs
 * nothing, and with pages a two-hundredth of what the process does, or a survey each half minute.
 */
export class Survey {
  readonly history = new History()
  readonly #engine: Engine
  readonly #leastShare: number
  #seen = new Map<string, Seen>()
  /** Another array after each survey. */
  #list: readonly Row[] = []
  #running: Promise<void> | undefined
  /** What the running survey has found. */
  #found: Map<string, Seen> | undefined
  #endedAt = Number.NEGATIVE_INFINITY
  /** The CPU time of the process until then. */
  #usedMs = 0
  #pauseMs = LEAST_MS
  #isQuick = false
  /** How many streams could not be read, and are missing from the list. */
  damaged = 0
  isCut = false

  /** `isOutside`: the process has nothing else to do. */
  constructor(engine: Engine, isOutside: boolean) {
    this.#engine = engine
    this.#leastShare = isOutside ? OWN_SHARE : LEAST_SHARE
  }

  /** How old the list is, and how old it may become, in milliseconds. */
  get age(): { ageMs: number; everyMs: number } {
    return { ageMs: Math.max(0, now() - this.#endedAt), everyMs: this.#pauseMs }
  }

  /**
   * All streams. Waits for a survey if it is the first in a while, quick, or to be `fresh`, which one that already runs is not; otherwise
   * returns the last one while another runs.
   */
  async all(fresh = false): Promise<readonly Row[]> {
    const isFirst = this.#isOld
    if (fresh) await this.#running?.catch(() => {})
    if (fresh || isFirst || now() - this.#endedAt > this.#pauseMs) {
      this.#running ??= this.#look().finally(() => {
        this.#running = this.#found = undefined
      })
      // If it fails, the next caller that waits gets the error.
      if (fresh || isFirst || this.#isQuick) await this.#running
      else this.#running.catch(() => {})
    }
    return this.#list
  }

  /** The status of these streams, at most half a second old; null for those that are gone. */
  async current(streamIds: string[]): Promise<Map<string, Row | null>> {
    const known = new Map<string, Row>()
    for (const id of streamIds) {
      const seen = this.#seen.get(id)
      if (seen !== undefined && now() - seen.at < CURRENT_MS) known.set(id, seen.status)
    }
    const old = streamIds.filter((id) => !known.has(id))
    return old.length === 0 ? known : new Map([...known, ...(await this.renew(old))])
  }

  /** The status of these streams now. */
  async renew(streamIds: string[]): Promise<Map<string, Row | null>> {
    const found = new Map<string, Row | null>()
    const statuses = await this.#engine.glance(streamIds)
    for (const [index, status] of statuses.entries()) {
      const id = streamIds[index] as string
      if (status === null) this.#lose(id)
      found.set(id, status && this.#note(this.#seen, status))
    }
    return found
  }

  async #look(): Promise<void> {
    const [begin, used, isFirst] = [now(), cpuMs(), this.#isOld]
    const seen = new Map<string, Seen>()
    this.#found = seen
    const damaged = new Set<string>()
    this.isCut = false
    for await (const page of this.#engine.glances((streamId) => damaged.add(streamId))) {
      const room = MOST_STREAMS - seen.size
      this.isCut = page.length > room
      for (const status of this.isCut ? page.slice(0, room) : page) this.#note(seen, status)
      if (this.isCut) break
    }
    for (const [id, known] of this.isCut ? [] : this.#seen) {
      if (seen.has(id)) continue
      // One that was looked at meanwhile has begun after its place in the list was passed.
      if (known.at > begin) seen.set(id, known)
      else this.#lose(id)
    }
    this.#seen = seen
    this.#list = Array.from(seen.values(), ({ status }) => status)
    this.damaged = damaged.size
    // The survey costs no more than the time it took, nor than the CPU time of the whole process.
    const cost = Math.min(now() - begin, cpuMs() - used)
    // Rates need a second survey: it comes soon, whatever the first one cost.
    const isSoon = isFirst || seen.size <= FEW
    const busy = (cpuMs() - this.#usedMs) / (now() - this.#endedAt)
    const share = Math.max(this.#leastShare, SHARE * busy)
    this.#isQuick = now() - begin < QUICK_MS
    this.#pauseMs = isSoon ? LEAST_MS : Math.min(MOST_MS, Math.max(LEAST_MS, Math.round(cost / share)))
    this.#usedMs = cpuMs()
    this.#endedAt = now()
  }

  #note(into: Map<string, Seen>, found: Glance): Row {
    const { streamId, generation, lastSeq, state } = found
    const [at, known] = [now(), this.#seen.get(streamId)]
    if (known !== undefined) this.history.compare(known.status, found, Date.now())
    let rate = state === 'active' ? (known?.status.rate ?? null) : 0
    if (known?.status.generation !== generation) {
      const status = { ...found, rate }
      into.set(streamId, { status, at, sinceAt: at, sinceSeq: lastSeq })
      return status
    }
    const ms = at - known.sinceAt
    if (ms >= LEAST_RATE_MS) {
      if (state === 'active') rate = ms > OLD_MS ? null : ((lastSeq - known.sinceSeq) * 1_000) / ms
      known.sinceAt = at
      known.sinceSeq = lastSeq
    }
    known.at = at
    into.set(streamId, known)
    return Object.assign(known.status, found, { rate })
  }

  get #isOld(): boolean {
    return now() - this.#endedAt > OLD_MS
  }

  #lose(streamId: string): void {
    this.#found?.delete(streamId)
    const before = this.#seen.get(streamId)
    if (before === undefined) return
    this.#seen.delete(streamId)
    const { generation } = before.status
    this.history.add({ at: Date.now(), streamId, generation, kind: 'gone', text: 'expired, or deleted' })
  }
}
