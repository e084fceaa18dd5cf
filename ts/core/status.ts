import type * as api from '../../index'
import type { Bridge } from '../native/bridge'
import { pages } from './pages'

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

export function status(bridge: Bridge, streamId: string): Promise<api.StreamStatus | null> {
  return bridge.request('status', { streamId }, (answer: NativeStatus | null) => answer && shown(answer))
}

type OnDamaged = (streamId: string, why: string) => void

/** `onDamaged` is called for streams that are left out. */
export async function* list(
  bridge: Bridge,
  onDamaged?: OnDamaged,
): AsyncGenerator<api.StreamStatus, undefined> {
  for await (const page of found(bridge, false, onDamaged)) for (const status of page) yield shown(status)
  return undefined
}

/** The same in pages, and with less. */
export function glances(bridge: Bridge, onDamaged: OnDamaged): AsyncGenerator<Glance[], undefined> {
  return found(bridge, true, onDamaged)
}

async function* found(
  bridge: Bridge,
  isBrief: boolean,
  onDamaged?: OnDamaged,
): AsyncGenerator<NativeStatus[], undefined> {
  for await (const streamIds of pages(bridge, PAGE)) {
    const page: NativeStatus[] = []
    for (const [index, found] of (await inspect(bridge, streamIds, isBrief)).entries()) {
      if (found === null) continue
      if ('damaged' in found) onDamaged?.(streamIds[index] as string, found.damaged)
      else page.push(found)
    }
    yield page
  }
  return undefined
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
