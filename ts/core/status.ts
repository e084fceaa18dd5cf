import type * as api from '../../index'
import type { Bridge } from '../native/bridge'
import { pages } from './pages'

/** The ids of one request, and the statuses of the next one. */
const PAGE = 64

type NativeStatus = Omit<api.StreamStatus, 'metadata' | 'startedAt' | 'updatedAt'> & {
  metadata: string | null
  startedAt: number
  updatedAt: number
}

export type Found = NativeStatus | { damaged: string } | null

export function status(bridge: Bridge, streamId: string): Promise<api.StreamStatus | null> {
  return bridge.request('status', { streamId }, (answer: NativeStatus | null) => answer && shown(answer))
}

/** `onDamaged` is called for streams that are left out. */
export async function* list(
  bridge: Bridge,
  onDamaged?: (streamId: string, why: string) => void,
): AsyncGenerator<api.StreamStatus, undefined> {
  for await (const streamIds of pages(bridge, PAGE)) {
    for (const [index, found] of (await inspect(bridge, streamIds)).entries()) {
      if (found === null) continue
      if ('damaged' in found) onDamaged?.(streamIds[index] as string, found.damaged)
      else yield shown(found)
    }
  }
  return undefined
}

/** Of each stream, null if there is none, or it is damaged. */
export async function statuses(bridge: Bridge, streamIds: string[]): Promise<(api.StreamStatus | null)[]> {
  const found = await inspect(bridge, streamIds)
  return found.map((each) => (each === null || 'damaged' in each ? null : shown(each)))
}

export function inspect(bridge: Bridge, streamIds: string[]): Promise<Found[]> {
  return bridge.request('inspect', { streamIds }, (answer: Found[]) => answer)
}

function shown(status: NativeStatus): api.StreamStatus {
  return {
    ...status,
    metadata: status.metadata === null ? null : parsed(status.metadata),
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
