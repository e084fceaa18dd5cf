/**
 * What the options of a client of `redis` (4, 5, 6) or `ioredis` (5, 6) say about its Redis. The client itself is not
 * touched. Neither package is a dependency, so all that is known here is what their objects look like.
 */

/** A Redis, as an engine is told of it, and what the client puts in front of its keys. */
export interface Place {
  url: string
  /** Certificates in PEM, if not the well-known authorities are to be trusted. */
  ca?: string | undefined
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
  account: Account
  path?: unknown[]
  query?: Record<string, unknown>
  keyPrefix?: unknown
}

/** Where a client connects to; undefined when it is no such client, or does something that an engine cannot do. */
export function placeOf(client: unknown): Place | undefined {
  if (!isObject(client)) return undefined
  try {
    const description = isIoredis(client) ? ofIoredis(client) : ofNodeRedis(client)
    return description && placed(description)
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
  demand(!options.path && !options.Connector && !options.natMap)
  const { keyPrefix, db } = options
  if (!options.sentinels)
    return { servers: [serverOf(options)], account: accountOf(options), path: [db], keyPrefix }
  demand(Array.isArray(options.sentinels) && options.role !== 'slave')
  const account = accountOf(options)
  // All speak TLS or none, and with the same certificates.
  const sentinelTls =
    options.sentinelTLS ?? (options.enableTLSForSentinelMode === true ? options.tls : undefined)
  demand(
    Boolean(sentinelTls) === Boolean(account.tls) && authorities(sentinelTls) === authorities(account.tls),
  )
  return {
    kind: 'sentinel',
    servers: options.sentinels.map((node: unknown) => serverOf(record(node), 26379)),
    account,
    path: [options.name, db],
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
    const { hostname, port } = new URL(String(node).replace(/^(?!.*:\/\/)/, 'redis://'))
    return serverOf({ host: hostname, port })
  })
  return {
    kind: 'cluster',
    servers,
    account: accountOf(redis),
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
  // Sentinels and older clusters show nothing of their options. Version 4 has none when it was given none.
  if (typeof client.isOpen !== 'boolean' || !('options' in client)) return undefined
  const options = record(client.options)
  return { ...ofNode(options), path: [options.database] }
}

/** One server's options; a client has taken its URL apart, a cluster has not. */
function ofNode(options: Options): Description {
  const socket = record(options.socket)
  const url = typeof options.url === 'string' ? new URL(options.url) : undefined
  const decoded = (text: string | undefined) => (text ? decodeURIComponent(text) : undefined)
  const account = accountOf({
    tls: (socket.tls ?? url?.protocol === 'rediss:') && socket,
    username: options.username ?? decoded(url?.username),
    password: options.password ?? decoded(url?.password),
  })
  // Versions 5 and 6 make a provider of a user name and a password, too.
  demand(!socket.path && !(options.credentialsProvider && account.password === undefined))
  return { servers: [serverOf({ host: url?.hostname, port: url?.port, ...socket })], account }
}

function accountOf({ tls, username, password }: Options): Account {
  return { tls, username, password }
}

function serverOf({ host, port }: Options, defaultPort = 6379): Server {
  return { host: String(host || 'localhost').replace(/^\[(.*)\]$/, '$1'), port: Number(port || defaultPort) }
}

function placed({ kind, servers, account, path = [], query = {}, keyPrefix }: Description): Place {
  const { tls, username, password } = account
  const encoded = (value: unknown) => encodeURIComponent(String(value))
  const user =
    username || password
      ? `${username ? encoded(username) : ''}${password ? `:${encoded(password)}` : ''}@`
      : ''
  const hosts = servers.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
  const parts = path.filter((part) => part && part !== '0').map((part) => `/${part}`)
  const search = Object.entries(query).flatMap(([name, value]) =>
    value ? [`${name}=${encoded(value)}`] : [],
  )
  const scheme = `redis${tls ? 's' : ''}${kind ? `+${kind}` : ''}`
  demand(servers.every(({ host }) => namesItself(tls, host)))
  return {
    url: `${scheme}://${user}${hosts.join(',')}${parts.join('')}${search.length > 0 ? '?' : ''}${search.join('&')}`,
    ca: authorities(tls),
    keyPrefix: keyPrefix ? String(keyPrefix) : '',
  }
}

/** The authorities that are trusted; an engine has nothing else to say about TLS. */
function authorities(tls: unknown): string | undefined {
  const options = record(tls)
  for (const name of ['cert', 'key', 'pfx', 'checkServerIdentity', 'secureContext']) demand(!options[name])
  demand(options.rejectUnauthorized !== false)
  if (!options.ca) return undefined
  const ca = [options.ca].flat().map(String).join('\n')
  demand(ca.includes('-----BEGIN CERTIFICATE-----'))
  return ca
}

/** Whether the server's certificate has to show the name that is connected to. */
function namesItself(tls: unknown, host: string): boolean {
  const { servername } = record(tls)
  return !servername || servername === host
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
