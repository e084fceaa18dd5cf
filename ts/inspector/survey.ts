import type { StreamStatus } from '../../index'
import type { Engine } from '../core/engine'
import { now } from '../util/timers'
import { History } from './history'

/** How many times the CPU time of a survey has to pass before the next one. */
const PACE = 200
/** The shortest time between two surveys. */
const LEAST_MS = 1_000
/** The most streams in a survey. */
const MOST_STREAMS = 20_000
/** The shortest time over which a rate is measured. */
const LEAST_RATE_MS = 700

/** A survey that takes no longer is waited for: its statuses are not read once more for the page that asked. */
const QUICK_MS = 100
/** A status counts as current for so long. */
const CURRENT_MS = 500

/** A status without its metadata, which may be large. */
export type Known = Omit<StreamStatus, 'metadata'>

export type SurveyedStream = Known & {
  /** Chunks per second since the last status; null if there was none. */
  rate: number | null
  /** The lag of the consumer that is furthest behind; null without consumers. */
  lag: number | null
}

interface Seen {
  status: SurveyedStream
  at: number
  /** The status from which the rate is measured. */
  since: { at: number; generation: string; lastSeq: number }
}

/**
 * The status of all streams, shared by all pages. It is renewed when a page asks and enough time has passed: without a page it costs
 * nothing, and with pages less than a hundredth of a processor.
 */
export class Survey {
  readonly history = new History()
  readonly #engine: Engine
  #seen = new Map<string, Seen>()
  /** Another array after each survey. */
  #list: readonly SurveyedStream[] = []
  #running: Promise<void> | undefined
  #endedAt = Number.NEGATIVE_INFINITY
  #pauseMs = LEAST_MS
  #isQuick = false
  /** How many streams could not be read, and are missing from the list. */
  damaged = 0
  isCut = false

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** How old the list is, and how old it may become, in milliseconds. */
  get age(): { ageMs: number; everyMs: number } {
    return { ageMs: Math.max(0, now() - this.#endedAt), everyMs: this.#pauseMs }
  }

  /** All streams. Waits for a survey if it is the first, quick, or to be `fresh`; otherwise returns the last one while another runs. */
  async all(fresh = false): Promise<readonly SurveyedStream[]> {
    const isFirst = this.#endedAt === Number.NEGATIVE_INFINITY
    if (fresh || isFirst || now() - this.#endedAt > this.#pauseMs) {
      this.#running ??= this.#look().finally(() => {
        this.#running = undefined
      })
      // If it fails, the next caller that waits gets the error.
      if (fresh || isFirst || this.#isQuick) await this.#running
      else this.#running.catch(() => {})
    }
    return this.#list
  }

  /** The status of these streams, at most half a second old; null for those that are gone. */
  async current(streamIds: string[]): Promise<Map<string, SurveyedStream | null>> {
    const known = new Map<string, SurveyedStream>()
    for (const id of streamIds) {
      const seen = this.#seen.get(id)
      if (seen !== undefined && now() - seen.at < CURRENT_MS) known.set(id, seen.status)
    }
    const old = streamIds.filter((id) => !known.has(id))
    return old.length === 0 ? known : new Map([...known, ...(await this.renew(old))])
  }

  /** The status of these streams now. */
  async renew(streamIds: string[]): Promise<Map<string, SurveyedStream | null>> {
    const found = new Map<string, SurveyedStream | null>()
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
    // The survey costs no more than the time it took, nor than the CPU time of the whole process.
    const cost = Math.min(now() - begin, (user + system) / 1_000)
    // Rates need a second survey: it comes soon, whatever the first one cost.
    const isFirst = this.#endedAt === Number.NEGATIVE_INFINITY
    this.#isQuick = now() - begin < QUICK_MS
    this.#pauseMs = isFirst ? LEAST_MS : Math.max(LEAST_MS, Math.round(cost * PACE))
    this.#endedAt = now()
  }

  #note(into: Map<string, Seen>, { metadata: _, ...known }: StreamStatus): SurveyedStream {
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
    into.set(streamId, { status, at, since })
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
