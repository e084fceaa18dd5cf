import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { Engine } from '../core/engine'
import { Refusal, refusal } from '../durable-streams/answers'
import { answerer } from '../durable-streams/handler'
import type { SubscriptionOptions } from '../durable-streams/subscriptions/options'
import { type Answer, type Asked, webHandler } from '../http/asked'
import { toNodeListener } from '../http/node-listener'
import { isSecret } from '../util/secret'
import { now } from '../util/timers'
import { type Command, type Context, count, EXIT, text, UsageError, type Values } from './command'
import { listen, originOf, portOf } from './listening'

const DEFAULT_PORT = 4437
/** Longer than clients and proxies keep idle connections. */
const KEEP_ALIVE_MS = 75_000
/** How long responses under way may take at the end. */
const FAREWELL_MS = 5000
/** So long the same error is not written again. */
const QUIET_MS = 60_000
const MOST_SAID = 100
/** How often connections are closed then that have become idle. */
const SWEEP_MS = 50

export const serve: Command = {
  summary: 'Serve streams over HTTP, by the Durable Streams protocol.',
  args: '',
  arity: [0, 0],
  options: {
    port: {
      type: 'string',
      value: 'number',
      help: `where it listens; default ${DEFAULT_PORT}, 0 is any free one`,
    },
    host: {
      type: 'string',
      value: 'address',
      help: 'default 127.0.0.1; another one needs a token or --open',
    },
    'token-file': {
      type: 'string',
      value: 'file',
      help: 'whose first line is the token; else it is TIDEMARK_TOKEN in the environment',
    },
    open: { type: 'boolean', help: 'whoever can reach it may do everything' },
    subscriptions: {
      type: 'boolean',
      help: 'wakes workers when streams grow; webhooks also need --webhook-keys',
    },
    'webhook-keys': {
      type: 'string',
      value: 'file',
      help: 'Ed25519 private keys in PEM; the first one signs webhooks',
    },
    'webhook-localhost': { type: 'boolean', help: 'allows webhooks to http://localhost, for development' },
    origin: {
      type: 'string',
      value: 'url',
      help: 'what the URLs that workers get begin with; default is that of the request that subscribes',
    },
    'long-poll-ms': { type: 'string', value: 'number', help: 'how long a long poll waits; default 20000' },
    'sse-ms': { type: 'string', value: 'number', help: 'how long an event stream lasts; default 60000' },
  },
  details: `Streams are at /v1/stream/<id>, counters for Prometheus at /metrics. If there is a token, every request has to send it
(Authorization: Bearer …). Without one and without --open, only programs and pages of this machine are answered.
On SIGTERM or Ctrl-C it answers requests that wait, lets responses end, and exits.`,
  needsNoUrl: true,
  async run(context) {
    const { values, out, signal } = context
    const token = await tokenOf(text(values, 'token-file'))
    const host = text(values, 'host') ?? '127.0.0.1'
    const isOpen = values.open === true
    if (!isLoopback(host) && token === undefined && !isOpen) {
      throw new UsageError(
        '--host beyond this machine needs --token-file, TIDEMARK_TOKEN in the environment, or --open',
      )
    }
    const subscriptions = await subscriptionsOf(values)
    const over = new AbortController()
    const stopped = new Promise<void>((resolve) => {
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve())
      signal.addEventListener('abort', () => resolve())
    })
    const server = listener(context, { token, isOpen, subscriptions, signal: over.signal })
    const port = await listen(server, host, [portOf(text(values, 'port')) ?? DEFAULT_PORT])
    const address = originOf(host, port)
    if (out.json) out.value({ address })
    else out.line(`${address}/v1/stream/ on ${context.address}`)
    await stopped
    over.abort()
    await closed(server, context.engine)
    return EXIT.ok
  },
}

/** The options of subscriptions, if they are turned on. */
async function subscriptionsOf(values: Values): Promise<SubscriptionOptions | undefined> {
  const [file, origin] = [text(values, 'webhook-keys'), text(values, 'origin')]
  const allowLocalhost = values['webhook-localhost'] === true
  if (values.subscriptions !== true) {
    const isNeedless = file === undefined && origin === undefined && !allowLocalhost
    if (isNeedless) return undefined
    throw new UsageError('--webhook-keys, --webhook-localhost and --origin are for --subscriptions')
  }
  const pem = file === undefined ? '' : await contentOf('webhook-keys', file)
  const keys = pem.match(/-----BEGIN [\s\S]*?-----END [^\n]*/g) ?? undefined
  if (file !== undefined && keys === undefined)
    throw new UsageError(`--webhook-keys ${file} has no keys in PEM`)
  return { keys, origin, allowLocalhost }
}

/** The token is no option: everybody who lists the machine's processes would see it. */
async function tokenOf(file: string | undefined): Promise<string | undefined> {
  const token = file === undefined ? process.env.TIDEMARK_TOKEN || undefined : await firstLine(file)
  if (token === undefined || /^[\x21-\x7e]+$/.test(token)) return token
  const where = file === undefined ? 'TIDEMARK_TOKEN' : `the first line of ${file}`
  throw new UsageError(`${where} is not a token: one or more visible ASCII characters without spaces`)
}

async function firstLine(file: string): Promise<string> {
  const content = await contentOf('token-file', file)
  return content.split('\n', 1)[0]?.trim() ?? ''
}

function contentOf(option: string, file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--${option} ${file} cannot be read: ${error.code}`)
  })
}

interface Guard {
  token: string | undefined
  isOpen: boolean
  subscriptions: SubscriptionOptions | undefined
  signal: AbortSignal
}

function listener({ engine, values }: Context, guard: Guard): Server {
  const allows = ({ headers }: Asked): boolean => {
    if (guard.token !== undefined) return isSecret(headers.get('authorization'), `Bearer ${guard.token}`)
    return guard.isOpen || isLocal(headers)
  }
  const options = {
    engine,
    longPollMs: count(values, 'long-poll-ms'),
    sseMs: count(values, 'sse-ms'),
    signal: guard.signal,
    subscriptions: guard.subscriptions,
    onError: complaining(),
  }
  const streams = answerer(options, (asked) => allows(asked) || forbidden(guard))
  const answered = async (asked: Asked): Promise<Answer | Response> => {
    if (asked.url.pathname !== '/metrics') return streams(asked)
    if (!allows(asked)) return { status: 401, headers: { 'WWW-Authenticate': 'Bearer' }, body: null }
    const headers = { 'Content-Type': 'text/plain; version=0.0.4' }
    return { status: 200, headers, body: engine.metrics({ format: 'prometheus' }) }
  }
  const handle = async (asked: Asked): Promise<Answer | Response> => {
    const found = await answered(asked)
    if (!guard.signal.aborted || found instanceof Response) return found
    // The client's next request is for another server.
    return { ...found, headers: { ...found.headers, Connection: 'close' } }
  }
  const server = createServer(toNodeListener(webHandler(handle)))
  // A client might send a request on an idle connection just as it is closed.
  server.keepAliveTimeout = KEEP_ALIVE_MS
  return server
}

/** Writes errors to stderr; the same one, which each request may have while the store is away, once in a while. */
function complaining(): (error: unknown) => void {
  const said = new Map<unknown, number>()
  return (error) => {
    const { code, message } = error as Partial<NodeJS.ErrnoException>
    const before = said.get(message)
    // The end of the server itself is an error of each request that it cuts short.
    if (code === 'ERR_CLOSED' || (before !== undefined && now() < before + QUIET_MS)) return
    // Some messages name a stream.
    if (said.size >= MOST_SAID) said.clear()
    said.set(message, now())
    process.stderr.write(`tidemark: ${message}\n`)
  }
}

function forbidden({ token }: Guard): Response {
  const status = token === undefined ? 403 : 401
  const { headers, body } = refusal(
    new Refusal(status, 'unauthorized', 'a token is needed', { 'WWW-Authenticate': 'Bearer' }),
  )
  return new Response(body as string, { status, headers })
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** Not from a page of another origin, nor under a host name of somebody else's (DNS rebinding). */
function isLocal(headers: Asked['headers']): boolean {
  const origin = headers.get('origin')
  // What most clients send, without parsing it.
  if (origin === null && /^(localhost|127\.0\.0\.1)(:\d+)?$/.test(headers.get('host') ?? '')) return true
  const names = [`http://${headers.get('host') ?? ''}`, ...(origin === null ? [] : [origin])]
  return names.every(
    (name) => URL.canParse(name) && isLoopback(new URL(name).hostname.replace(/^\[|\]$/g, '')),
  )
}

/** Lets responses under way end, for a time. The engine's end is the answer to the rest of them. */
function closed(server: Server, engine: Engine): Promise<void> {
  return new Promise((resolve) => {
    const sweeping = setInterval(() => server.closeIdleConnections(), SWEEP_MS)
    const cut = () => void setImmediate(() => server.closeAllConnections())
    const over = setTimeout(() => engine.close().then(cut, cut), FAREWELL_MS)
    server.close(() => {
      clearInterval(sweeping)
      clearTimeout(over)
      resolve()
    })
  })
}
