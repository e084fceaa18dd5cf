import type * as api from '../index'
import type { Bridge } from './bridge'
import { pages } from './pages'

/** Ids asked for at once, and statuses after them. */
const PAGE = 64

type NativeStatus = Omit<api.StreamStatus, 'metadata' | 'startedAt' | 'updatedAt'> & {
  metadata: string | null
  startedAt: number
  updatedAt: number
}

export function status(bridge: Bridge, streamId: string): Promise<api.StreamStatus | null> {
  return bridge.request('status', { streamId }, (answer: NativeStatus | null) =>
    answer === null
      ? null
      : {
          ...answer,
          metadata: answer.metadata === null ? null : parsed(answer.metadata),
          startedAt: new Date(answer.startedAt),
          updatedAt: new Date(answer.updatedAt),
        },
  )
}

/** A foreign writer's nonsense is shown as the text it is. */
function parsed(metadata: string): unknown {
  try {
    return JSON.parse(metadata)
  } catch {
    return metadata
  }
}

export async function* list(bridge: Bridge): AsyncGenerator<api.StreamStatus, undefined> {
  for await (const ids of pages(bridge, PAGE)) {
    for (const found of await Promise.all(ids.map((id) => status(bridge, id)))) {
      if (found !== null) yield found
    }
  }
  return undefined
}
