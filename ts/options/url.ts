import { invalidArgument } from '../errors/errors'
import { warnOnce } from '../errors/warnings'
import { refuse } from './checks'

const USER = '[user[:password]@]'
const HOSTS = 'host[:port][,host[:port]…]'
/** The part after the scheme: in the form for messages, and the path. */
type Kind = { form: string; path: RegExp; own?: readonly string[]; isOne?: true }

const KINDS: Record<string, Kind> = {
  server: { form: `//${USER}host[:port][/db]`, path: /^(?:\/(\d{0,9}))?\/*$/, isOne: true },
  unix: { form: `//${USER}/path/of/a/socket[?db=…]`, path: /^\/.+$/ },
  sentinel: {
    form: `//${USER}${HOSTS}/<master name>[/db][?sentinelUser=…&sentinelPassword=…]`,
    path: /^\/[\w.-]+(?:\/(\d{0,9}))?\/*$/,
    own: ['sentinelUser', 'sentinelPassword'],
  },
  cluster: { form: `//${USER}${HOSTS}`, path: /^(?:\/(0?))?\/*$/ },
}
const SCHEMES = /^(?:(redis|valkey)(s?)(?:\+(sentinel|cluster|unix))?|unix)$/
/** The schemes of stores in this process. */
const WITHOUT_SERVER = ['memory']
const KNOWN =
  'redis:, rediss:, redis+sentinel:, rediss+sentinel:, redis+cluster:, rediss+cluster:, unix: or memory:'

const REST =
  '. A service that is asked over HTTP has an address for TCP too: Upstash shows it as "TCP", beginning with rediss:'

/**
 * Parameters that other clients and services put into a query. Only these names are ever shown: other text there may be part
 * of a password that was not percent-encoded.
 */
const ELSEWHERE = new Set(
  [
    'ssl_cert_reqs ssl_ca_certs ssl_check_hostname ssl_certfile ssl_keyfile sslmode verify insecure cert ca',
    'connectTimeout connect_timeout connection_timeout commandTimeout timeout socket_timeout read_timeout',
    'write_timeout dial_timeout socket_connect_timeout socket_keepalive keepAlive noDelay health_check_interval',
    'pool pool_size poolSize pool_timeout max_connections maxConnections connection_limit min_idle_conns',
    'maxRetriesPerRequest max_retries retry_on_timeout retryStrategy lazyConnect enableReadyCheck',
    'enableOfflineQueue enableAutoPipelining autoResubscribe readOnly role name client_name clientName',
    'connectionName keyPrefix prefix stringNumbers showFriendlyErrorStack decode_responses encoding',
    'client_cache abortConnect allowAdmin sslprotocols virtual_host family tls ssl',
  ].flatMap((line) => line.split(' ')),
)

/**
 * Converts a URL from any form that other clients and services use to the one that `src/redis/target.rs` parses. Parameters
 * for other clients are left out, with one warning. A URL may hold a password, so messages repeat only its scheme.
 */
export function url(value: unknown, field: string): string {
  if (typeof value !== 'string') return refuse(field, `text that begins with ${KNOWN}`, value)
  const given = value.trim()
  const full = /^\/[^/]/.test(given) ? `unix://${given}` : given
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(full)?.[1]?.toLowerCase()
  if (scheme === undefined) throw invalidArgument(field, `must be a URL that begins with ${KNOWN}`)
  if (/[\s\p{Cc}\p{Cs}]/u.test(full)) {
    throw invalidArgument(field, 'must not contain white space or control characters, unless percent-encoded')
  }
  const normal = scheme + full.slice(scheme.length)
  if (!hasServer(normal)) return normal
  const match = SCHEMES.exec(scheme)
  if (match === null) {
    // Without the slashes it may be anything: the user in front of a password.
    const got = normal.startsWith(`${scheme}://`) ? `, got ${scheme}:` : ''
    if (/^https?$/.test(scheme) && got !== '')
      throw invalidArgument(field, `must begin with ${KNOWN}${got}${REST}`)
    throw invalidArgument(field, `must begin with ${KNOWN}${got}`)
  }
  const kind = scheme === 'unix' ? 'unix' : (match[3] ?? 'server')
  const known = KINDS[kind] as Kind
  const canonical = taken(normal, kind, known, match[2] === 's', field)
  if (canonical !== undefined) return canonical
  throw invalidArgument(
    field,
    `must be ${scheme}:${known.form}; special characters in a password are percent-encoded`,
  )
}

/** Whether a URL names a server. A store without one is in this process: no connection, and no other process sees it. */
export function hasServer(url: string): boolean {
  return !WITHOUT_SERVER.some((scheme) => url.startsWith(`${scheme}:`))
}

/** The address in a URL, without credentials; a password may contain an `@`. */
export function addressOf(url: string): string {
  return url.replace(/^([^:]*:\/\/)?[^/?]*@/, '$1').replace(/\?.*$/, '')
}

/** Undefined when it cannot be understood. */
function taken(
  text: string,
  kind: string,
  { path: known, own = [], isOne }: Kind,
  isSecure: boolean,
  field: string,
): string | undefined {
  const [, authority = '', path = '', search = ''] =
    /^[^:]*:\/\/([^/?#]*)([^?#]*)(\?[^#]*)?$/.exec(text) ?? []
  const at = authority.lastIndexOf('@') + 1
  const [user, hosts] = [authority.slice(0, at), authority.slice(at)]
  const query = new Query(search)
  const addresses = hosts.split(',')
  const isFine =
    known.test(path) &&
    (kind === 'unix'
      ? hosts === ''
      : !(isOne && addresses.length > 1) &&
        addresses.every((host) => host !== '' && URL.canParse(`redis://${user}${host}`)))
  if (!isFine) return undefined
  const db = query.take('db', 'database')
  const family = query.take('family')
  const secure = isSecure || [query.take('tls'), query.take('ssl')].some(isTrue)
  const name = query.take('username', 'user')
  const password = query.take('password', 'pass')
  query.take('protocol')
  if ((db !== undefined && !/^\d{0,9}$/.test(db)) || (kind === 'unix' && secure)) return undefined
  if (kind === 'cluster' && Number(db) > 0) return undefined
  const kept = new URLSearchParams()
  const pairs = own.map((each) => [each, query.take(each, each.replace('User', 'Username'))] as const)
  for (const [each, given] of pairs) if (given) kept.set(each, given)
  if (family === '4' || family === '6') kept.set('family', family)
  else if (family !== undefined && family !== '0') query.ignored.add('family')
  if (kind === 'unix' && Number(db) > 0) kept.set('db', String(Number(db)))
  query.tell(field)
  const encoded = (part: string | undefined) => (part ? encodeURIComponent(part) : '')
  const asked = name || password ? `${encoded(name)}${password ? `:${encoded(password)}` : ''}@` : ''
  const scheme = `redis${secure ? 's' : ''}${kind === 'server' ? '' : `+${kind}`}`
  // URLSearchParams writes a space as a plus sign, which only forms decode.
  const rest = kept.size > 0 ? `?${kept.toString().replaceAll('+', '%20')}` : ''
  return `${scheme}://${user || asked}${hosts}${kind === 'unix' ? path : pathWith(path, known, db)}${rest}`
}

/** With the database of the query, if the path has none. */
function pathWith(path: string, known: RegExp, db: string | undefined): string {
  const bare = path.replace(/\/+$/, '')
  const own = known.exec(path)?.[1]
  return own || !db || Number(db) === 0 ? bare : `${bare}/${Number(db)}`
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(|1|true|yes|on|required)$/i.test(value)
}

/** A URL's query. */
class Query {
  readonly ignored = new Set<string>()
  readonly #pairs = new Map<string, string>()

  constructor(search: string) {
    // A plus sign stands for itself in a password.
    for (const [name, value] of new URLSearchParams(search.replaceAll('+', '%2B')))
      this.#pairs.set(name, value)
  }

  /** The value of the first of these names that is there. */
  take(...names: string[]): string | undefined {
    const name = names.find((each) => this.#pairs.has(each))
    const value = name === undefined ? undefined : this.#pairs.get(name)
    for (const each of names) this.#pairs.delete(each)
    return value
  }

  /** Warns of the parameters that were not used. */
  tell(field: string): void {
    for (const name of this.#pairs.keys()) this.ignored.add(name)
    if (this.ignored.size === 0) return
    const names = [...this.ignored].filter((name) => ELSEWHERE.has(name))
    const others = this.ignored.size - names.length
    const more = others === 0 ? [] : [names.length === 0 ? `${others} that are not known` : `${others} more`]
    warnOnce(
      'TIDEMARK_URL',
      `${field}: these parameters of the URL are for other clients and change nothing here: ` +
        `${[...names, ...more].join(', ')}. What createEngine takes is an option of it (docs/operations.md)`,
    )
  }
}
