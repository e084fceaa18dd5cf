/** What the inspector answers its page, as the page reads it. */

import type { DeadFinished, Metrics, StreamStatus } from '../../index'
import type { Glance } from '../core/glance'

/** A value that was sent as JSON. */
type Sent<T> = T extends Date
  ? string
  : T extends readonly (infer Each)[]
    ? Sent<Each>[]
    : T extends object
      ? { [Name in keyof T]: Sent<T[Name]> }
      : T

/** In every answer. */
export interface Now {
  engine: EngineNow
  viewer: { write: boolean; showData: boolean; owner: string | null }
}

export interface EngineNow {
  at: number
  url: string
  keyPrefix: string
  state: Metrics['state']
  /** Null, as `inside`, also where the page has not asked for the metrics. */
  memory: { averageBytes: number; largestBytes: number } | null
  inside: Inside | null
}

/** What the engine counts, if it is the one that the inspector is mounted beside. */
export type Inside = Sent<Omit<Metrics, 'memory' | 'stopRequestSeconds' | 'stopSeconds'>> & {
  rss: number
  pid: number
  uptime: number
}

export type Row = Glance & {
  /** Chunks per second; null if it is not known yet. */
  rate: number | null
}

export interface List {
  ageMs: number
  everyMs: number
  /** How soon the page is to ask again. */
  nextMs: number
  isCut: boolean
  damaged: number
  total: number
  found: number
  states: Record<Row['state'], number>
  rate: number | null
  active: number
  producers: number
  storedBytes: number
  page: number
  pages: number
  rows: Row[]
}

export type Stream = Sent<StreamStatus> & {
  rate: Row['rate']
  process: Row['process']
  readers: Row['readers']
  groups: Group[]
  memoryBytes: number | null
  timeline: TimelineEvent[]
}

export interface Group {
  group: string
  /** Delivered and not acknowledged. */
  held: number
  /** Dead letters. */
  dead: number
  /** Not delivered yet. */
  behind: number | null
}

/** An event in the history of a stream, as far as the inspector has seen it. */
export interface TimelineEvent {
  /** Milliseconds since 1970; for a change between two surveys, the time of the second one. */
  at: number
  streamId: string
  generation: string | null
  kind: 'start' | 'takeover' | 'producers' | 'stop' | 'end' | 'gone' | 'log'
  text: string
}

/** The beginning of a chunk's data. */
export interface Excerpt {
  text: string
  /** Whether `text` is the hexadecimal form of bytes. */
  isBytes: boolean
  isCut: boolean
}

/** A chunk, or a finished generation, that no consumer has acknowledged. */
export interface Letter {
  key: string
  deliveries: number
  cursor: string
  streamId?: string
  outcome?: DeadFinished['outcome']
  reason?: string | null
  seq?: number
  isGone?: boolean
  data?: Excerpt | null
}

/** By the names of the paths below `api/`. */
export interface Answers {
  look: Now & { list: List }
  stream: Now & { stream: Stream | null }
  groups: Now & { groups: Group[] }
  dead: { letters: Letter[]; isCut: boolean }
  stop: { result: string }
  delete: { existed: boolean }
  cleanup: { removed: number }
  retry: object
  drop: object
}

/** Events of `api/play`. */
export interface Played {
  cursor: string
  count: number
  bytes: number
  chunks: ({ seq: number; bytes: number } & Partial<Excerpt>)[]
}
