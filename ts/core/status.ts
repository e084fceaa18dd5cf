import type * as api from '../../index'
import type { Bridge } from '../native/bridge'
import { FIRST, type ListCursor, type Page, pages } from './pages'

/** The ids of one request, and the statuses of the next one: neither is to hold up others at the store. */
const PAGE = 64

type NativeStatus = Omit<api.StreamStatus, 'metadata' | 'startedAt' | 'updatedAt'> & {
  metadata?: string
  startedAt: number
  updatedAt: number
}

/** A status as it comes, without its metadata, which may be large. */
export type Glance = Omit<NativeStatus, 'metadata'>

export type Found = NativeStatus | { damaged: string } | null

interface Glances extends Page {
  found: Found[]
}

export function status(bridge: Bridge, streamId: string): Promise<api.StreamStatus | null> {
  return bridge.request('status', { streamId }, (answer: NativeStatus | null) => answer && shown(answer))
}

type OnDamaged = (streamId: string, why: string) => void

/** `onDamaged` is called for streams that are left out. */
export async function* list(
  bridge: Bridge,
  onDamaged?: OnDamaged,
): AsyncGenerator<api.StreamStatus, undefined> {
  for await (const ids of pages(bridge, PAGE)) {
    for (const status of readable(ids, await inspect(bridge, ids), onDamaged)) yield shown(status)
  }
  return undefined
}

/** The same in pages, with less, and in half the requests. A page may repeat streams of an earlier one. */
export async function* glances(bridge: Bridge, onDamaged: OnDamaged): AsyncGenerator<Glance[], undefined> {
  let from: ListCursor | null = FIRST
  while (from !== null) {
    const args = { ...from, count: PAGE }
    const page: Glances = await bridge.request('glances', args, (answer: Glances) => answer)
    yield readable(page.ids, page.found, onDamaged)
    from = page.next
  }
  return undefined
}

/** Those that are there and not damaged. */
function readable(ids: readonly string[], found: readonly Found[], onDamaged?: OnDamaged): NativeStatus[] {
  const page: NativeStatus[] = []
  for (const [index, each] of found.entries()) {
    if (each === null) continue
    if ('damaged' in each) onDamaged?.(ids[index] as string, each.damaged)
    else page.push(each)
  }
  return page
}

/** Of each stream, null if there is none, or it is damaged. */
export async function glance(bridge: Bridge, streamIds: string[]): Promise<(Glance | null)[]> {
  const found = await inspect(bridge, streamIds, true)
  return found.map((each) => (each === null || 'damaged' in each ? null : each))
}

/** `isBrief` leaves out the metadata. */
export function inspect(bridge: Bridge, streamIds: string[], isBrief = false): Promise<Found[]> {
  return bridge.request('inspect', { streamIds, isBrief }, (answer: Found[]) => answer)
}

function shown(status: NativeStatus): api.StreamStatus {
  return {
    ...status,
    metadata: status.metadata === undefined ? null : parsed(status.metadata),
    startedAt: new Date(status.startedAt),
    updatedAt: new Date(status.updatedAt),
  }
}

/** Metadata of another program that is not JSON is shown as text. */
function parsed(metadata: string): unknown {
  try {
    return JSON.parse(metadata)
  } catch {
    return metadata
  }
}
