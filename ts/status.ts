import type * as api from '../index'
import type { Bridge } from './bridge'

/** Ids asked for at once. */
const PAGE = 64

type NativeStatus = Omit<api.StreamStatus, 'startedAt' | 'updatedAt'> & {
  startedAt: number
  updatedAt: number
}

/** Where a list begins. */
export const FIRST = { shard: 0, scan: '0' }

/** A page of the index. */
export interface Page {
  ids: string[]
  next: { shard: number; scan: string } | null
}

export function status(bridge: Bridge, streamId: string): Promise<api.StreamStatus | null> {
  return bridge.request('status', { streamId }, (answer: NativeStatus | null) =>
    answer === null
      ? null
      : { ...answer, startedAt: new Date(answer.startedAt), updatedAt: new Date(answer.updatedAt) },
  )
}

/** A store may list an id twice, but only within a shard: no more than a shard's ids are remembered. */
export function page(bridge: Bridge, from: Page['next'], count: number): Promise<Page> {
  return bridge.request('list', { ...from, count }, (answer: Page) => answer)
}

export async function* list(bridge: Bridge): AsyncGenerator<api.StreamStatus, undefined> {
  let seen = new Set<string>()
  let from: Page['next'] = FIRST
  while (from !== null) {
    const found: Page = await page(bridge, from, PAGE)
    const fresh = found.ids.filter((id) => !seen.has(id) && seen.add(id))
    for (const known of await Promise.all(fresh.map((id) => status(bridge, id)))) {
      if (known !== null) yield known
    }
    if (found.next?.shard !== from.shard) seen = new Set()
    from = found.next
  }
  return undefined
}
