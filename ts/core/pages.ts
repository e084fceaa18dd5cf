import type { Bridge } from '../native/bridge'

/** A page of the index. */
export interface Page {
  ids: string[]
  next: ListCursor | null
}

/** Where a list continues: `ListCursor` of src/store/values.rs. */
export interface ListCursor {
  shard: number
  old: boolean
  scan: string
}

/** Where a list begins. */
export const FIRST: ListCursor = { shard: 0, old: false, scan: '0' }

/** About `count` ids; a page may be longer, and may repeat an id of an earlier page. */
export function page(bridge: Bridge, from: ListCursor, count: number): Promise<Page> {
  return bridge.request('list', { ...from, count }, (answer: Page) => answer)
}

/** Every id once. A store repeats ids only within a shard: no more than a shard's are remembered. */
export async function* pages(bridge: Bridge, count: number): AsyncGenerator<string[], undefined> {
  const seen = new Set<string>()
  let from: ListCursor | null = FIRST
  while (from !== null) {
    const { ids, next }: Page = await page(bridge, from, count)
    const fresh = [...new Set(ids)].filter((id) => !seen.has(id))
    if (next?.shard !== from.shard) seen.clear()
    for (const id of ids) seen.add(id)
    if (fresh.length > 0) yield fresh
    from = next
  }
  return undefined
}
