import { flag, object } from '../options/checks'
import { owner } from '../options/fields'
import type { MaybePromise } from '../util/deferred'

/** What a visitor may see and do, where that is less than the inspector offers. */
export interface InspectorAccess {
  /** Only this owner's streams; all others are as if they were not there. Default: all streams. */
  owner?: string | undefined
  /** `false`: may stop and delete nothing, although `write` is set. */
  write?: boolean | undefined
  /** `false`: gets no payloads, although `showData` is set. */
  showData?: boolean | undefined
}

/** True, or what the visitor may: let in. Anything else, null for instance, and an error: not let in. */
export type Authorize = (request: Request) => MaybePromise<boolean | InspectorAccess | null | undefined>

/** Who looks, once let in. */
export interface Viewer {
  /** Null: all streams. */
  owner: string | null
  write: boolean
  showData: boolean
}

const accessFields = object({ owner, write: flag, showData: flag })

/** Undefined: not let in. */
export async function viewerOf(
  request: Request,
  authorize: Authorize,
  offered: { write: boolean; showData: boolean },
): Promise<Viewer | undefined> {
  const given = await authorize(request)
  if (given !== true && (typeof given !== 'object' || given === null)) return undefined
  const access = given === true ? {} : accessFields(given, 'what authorize has returned')
  return {
    // An owner that is not known is nobody's, not everybody's.
    owner: given !== true && 'owner' in given ? (access.owner ?? '') : null,
    write: offered.write && access.write !== false,
    showData: offered.showData && access.showData !== false,
  }
}

/** Whether the viewer may know that a stream is there. */
export function isSeen({ owner }: Viewer, stream: { owner: string | null }): boolean {
  return owner === null || stream.owner === owner
}

/** Says so of requests by which another site would use the visitor's browser: it cannot set this header without asking. */
export function isForeign(request: Request): boolean {
  const site = request.headers.get('sec-fetch-site')
  return site !== null && site !== 'same-origin' && site !== 'none'
}

/** What a request that changes something has to carry, beside JSON as its type. */
export const WRITE_HEADER = 'x-tidemark-inspector'
