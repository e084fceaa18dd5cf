/**
 * Reads from the options of a client of `redis` (4, 5, 6) or `ioredis` (5, 6) which Redis it uses. The client itself is not
 * touched. Neither package is a dependency, so this module only knows the shape of their objects.
 */

import { types } from 'node:util'
import type { TlsOptions } from '../../index'
import type { Provider } from '../options/credentials'

/** A Redis, in the form of an engine's options, and the client's key prefix. */
export interface Target {
  url: string
  /** Only if there are options beside using TLS. */
  tls?: TlsOptions
  credentials?: Provider
  keyPrefix: string
}

type Options = Readonly<Record<string, unknown>>

interface Server {
  host: string
  port: number
}

interface Account {
  /** Options of `node:tls`, or true. */
  tls: unknown
  username: unknown
  password: unknown
}

interface Description {
  kind?: 'sentinel' | 'cluster'
  servers: Server[]
  /** The path of a Unix socket, instead of servers. */
  socket?: unknown
  account: Account
  credentials?: Provider | undefined
  family?: unknown
  path?: unknown[]
  query?: Record<string, unknown>
  keyPrefix?: unknown
}

/** Where a client connects to; undefined if it is another kind of client, or does something that an engine cannot do. */
export function targetOf(client: unknown): Target | undefined {
  if (!isObject(client)) return undefined
  try {
    const description = isIoredis(client) ? ofIoredis(client) : ofNodeRedis(client)
    return description && targetFrom(description)
  } catch (error) {
    if (error instanceof Inexpressible) return undefined
    throw error
  }
}

/** Thrown where a client's options go beyond an engine's. */
class Inexpressible extends Error {}

function isIoredis(client: Options): boolean {
  return typeof client.defineCommand === 'function'
}

function ofIoredis(client: Options): Description | undefined {
  const options = record(client.options)
  if (client.isCluster === true) return ofIoredisCluster(client, options)
  // Look-alikes for tests connect to nothing.
  if (!isObject(client.connector)) return undefined
  demand(!options.Connector && !options.natMap)
  const { keyPrefix, db, family, path: socket } = options
  if (!options.sentinels) {
    const servers = socket ? [] : [serverOf(options)]
    return { servers, socket, account: accountOf(options), path: [db], family, keyPrefix }
  }
  demand(Array.isArray(options.sentinels) && options.role !== 'slave')
  const account = accountOf(options)
  // Either all servers use TLS, with the same certificates, or none does.
  const sentinelTls =
    options.sentinelTLS ?? (options.enableTLSForSentinelMode === true ? options.tls : undefined)
  const same = [sentinelTls, account.tls].map((tls) => JSON.stringify(tls ? tlsOf(tls) : null))
  demand(same[0] === same[1])
  return {
    kind: 'sentinel',
    servers: options.sentinels.map((node: unknown) => serverOf(record(node), 26379)),
    account,
    path: [options.name, db],
    family,
    query: { sentinelUser: options.sentinelUsername, sentinelPassword: options.sentinelPassword },
    keyPrefix,
  }
}

function ofIoredisCluster(client: Options, options: Options): Description {
  const redis = record(options.redisOptions)
  demand(Array.isArray(client.startupNodes) && !options.natMap && !redis.natMap)
  const servers = client.startupNodes.map((node: unknown) => {
    if (isObject(node)) return serverOf(node)
    if (/^\d+$/.test(String(node))) return serverOf({ port: node })
    const { hostname, port } = parsed(String(node).replace(/^(?!.*:\/\/)/, 'redis://'))
    return serverOf({ host: hostname, port })
  })
  return {
    kind: 'cluster',
    servers,
    account: accountOf(redis),
    family: redis.family,
    keyPrefix: options.keyPrefix || redis.keyPrefix,
  }
}

function ofNodeRedis(client: Options): Description | undefined {
  const methods = ['sendCommand', 'duplicate', 'publish', 'connect']
  if (!methods.every((name) => typeof client[name] === 'function')) return undefined
  const cluster = record(client._options)
  if (Array.isArray(cluster.rootNodes)) {
    demand(!cluster.nodeAddressMap && cluster.rootNodes.length > 0)
    const nodes = cluster.rootNodes.map((node: unknown) =>
      ofNode({ ...record(cluster.defaults), ...record(node) }),
    )
    return { ...(nodes[0] as Description), kind: 'cluster', servers: nodes.flatMap((node) => node.servers) }
  }
  // Sentinels and older clusters do not expose their options. Version 4 has no options if it got none.
  if (typeof client.isOpen !== 'boolean' || !('options' in client)) return undefined
  const options = record(client.options)
  return { ...ofNode(options), path: [options.database] }
}

/** One server's options; a client has taken its URL apart, a cluster has not. */
function ofNode(options: Options): Description {
  const socket = record(options.socket)
  const url = typeof options.url === 'string' ? parsed(options.url) : undefined
  const account = accountOf({
    tls: (socket.tls ?? url?.protocol === 'rediss:') && socket,
    username: options.username ?? decoded(url?.username),
    password: options.password ?? decoded(url?.password),
  })
  const servers = socket.path ? [] : [serverOf({ host: url?.hostname, port: url?.port, ...socket })]
  // Versions 5 and 6 make a provider of a user name and a password, too.
  const provider = account.password === undefined ? options.credentialsProvider : undefined
  return {
    servers,
    socket: socket.path,
    account,
    credentials: provider ? asking(provider) : undefined,
    family: socket.family,
  }
}

const askers = new WeakMap<object, Provider>()

/** The function that an engine calls instead: always the same one for the same provider. */
function asking(provider: unknown): Provider {
  const { type, credentials } = record(provider)
  demand(isObject(provider) && type === 'async-credentials-provider' && typeof credentials === 'function')
  const known = askers.get(provider) ?? ((() => credentials.call(provider)) as Provider)
  askers.set(provider, known)
  return known
}

/** No error of this shows the text: it may hold a password. */
function parsed(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  demand(url)
  return url
}

/** The same: a text that cannot be decoded is not shown in an error either. */
function decoded(text: string | undefined): string | undefined {
  try {
    return text ? decodeURIComponent(text) : undefined
  } catch {
    throw new Inexpressible()
  }
}

function accountOf({ tls, username, password }: Options): Account {
  return { tls, username, password }
}

function serverOf({ host, port }: Options, defaultPort = 6379): Server {
  return { host: String(host || 'localhost').replace(/^\[(.*)\]$/, '$1'), port: Number(port || defaultPort) }
}

function targetFrom({ kind, servers, socket, account, path = [], query = {}, ...rest }: Description): Target {
  const { username, password } = account
  const tls = account.tls ? tlsOf(account.tls) : undefined
  const encoded = (value: unknown) => encodeURIComponent(String(value))
  const user =
    username || password
      ? `${username ? encoded(username) : ''}${password ? `:${encoded(password)}` : ''}@`
      : ''
  const hosts = servers.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
  const parts = path.filter((part) => part && part !== '0').map((part) => `/${part}`)
  // 4 is the default of ioredis: such a client would accept any address.
  const family = rest.family === 6 ? 6 : undefined
  const asked = socket ? { db: path[0] } : { ...query, family }
  const search = Object.entries(asked).flatMap(([name, value]) =>
    value ? [`${name}=${encoded(value)}`] : [],
  )
  const scheme = `redis${tls ? 's' : ''}${socket ? '+unix' : kind ? `+${kind}` : ''}`
  demand(!socket || (typeof socket === 'string' && socket.startsWith('/') && !tls))
  const where = socket ? encodeURI(String(socket)).replace(/[?#]/g, encodeURIComponent) : parts.join('')
  const target: Target = {
    url: `${scheme}://${user}${hosts.join(',')}${where}${search.length > 0 ? '?' : ''}${search.join('&')}`,
    keyPrefix: rest.keyPrefix ? String(rest.keyPrefix) : '',
  }
  if (tls && Object.keys(tls).length > 0) target.tls = tls
  if (rest.credentials) target.credentials = rest.credentials
  return target
}

/** The options that an engine supports too. */
const SHARED = ['ca', 'cert', 'key', 'passphrase', 'servername', 'rejectUnauthorized'] as const

function tlsOf(tls: unknown): TlsOptions {
  const options = record(tls)
  for (const name of ['pfx', 'checkServerIdentity', 'secureContext', 'ALPNProtocols']) demand(!options[name])
  const given = SHARED.filter((name) => options[name] !== undefined && options[name] !== null)
  const { ca, ...rest } = Object.fromEntries(given.map((name) => [name, options[name]]))
  if (rest.servername === '') delete rest.servername
  if (rest.rejectUnauthorized === true) delete rest.rejectUnauthorized
  for (const name of ['cert', 'key'] as const) demand(!rest[name] || isPem(rest[name]))
  const authorities = ca ? [ca].flat() : []
  demand(authorities.every(isPem))
  return authorities.length > 0 ? { ca: authorities, ...rest } : rest
}

function isPem(value: unknown): value is string | Uint8Array {
  if (typeof value !== 'string' && !types.isUint8Array(value)) return false
  return Buffer.from(value as string).includes('-----BEGIN ')
}

function record(value: unknown): Options {
  return isObject(value) ? value : {}
}

function demand(condition: unknown): asserts condition {
  if (!condition) throw new Inexpressible()
}

function isObject(value: unknown): value is Options {
  return typeof value === 'object' && value !== null
}
