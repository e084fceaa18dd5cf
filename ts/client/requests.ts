import { uncached } from '../util/uncached.js'
import { sure } from './responses.js'

export type HeadersLike = ConstructorParameters<typeof Headers>[0]

/** What the options of a loop add to its requests. */
interface Additions {
  headers?: HeadersLike | (() => HeadersLike | Promise<HeadersLike>) | undefined
  credentials?: 'omit' | 'same-origin' | 'include' | undefined
  fetch?: typeof fetch | undefined
}

/** As `fetch`. */
export type Send = (
  url: string | URL,
  init: RequestInit & { headers: Record<string, string> },
) => Promise<Response>

/** Sends a loop's requests, with what its options add to each. */
export function sending({ headers: given, credentials, fetch: own }: Additions): Send {
  return async (url, init) => {
    // `fetch` would report a malformed URL, or one with a password, as a network error each time.
    if (own === undefined) sure(() => new Request(url), 'url: cannot be requested')
    const wanted = typeof given === 'function' ? await given() : given
    const headers = sure(() => new Headers(wanted), 'headers: are malformed')
    for (const [name, value] of Object.entries(init.headers)) headers.set(name, value)
    return (own ?? fetch)(url, { ...uncached(), ...init, headers, ...(credentials && { credentials }) })
  }
}
