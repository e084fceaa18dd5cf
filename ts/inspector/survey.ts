import type { StreamStatus } from '../../index'
import type { Engine } from '../core/engine'
import { now } from '../util/timers'
import { History } from './history'

/** A look at all streams costs something: the next one waits so many times as long as it took. */
const PACE = 200
/** And at least so long. */
const LEAST_MS = 1_000
/** More streams than these are not looked at. */
const MOST_STREAMS = 20_000
/** A rate is measured over at least so long. */
const LEAST_RATE_MS = 700

/** What may be long, and is not for a list, is not kept. */
export type Known = Omit<StreamStatus, 'metadata'>

export type Sighting = Known & {
  /** Chunks a second since the last time that it was looked at; null at the first. */
  rate: number | null
  /** Of the consumer that is furthest behind; null without consumers. */
  lag: number | null
}

interface Seen {
  status: Sighting
  /** What the rate was measured against. */
  since: { at: number; generation: string; lastSeq: number }
}

/**
 * What is known of all streams: shared by all who look, renewed when somebody asks and enough time has passed, so that nobody
 * looking costs nothing, and somebody looking less than a hundredth of a processor.
 */
export class Survey {
  readonly history = new History()
  readonly #engine: Engine
  #seen = new Map<string, Seen>()
  /** The same list as long as no other look has ended. */
  #list: readonly Sighting[] = []
  #running: Promise<void> | undefined
  #endedAt = Number.NEGATIVE_INFINITY
  #pauseMs = LEAST_MS
  /** Damaged streams, which a list leaves out. */
  damaged = 0
  isCut = false

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** How old the list is and how long it may get, in milliseconds. */
  get age(): { ageMs: number; everyMs: number } {
    return { ageMs: Math.max(0, now() - this.#endedAt), everyMs: this.#pauseMs }
  }

  /** All streams, as of the last look; waits for the first one only, or for one that is `fresh`. */
  async all(fresh = false): Promise<readonly Sighting[]> {
    const isFirst = this.#endedAt === Number.NEGATIVE_INFINITY
    if (fresh || isFirst || now() - this.#endedAt > this.#pauseMs) {
      this.#running ??= this.#look().finally(() => {
        this.#running = undefined
      })
      // Otherwise what is told of its failure is told to whoever waits for the next one.
      if (fresh || isFirst) await this.#running
      else this.#running.catch(() => {})
    }
    return this.#list
  }

  /** Looks at these streams again, in one request. */
  async renew(streamIds: string[]): Promise<Map<string, Sighting | null>> {
    const found = new Map<string, Sighting | null>()
    const statuses = await this.#engine.statuses(streamIds)
    for (const [index, status] of statuses.entries()) {
      const id = streamIds[index] as string
      if (status === null) this.#lose(id)
      found.set(id, status && this.#note(this.#seen, status))
    }
    return found
  }

  async #look(): Promise<void> {
    const [begin, cpu] = [now(), process.cpuUsage()]
    const seen = new Map<string, Seen>()
    let damaged = 0
    this.isCut = false
    for await (const status of this.#engine.survey(() => damaged++)) {
      if (seen.size >= MOST_STREAMS) {
        this.isCut = true
        break
      }
      this.#note(seen, status)
    }
    if (!this.isCut) for (const id of this.#seen.keys()) if (!seen.has(id)) this.#lose(id)
    this.#seen = seen
    this.#list = Array.from(seen.values(), ({ status }) => status)
    this.damaged = damaged
    const { user, system } = process.cpuUsage(cpu)
    // Waiting for the store costs nothing; what the process has done beside it, neither.
    const cost = Math.min(now() - begin, (user + system) / 1_000)
    // The second look comes soon whatever the first cost: there is no rate without it.
    const isFirst = this.#endedAt === Number.NEGATIVE_INFINITY
    this.#pauseMs = isFirst ? LEAST_MS : Math.max(LEAST_MS, Math.round(cost * PACE))
    this.#endedAt = now()
  }

  #note(into: Map<string, Seen>, { metadata: _, ...known }: StreamStatus): Sighting {
    const { streamId, generation, lastSeq, state, consumers } = known
    const [at, before] = [now(), this.#seen.get(streamId)]
    if (before !== undefined) this.history.compare(before.status, known, Date.now())
    let rate = state === 'active' ? (before?.status.rate ?? null) : 0
    let since = { at, generation, lastSeq }
    if (before !== undefined && before.since.generation === generation) {
      const ms = at - before.since.at
      if (ms < LEAST_RATE_MS) since = before.since
      else if (state === 'active') rate = ((lastSeq - before.since.lastSeq) * 1_000) / ms
    }
    const lag = consumers.length === 0 ? null : Math.max(...consumers.map((each) => each.lag))
    const status = { ...known, rate, lag }
    into.set(streamId, { status, since })
    return status
  }

  #lose(streamId: string): void {
    const before = this.#seen.get(streamId)
    if (before === undefined) return
    this.#seen.delete(streamId)
    const { generation } = before.status
    this.history.add({ at: Date.now(), streamId, generation, kind: 'gone', text: 'expired, or deleted' })
  }
}
