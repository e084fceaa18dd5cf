import type { StreamStatus } from '../../index'
import { chunks } from './state'

type Key = (status: StreamStatus) => number | string

/** By the names of the columns. Numbers are sorted from the largest, text from a. */
const KEYS = {
  'last-write': (status) => status.updatedAt.getTime(),
  started: (status) => status.startedAt.getTime(),
  expires: (status) => -status.ttlMs,
  chunks,
  bytes: (status) => status.bytes,
  stored: (status) => status.storedBytes,
  state: (status) => status.state,
  owner: (status) => status.owner ?? '',
  stream: (status) => status.streamId,
} satisfies Record<string, Key>

export type Sort = keyof typeof KEYS | 'none'
export const SORTS: readonly Sort[] = [...(Object.keys(KEYS) as Sort[]), 'none']

export function isSort(text: string): text is Sort {
  return SORTS.some((each) => each === text)
}

/** The first of many streams; keeps at most twice as many as are wanted. */
export class Sorted {
  readonly #compare: (one: StreamStatus, other: StreamStatus) => number
  readonly #limit: number
  #kept: StreamStatus[] = []

  constructor(sort: keyof typeof KEYS, isReversed: boolean, limit: number) {
    const key: Key = KEYS[sort]
    const direction = isReversed ? -1 : 1
    this.#limit = limit
    this.#compare = (one, other) =>
      direction * order(key(one), key(other)) || order(one.streamId, other.streamId)
  }

  add(status: StreamStatus): void {
    this.#kept.push(status)
    if (this.#kept.length >= 2 * this.#limit) this.#kept = this.values()
  }

  values(): StreamStatus[] {
    return this.#kept.sort(this.#compare).slice(0, this.#limit)
  }
}

function order(one: number | string, other: number | string): number {
  if (typeof one === 'number' && typeof other === 'number') return other - one
  return one < other ? -1 : one > other ? 1 : 0
}
