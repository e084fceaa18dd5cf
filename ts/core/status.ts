import type * as api from '../../index'
import type { Bridge } from '../native/bridge'
import type { Glance } from './glance'
import { FIRST, type ListCursor, type Page, pages } from './pages'

/** The ids of one request, and the statuses of the next one: neither is to hold up others at the store. */
const PAGE = 64
/** The same of glances, which cost less than half. */
const GLANCES = 128

type NativeStatus = Omit<api.StreamStatus, 'metadata' | 'startedAt' | 'updatedAt'> & {
  metadata?: string
  startedAt: number
  updatedAt: number
}

type Damaged = { damaged: string }

export type Found<T = NativeStatus> = T | Damaged | null

interface Glances extends Page {
  found: Found<Glance>[]
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

/** The same in pages, with less of each, and in few commands. A page may repeat streams of an earlier one. */
export async function* glances(bridge: Bridge, onDamaged: OnDamaged): AsyncGenerator<Glance[], undefined> {
  let from: ListCursor | null = FIRST
  while (from !== null) {
    const args = { ...from, count: GLANCES }
    const page: Glances = await bridge.request('glances', args, (answer: Glances) => answer)
    yield readable(page.ids, page.found, onDamaged)
    from = page.next
  }
  return undefined
}

/** Those that are there and not damaged. */
function readable<T extends object>(
  ids: readonly string[],
  found: readonly Found<T>[],
  onDamaged?: OnDamaged,
): T[] {
  const page: T[] = []
  for (const [index, each] of found.entries()) {
    if (each === null) continue
    if ('damaged' in each) onDamaged?.(ids[index] as string, each.damaged)
    else page.push(each)
  }
  return page
}

/** Of each stream, null if there is none, or it is damaged. */
export async function glance(bridge: Bridge, streamIds: string[]): Promise<(Glance | null)[]> {
  const found = await bridge.request('glance', { streamIds }, (answer: Found<Glance>[]) => answer)
  return found.map((each) => (each === null || 'damaged' in each ? null : each))
}

export function inspect(bridge: Bridge, streamIds: string[]): Promise<Found[]> {
  return bridge.request('inspect', { streamIds }, (answer: Found[]) => answer)
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
