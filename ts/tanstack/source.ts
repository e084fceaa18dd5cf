// The run that a request names, and the offset.

import { invalidArgument } from '../errors/errors'
import { foreignId } from '../options/adapters'
import { object, refuse } from '../options/checks'
import { positionOf } from './offsets'

/** A run by its id, for callers without a request. */
export interface TidemarkStreamInit {
  /** 1–448 bytes. */
  runId: string
  /** The last chunk that the reader has seen: an offset, `'-1'` to read all, `'now'` to read new chunks. Default null: a producer, or no reader. */
  offset?: string | null | undefined
}

/** The part of a request that matters here. */
interface RequestLike {
  readonly url: string
  readonly headers: { get(name: string): string | null }
}

export interface Source {
  runId: string
  offset: string | null
}

const init = object({
  runId: foreignId,
  offset: (value, field) =>
    value === null || typeof value === 'string' ? value : refuse(field, 'an offset or null', value),
})

/** The run that a request or an object names. An offset names one too: if both do, it has to be the same. */
export function sourceOf(given: unknown): Source {
  const { runId, offset } = isRequest(given) ? ofRequest(given) : init(given, 'source')
  const position = offset == null ? undefined : positionOf(offset)
  const named = runId ?? position?.runId
  if (named === undefined) {
    throw invalidArgument(
      'runId',
      'is required: a request names its run in the header X-Run-Id, in ?runId, or by an offset',
    )
  }
  if (position?.runId !== undefined && position.runId !== named) {
    throw invalidArgument('offset', 'is of another run than the one that is asked for')
  }
  return { runId: named, offset: offset ?? null }
}

function ofRequest({ url, headers }: RequestLike): { runId: string | undefined; offset: string | null } {
  const query = URL.canParse(url) ? new URL(url).searchParams : new URLSearchParams()
  const runId = headers.get('X-Run-Id') || query.get('runId')
  return {
    runId: runId === null ? undefined : foreignId(runId, 'runId'),
    offset: headers.get('Last-Event-ID') || query.get('offset'),
  }
}

/** Not recognised by its class: frameworks have their own requests. */
function isRequest(given: unknown): given is RequestLike {
  const { url, headers } = (given ?? {}) as Partial<RequestLike>
  return typeof url === 'string' && typeof headers?.get === 'function'
}
