import { invalidArgument } from './errors'

const USER = '[user:password@]'
const HOSTS = 'host[:port][,host[:port]…]'
/** What comes after the scheme: as it is shown, the path, and the names in the query. */
type Place = { form: string; path: RegExp; query: string[]; isOne?: true }

const PLACES: Record<string, Place> = {
  server: { form: `${USER}host[:port][/db]`, path: /^(\/\d{0,9})?$/, query: ['protocol'], isOne: true },
  sentinel: {
    form: `${USER}${HOSTS}/<master name>[/db][?sentinelUser=…&sentinelPassword=…]`,
    path: /^\/[\w.-]+(\/\d{0,9})?$/,
    query: ['sentinelUser', 'sentinelPassword'],
  },
  cluster: { form: `${USER}${HOSTS}`, path: /^(\/0?)?$/, query: [] },
}
const SCHEMES = /^(rediss?)(?:\+(sentinel|cluster))?$/
const KNOWN = 'redis:, rediss:, redis+sentinel:, rediss+sentinel:, redis+cluster:, rediss+cluster: or memory:'

/**
 * A URL with its scheme in lower case; `src/store/redis/target.rs` takes it apart. It may hold a password, so no message
 * repeats more of it than the scheme.
 */
export function url(value: unknown, field: string): string {
  const scheme =
    typeof value === 'string' ? /^([a-z][a-z0-9+.-]*):/i.exec(value)?.[1]?.toLowerCase() : undefined
  if (typeof value !== 'string' || scheme === undefined) {
    throw invalidArgument(field, `must be a URL that begins with ${KNOWN}`)
  }
  if (/[\s\p{Cc}\p{Cs}]/u.test(value)) {
    throw invalidArgument(field, 'must not contain white space or control characters, unless percent-encoded')
  }
  const normal = scheme + value.slice(scheme.length)
  if (scheme === 'memory') return normal
  const [, base, kind = 'server'] = SCHEMES.exec(scheme) ?? []
  if (base === undefined) throw invalidArgument(field, `must begin with ${KNOWN}, got ${scheme}:`)
  const place = PLACES[kind] as Place
  const [, user = '', hosts = '', path = '', query = ''] =
    /^[^:]*:\/\/([^/?#]*@)?([^/?#]*)([^?#]*)(\?[^#]*)?$/.exec(normal) ?? []
  const isFine =
    !(place.isOne && hosts.includes(',')) &&
    hosts.split(',').every((host) => host !== '' && URL.canParse(`${base}://${user}${host}`)) &&
    place.path.test(path) &&
    [...new URLSearchParams(query).keys()].every((name) => place.query.includes(name))
  if (isFine) return normal
  throw invalidArgument(
    field,
    `must be ${scheme}://${place.form}; special characters in a password are percent-encoded`,
  )
}
