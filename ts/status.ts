import type * as api from '../index'
import type { Bridge } from './bridge'

/** Ids asked for at once. */
const PAGE = 64

type NativeStatus = Omit<api.StreamStatus, 'startedAt' | 'updatedAt'> & {
  startedAt: number
  updatedAt: number
}

interface Page {
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
export async function* list(bridge: Bridge): AsyncGenerator<api.StreamStatus, undefined> {
  let seen = new Set<string>()
  let from: Page['next'] = { shard: 0, scan: '0' }
  while (from !== null) {
    const page: Page = await bridge.request('list', { ...from, count: PAGE }, (answer: Page) => answer)
    const fresh = page.ids.filter((id) => !seen.has(id) && seen.add(id))
    for (const found of await Promise.all(fresh.map((id) => status(bridge, id)))) {
      if (found !== null) yield found
    }
    if (page.next?.shard !== from.shard) seen = new Set()
    from = page.next
  }
  return undefined
}
