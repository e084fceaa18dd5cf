import type { Asked } from '../http/asked'
import { flag, object } from '../options/checks'
import { owner } from '../options/fields'
import type { MaybePromise } from '../util/deferred'

/** Restricts what a visitor may see and do. */
export interface InspectorAccess {
  /** Shows only this owner's streams, as if there were no others. Default: all streams. */
  owner?: string | undefined
  /** `false`: the visitor may not stop or delete anything, even if `write` is set. */
  write?: boolean | undefined
  /** `false`: the visitor gets no payloads, even if `showData` is set. */
  showData?: boolean | undefined
}

/** True or {@link InspectorAccess}: the visitor may enter. Anything else, for instance null, or an error: the visitor may not. */
export type Authorize = (request: Request) => MaybePromise<boolean | InspectorAccess | null | undefined>

/** A visitor who may enter. */
export interface Viewer {
  /** Null: all streams. */
  owner: string | null
  write: boolean
  showData: boolean
}

const accessFields = object({ owner, write: flag, showData: flag })

/** Undefined: the visitor may not enter. */
export async function viewerOf(
  { request }: Asked,
  authorize: Authorize,
  offered: { write: boolean; showData: boolean },
): Promise<Viewer | undefined> {
  const given = await authorize(request)
  if (given !== true && (typeof given !== 'object' || given === null)) return undefined
  const access = given === true ? {} : accessFields(given, 'what authorize has returned')
  return {
    // An `owner` that is undefined must not mean all streams.
    owner: given !== true && 'owner' in given ? (access.owner ?? '') : null,
    write: offered.write && access.write !== false,
    showData: offered.showData && access.showData !== false,
  }
}

/** Whether the viewer may know that this stream exists. */
export function isSeen({ owner }: Viewer, stream: { owner: string | null }): boolean {
  return owner === null || stream.owner === owner
}

/** What the viewer may know of it: the names of servers are not for an owner. */
export function shownTo<T extends { process: string | null }>({ owner }: Viewer, stream: T): T {
  return owner === null ? stream : { ...stream, process: null }
}

/** Whether the browser sent this request for a page of another site. No page can change this header. */
export function isForeign({ headers }: Asked): boolean {
  const site = headers.get('sec-fetch-site')
  return site !== null && site !== 'same-origin' && site !== 'none'
}

/** Required, together with a JSON content type, by requests that change something. */
export const WRITE_HEADER = 'x-tidemark-inspector'
