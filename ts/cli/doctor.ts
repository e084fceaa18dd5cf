import { randomUUID } from 'node:crypto'
import type { Producer, Subscription } from '../../index'
import { Engine } from '../core/engine'
import { TidemarkError } from '../errors/errors'
import { loadNative, type Rights } from '../native/native'
import { hasServer } from '../options/url'
import { type Command, type Context, EXIT } from './command'
import { bytes } from './output'
import { packageInfo } from './package'

/** The result of one check. */
interface Finding {
  check: string
  status: 'ok' | 'warning' | 'failure'
  found: string
  /** What to do about a problem. */
  advice?: string
}

const MARKS = {
  ok: ['green', '✓'],
  warning: ['yellow', '!'],
  failure: ['red', '✗'],
} as const

const MIN_REDIS = [6, 2]
const MIN_VALKEY = [7, 2]
const ROUND_TRIPS = 50
/** Above this round trip, readers notice the delay of a token that is written alone. */
const SLOW_MS = 20

export const doctor: Command = {
  summary: 'Check the installation, the store and the rights on it.',
  args: '',
  arity: [0, 0],
  options: {},
  details: `Produces, reads, stops and removes a stream of its own, named tidemark-doctor-… Exits with 1 when
something does not work, with 0 when there are only warnings.`,
  needsNoUrl: true,
  async run(context) {
    const { out } = context
    let code: number = EXIT.ok
    for await (const finding of findings(context)) {
      if (finding.status === 'failure') code = EXIT.failed
      if (out.json) out.value(finding)
      else {
        const [colour, mark] = MARKS[finding.status]
        out.line(`${out.style(colour, mark)} ${finding.check.padEnd(18)} ${finding.found}`)
        if (finding.advice !== undefined)
          out.line(`  ${''.padEnd(18)} ${out.style('dim', `→ ${finding.advice}`)}`)
      }
    }
    return code
  },
}

async function* findings(context: Context): AsyncGenerator<Finding> {
  yield node()
  yield native()
  yield store(context)
  const reached = await connection(context)
  yield reached
  if (reached.status === 'failure') return
  yield* server(context)
  yield await latency(context)
  yield* rights(context)
  yield* life(context)
}

function node(): Finding {
  const { engines } = packageInfo()
  const least = Number(/\d+/.exec(engines.node)?.[0])
  const found = `${process.version}, ${process.platform}-${process.arch}`
  if (Number(process.versions.node.split('.')[0]) >= least) return { check: 'Node.js', status: 'ok', found }
  return { check: 'Node.js', status: 'failure', found, advice: `use Node.js ${least} or newer` }
}

function native(): Finding {
  const [binary, { version }] = [loadNative().version(), packageInfo()]
  const check = 'native library'
  if (binary === version) return { check, status: 'ok', found: `version ${binary}` }
  const found = `version ${binary} in a package of version ${version}`
  return { check, status: 'failure', found, advice: 'remove node_modules and install again' }
}

function store({ address }: Context): Finding {
  if (hasServer(address)) return { check: 'store', status: 'ok', found: address }
  return {
    check: 'store',
    status: 'warning',
    found: `${address} (this process alone)`,
    advice: 'for more than one process set TIDEMARK_URL, REDIS_URL or KV_URL, or give --url',
  }
}

async function connection({ engine }: Context): Promise<Finding> {
  const begin = performance.now()
  try {
    await engine.connect()
    return { check: 'connection', status: 'ok', found: `in ${milliseconds(performance.now() - begin)}` }
  } catch (error) {
    return failed('connection', error, 'check host, port, TLS (rediss:), user and password, and firewalls')
  }
}

async function* server({ engine }: Context): AsyncGenerator<Finding> {
  let text: string | null
  try {
    text = await engine.info()
  } catch (error) {
    yield {
      ...failed('server', error, 'allow INFO to this user to have the server checked'),
      status: 'warning',
    }
    return
  }
  if (text === null) return
  const info = new Map(
    text.split(/\r?\n/).map((line) => line.split(/:(.*)/s).slice(0, 2) as [string, string]),
  )
  yield serverVersion(info)
  yield eviction(info)
  yield persistence(info)
}

type Info = ReadonlyMap<string, string>

function serverVersion(info: Info): Finding {
  const valkey = info.get('valkey_version')
  const [name, version, least] = valkey
    ? ['Valkey', valkey, MIN_VALKEY]
    : ['Redis', info.get('redis_version') ?? '', MIN_REDIS]
  const mode = info.get('redis_mode') ?? 'standalone'
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [leastMajor = 0, leastMinor = 0] = least
  const found = `${name} ${version}, ${mode}`
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) {
    return { check: 'server', status: 'ok', found }
  }
  return { check: 'server', status: 'failure', found, advice: `use ${name} ${least.join('.')} or newer` }
}

function eviction(info: Info): Finding {
  const policy = info.get('maxmemory_policy') ?? 'unknown'
  const [limit, used] = [Number(info.get('maxmemory') ?? 0), Number(info.get('used_memory') ?? 0)]
  const evicted = Number(info.get('evicted_keys') ?? 0)
  const check = 'maxmemory-policy'
  const found = `${policy}, ${bytes(used)} of ${limit === 0 ? 'unlimited' : bytes(limit)} used, ${evicted} keys evicted`
  if (limit > 0 && used > 0.9 * limit) {
    const advice = 'the memory is nearly full: shorten the TTLs, run tidemark cleanup, or raise maxmemory'
    return { check, status: 'warning', found, advice }
  }
  if (policy.startsWith('allkeys-')) {
    const advice =
      'set noeviction, or a volatile- policy if losing old answers is acceptable: live ones may be evicted'
    return { check, status: 'warning', found, advice }
  }
  if (evicted > 0) {
    return {
      check,
      status: 'warning',
      found,
      advice: 'evicted streams are gaps to their readers: raise maxmemory',
    }
  }
  return { check, status: 'ok', found }
}

function persistence(info: Info): Finding {
  const check = 'persistence'
  const aof = info.get('aof_enabled') === '1'
  if (info.get('rdb_last_bgsave_status') === 'err' || (aof && info.get('aof_last_write_status') === 'err')) {
    const found = 'the last write to disk failed'
    return { check, status: 'failure', found, advice: "see the server's log; it may refuse writes (MISCONF)" }
  }
  if (aof) return { check, status: 'ok', found: 'append-only file' }
  const advice = 'a restart loses finished answers; set appendonly yes to keep them'
  return { check, status: 'warning', found: 'no append-only file', advice }
}

async function latency({ engine }: Context): Promise<Finding> {
  const name = `tidemark-doctor-${randomUUID()}`
  const times: number[] = []
  try {
    for (let trip = 0; trip < ROUND_TRIPS; trip++) {
      const begin = performance.now()
      await engine.status(name)
      times.push(performance.now() - begin)
    }
  } catch (error) {
    return failed('latency', error, RIGHTS)
  }
  times.sort((a, b) => a - b)
  const [median, slowest] = [times[ROUND_TRIPS / 2] ?? 0, times.at(-1) ?? 0]
  const found = `${milliseconds(median)} a round trip, ${milliseconds(slowest)} at most, of ${ROUND_TRIPS}`
  if (median < SLOW_MS) return { check: 'latency', status: 'ok', found }
  return {
    check: 'latency',
    status: 'warning',
    found,
    advice: 'bring the store and this process into one region',
  }
}

const RIGHTS = 'give the user the rights that docs/operations.md lists'

/** What does not work without the rights for this; the keys are the words in `src/store/redis/rights.txt`. */
const NEEDS: Record<string, readonly [status: Finding['status'], without: string]> = {
  groups: ['warning', 'consume, finished, deadLetters and onFinish do not work without'],
  memory: ['warning', 'sampleMemory does not work without'],
  inspector: ['warning', 'the inspector does not tell which streams other processes read without'],
  doctor: ['warning', 'the server cannot be checked without'],
  sentinel: ['warning', 'a replica may be taken for the primary without'],
  sentinels: ['warning', 'a sentinel that has missed a failover is believed without'],
  prefixes: ['ok', 'only needed for a keyPrefix with : or % that older versions have used:'],
  upgrade: ['ok', 'only needed where tidemark/message-stream takes over from its predecessor:'],
}

/** Checks the right to run every command that Tidemark uses. */
async function* rights({ engine }: Context): AsyncGenerator<Finding> {
  const check = 'rights'
  let found: Rights | null
  try {
    found = await engine.rights()
  } catch (error) {
    yield failed(check, error, RIGHTS)
    return
  }
  if (found === null) return
  const { tried, lacking } = found
  if (lacking.every(({ need }) => NEEDS[need]?.[0] === 'ok')) {
    yield { check, status: 'ok', found: `all ${tried - lacking.length} that are needed` }
  }
  for (const need of new Set(lacking.map((lack) => lack.need))) {
    const [status, without] = NEEDS[need] ?? ['failure', 'it does not work without']
    const missing = lacking.filter((lack) => lack.need === need)
    const servers = [...new Set(missing.flatMap((lack) => lack.servers))].join(', ')
    const names = missing.map(({ right }) => right).join(' ')
    const finding: Finding = { check, status, found: `${without} ${names}` }
    if (status !== 'ok') {
      finding.advice = `ACL SETUSER <user> ${names}, on ${servers}; docs/operations.md has the whole list`
    }
    yield finding
  }
}

/** The life of a stream, seen from two engines: each step needs other rights, on keys and channels too. */
async function* life({ engine, config }: Context): AsyncGenerator<Finding> {
  const streamId = `tidemark-doctor-${randomUUID()}`
  const other = new Engine(config)
  let producer: Producer | undefined
  let subscription: Subscription | undefined
  const steps: [check: string, run: () => Promise<string>][] = [
    [
      'scripts',
      async () => {
        producer = await engine.produce(streamId, { ttl: { active: '1m', done: '1m' } })
        await producer.append('one')
        return 'a stream was produced'
      },
    ],
    [
      'pub/sub',
      async () => {
        subscription = other.subscribe(streamId, { wait: 0 })
        await subscription.next()
        const begin = performance.now()
        producer?.write('two')
        await subscription.next()
        return `a chunk reached another engine in ${milliseconds(performance.now() - begin)}`
      },
    ],
    [
      'stop',
      async () => {
        const begin = performance.now()
        const told = new Promise((resolve) =>
          producer?.signal.addEventListener('abort', resolve, { once: true }),
        )
        await other.stop(streamId, 'doctor')
        await told
        const found = `reached its producer in ${milliseconds(performance.now() - begin)}`
        await producer?.complete()
        return found
      },
    ],
  ]
  try {
    for (const [check, run] of steps) {
      try {
        yield { check, status: 'ok', found: await within(run()) }
      } catch (error) {
        yield failed(check, error, RIGHTS)
        return
      }
    }
    try {
      yield {
        check: 'memory usage',
        status: 'ok',
        found: `${bytes((await engine.memoryOf(streamId)) ?? 0)} for a stream`,
      }
    } catch (error) {
      const advice = 'allow MEMORY USAGE to this user, or leave out sampleMemory'
      yield { ...failed('memory usage', error, advice), status: 'warning' }
    }
  } finally {
    await subscription?.return()
    await engine.delete(streamId).catch(() => {})
    await other.close()
  }
}

const PATIENCE_MS = 10_000

async function within<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing happened for ${PATIENCE_MS / 1000} s`)), PATIENCE_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function failed(check: string, error: unknown, advice: string): Finding {
  const code = error instanceof TidemarkError ? ` (${error.code})` : ''
  return { check, status: 'failure', found: `${(error as Error).message}${code}`, advice }
}

function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}
