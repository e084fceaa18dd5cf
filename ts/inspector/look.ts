import type { Metrics } from '../../index'
import type { Engine } from '../core/engine'
import { now } from '../util/timers'
import { isSeen, shownTo, type Viewer } from './access'
import type { List, Row } from './answers'
import type { Survey } from './survey'

const PER_PAGE = 50
/** How soon a page asks again, */
const SOON_MS = 1_000
/** and where more streams than this are active, of which it shows a part. */
const MANY = 200
const MANY_MS = 3_000
/** How often the memory of the process is read. */
const RSS_MS = 5_000
const STATES = ['active', 'complete', 'stopped', 'failed', 'interrupted'] as const

const KEYS: Readonly<Record<string, (each: Row) => number | string>> = {
  rate: ({ rate }) => rate ?? -1,
  lastWrite: ({ updatedAt }) => updatedAt,
  started: ({ startedAt }) => startedAt,
  chunks: ({ firstSeq, lastSeq }) => lastSeq - firstSeq,
  size: ({ bytes }) => bytes,
  producers: ({ producers }) => producers,
  // A process elsewhere has at least one reader.
  readers: ({ readers }) => readers.here + (readers.elsewhere ?? 0),
  lag: ({ lag }) => lag ?? -1,
  // Within a state the newest come first: an order that does not change with each survey.
  state: ({ state, startedAt }) => -STATES.indexOf(state) * 1e15 + startedAt,
  owner: ({ owner }) => owner ?? '',
  stream: ({ streamId }) => streamId,
}

/** The streams that a query matches, sorted, and their totals. */
interface Found {
  of: readonly Row[]
  wanted: readonly Row[]
  about: Totals
}

type Totals = Pick<
  List,
  'total' | 'found' | 'states' | 'rate' | 'active' | 'producers' | 'storedBytes' | 'nextMs'
>

/** The most lists that are kept until the next survey, because pages repeat their queries. */
const MOST_KEPT = 16

export class Lists {
  readonly #survey: Survey
  #kept = new Map<string, Found>()

  constructor(survey: Survey) {
    this.#survey = survey
  }

  /** The list in the answer to `api/look`. */
  async look(viewer: Viewer, query: URLSearchParams): Promise<object> {
    const survey = this.#survey
    const { wanted, about } = this.#find(await survey.all(query.has('fresh')), viewer, query)
    const pages = Math.max(1, Math.ceil(wanted.length / PER_PAGE))
    const page = Math.min(pages, Math.max(1, Math.trunc(Number(query.get('page'))) || 1))
    const shown = wanted.slice((page - 1) * PER_PAGE, page * PER_PAGE)
    const rows = await renewed(survey, viewer, shown)
    const damaged = viewer.owner === null ? survey.damaged : 0
    return { ...survey.age, isCut: survey.isCut, damaged, ...about, page, pages, rows }
  }

  #find(all: readonly Row[], viewer: Viewer, query: URLSearchParams): Found {
    const key = JSON.stringify([
      viewer.owner,
      ...['q', 'state', 'sort', 'order'].map((name) => query.get(name)),
    ])
    const kept = this.#kept.get(key)
    if (kept?.of === all) return kept
    const made = found(all, viewer, query)
    if (this.#kept.size >= MOST_KEPT) this.#kept.clear()
    this.#kept.set(key, made)
    return made
  }
}

function found(everything: readonly Row[], viewer: Viewer, query: URLSearchParams): Found {
  const all = viewer.owner === null ? everything : everything.filter((each) => isSeen(viewer, each))
  const words = (query.get('q') ?? '').toLowerCase()
  const state = query.get('state')
  const found =
    words === '' ? all : all.filter((each) => within(each.streamId, words) || within(each.owner ?? '', words))
  const states = Object.fromEntries(STATES.map((each) => [each, 0])) as Record<string, number>
  for (const each of found) states[each.state] = (states[each.state] ?? 0) + 1
  const wanted = sorted(state === null ? found : found.filter((each) => each.state === state), query)
  const active = all.filter((each) => each.state === 'active')
  // After the first survey no rate is known yet.
  const isNew = active.length > 0 && active.every(({ rate }) => rate === null)
  const about: Totals = {
    total: all.length,
    found: found.length,
    states,
    rate: isNew ? null : sum(active, ({ rate }) => rate ?? 0),
    active: active.length,
    nextMs: active.length > MANY ? MANY_MS : SOON_MS,
    producers: sum(active, ({ producers }) => producers),
    storedBytes: sum(all, ({ storedBytes }) => storedBytes),
  }
  return { of: everything, wanted, about }
}

function sum(list: readonly Row[], of: (each: Row) => number): number {
  return list.reduce((total, each) => total + of(each), 0)
}

/** The current state of the streams on a page, without those that are gone or another owner's by now. */
async function renewed(survey: Survey, viewer: Viewer, shown: readonly Row[]): Promise<Row[]> {
  if (shown.length === 0) return []
  const latest = await survey.current(shown.map(({ streamId }) => streamId))
  return shown.flatMap(({ streamId }) => {
    const status = latest.get(streamId)
    return status && isSeen(viewer, status) ? [shownTo(viewer, status)] : []
  })
}

function within(text: string, words: string): boolean {
  return text.toLowerCase().includes(words)
}

function sorted(list: readonly Row[], query: URLSearchParams): Row[] {
  const name = query.get('sort') ?? 'state'
  const keyOf = (Object.hasOwn(KEYS, name) ? KEYS[name] : undefined) ?? (() => 0)
  const direction = query.get('order') === 'up' ? -1 : 1
  return list
    .map((each) => ({ each, key: keyOf(each), at: each.updatedAt }))
    .sort(
      (one, other) =>
        direction * compare(one.key, other.key) ||
        other.at - one.at ||
        compare(other.each.streamId, one.each.streamId),
    )
    .map(({ each }) => each)
}

/** Descending, for numbers and for texts. */
function compare(one: number | string, other: number | string): number {
  return one < other ? 1 : one > other ? -1 : 0
}

/** The engine in every answer. */
export class AboutEngine {
  readonly #engine: Engine
  readonly #isOutside: boolean

  /** `isOutside`: the inspector has an engine of its own, whose metrics say nothing. */
  constructor(engine: Engine, isOutside: boolean) {
    this.#engine = engine
    this.#isOutside = isOutside
  }

  /** With the `metrics` if the page wants them in this answer: all producers are gone through for them. */
  read({ owner }: Viewer, metrics: boolean): object {
    const { url, keyPrefix, state } = this.#engine.toJSON()
    const about = { at: Date.now(), url, keyPrefix, state }
    // The metrics count the work for all owners.
    if (owner !== null || !metrics) return { ...about, memory: null, inside: null }
    const { memory, ...counters } = this.#engine.metrics()
    const sample = memory && { averageBytes: memory.averageBytes, largestBytes: memory.largestBytes }
    return { ...about, memory: sample, inside: this.#isOutside ? null : counted(counters) }
  }
}

let rss = { bytes: 0, at: Number.NEGATIVE_INFINITY }

function counted(counters: Omit<Metrics, 'memory'>): object {
  const { stopRequestSeconds, stopSeconds, ...rest } = counters
  if (now() - rss.at > RSS_MS) rss = { bytes: process.memoryUsage.rss(), at: now() }
  return { ...rest, rss: rss.bytes, pid: process.pid, uptime: process.uptime() }
}
