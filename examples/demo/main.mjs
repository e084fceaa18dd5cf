// `npm run demo`: an answer that survives reloads, second tabs, lost connections and the Stop button.

import { parseArgs } from 'node:util'
import { createEngine } from '../../dist/index.mjs'
import { serve } from './server.mjs'
import { openSource, UsageError } from './source.mjs'
import { tell } from './story.mjs'

const HELP = `Streams a text token by token to a web page that can be reloaded, opened twice, cut off and stopped.

  npm run demo                        a recorded answer with reasoning and a tool call
  npm run demo -- file.txt            a text of yours; also: some-program | npm run demo
  npm run demo -- --redis             with a Redis and two servers of its own, and buttons that kill them
  npm run demo -- --headless          the same without a browser: plays a story, checks it, exits 0 or 1

Options
  --rate N      tokens a second (default: 50; with --headless as many as make it short)
  --help

Environment
  PORT          the server's port (default: the first free one from 4200)
  HOST          the address it listens on (default 127.0.0.1; 0.0.0.0 lets other devices in)
  REDIS_URL     keeps the answers in Redis, for any number of these servers (default: in memory)
`

const FIRST_PORT = 4200

/** Short, so that one need not wait long to see what becomes of a killed server's answer. */
const LEASE = '5s'

/** @returns {Promise<number>} the exit code */
async function main() {
  const { headless, help, rate, file, ports, redis: ownRedis } = readArguments()
  if (help) {
    console.log(HELP)
    return 0
  }
  if (ownRedis) return (await import('./fleet.mjs')).runFleet(process.argv.slice(2), ports)
  // npm runs scripts in the package's folder, whatever folder the user is in.
  const directory = process.env.npm_lifecycle_event === 'demo' ? process.env.INIT_CWD : undefined
  const source = await openSource(file, directory ?? process.cwd())
  const engine = createEngine({ lease: LEASE })
  const redis = redisName()
  const silence = setTimeout(() => console.log(`trying to reach ${redis} …`), 500)
  try {
    await engine.connect().finally(() => clearTimeout(silence))
    if (!headless) return await runServer(engine, source, rate ?? 50, ports, redis)
    return (await tell({ engine, source, rate, redis })) ? 0 : 1
  } finally {
    await engine.close()
  }
}

/** Until Ctrl-C. */
async function runServer(engine, source, rate, ports, redis) {
  const say = (/** @type {string} */ line) => console.log(line)
  const host = process.env.HOST || '127.0.0.1'
  const store = redis === undefined ? 'memory' : 'Redis'
  const { send } = process
  // One of several, which somebody else speaks for.
  const restartRedis = send && (() => send.call(process, 'restart redis'))
  const server = await serve({ engine, source, rate, ports, host, store, say, redis, restartRedis })
  if (send) {
    send.call(process, { port: server.port, url: server.url, source: source.name })
    process.on('disconnect', () => process.exit(1))
    await ending()
    await server.close()
    process.disconnect?.()
    return 0
  }
  say(`\nTidemark demo  ${server.url}\n`)
  say(`  streams  ${source.name}, about ${rate} tokens/s`)
  if (redis === undefined) {
    say('  store    the memory of this process')
    say('           REDIS_URL=redis://127.0.0.1:6379 npm run demo   shares the answers between servers')
  } else {
    say(`  store    Redis at ${redis}`)
    say(
      `           PORT=${server.port + 1} REDIS_URL=… npm run demo   is a second server: start an answer on one,`,
    )
    say('           open the same #id on the other, follow and stop it there')
  }
  say('  try      reload in the middle, open a second reader or tab, drop the line, press Stop')
  if (redis === undefined)
    say('           npm run demo -- --redis   has a Redis and two servers that you can kill')
  say('  Ctrl-C   closes it\n')

  await ending()
  say('\nClosing: answers that run here are stopped, their readers are told.')
  await server.close()
  return 0
}

/** Resolves when the process is told to end; told again, it does so at once. */
async function ending() {
  const signal = await new Promise((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, resolve)
  })
  process.once(signal, () => process.exit(130))
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        headless: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        rate: { type: 'string' },
        redis: { type: 'boolean' },
      },
    })
    const [file, ...more] = positionals
    if (more.length > 0) throw new UsageError(`one file at a time, please: ${positionals.join(', ')}`)
    return { ...values, rate: rateOf(values.rate), file, ports: portsOf(process.env.PORT) }
  } catch (error) {
    if (!error.code?.startsWith('ERR_PARSE_ARGS')) throw error
    throw new UsageError(error.message.split(/\.\s/)[0])
  }
}

function rateOf(/** @type {string | undefined} */ text) {
  if (text === undefined) return undefined
  const rate = Number(text)
  if (rate > 0 && rate <= 1e6) return rate
  throw new UsageError(`--rate takes a number of tokens a second up to 1000000, not '${text}'`)
}

function portsOf(/** @type {string | undefined} */ text) {
  if (!text) return Array.from({ length: 100 }, (_, index) => FIRST_PORT + index)
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return [port]
  throw new UsageError(`PORT takes a number up to 65535, not '${text}'`)
}

/** Where the engine finds its Redis, without credentials; undefined for memory. */
function redisName() {
  const { TIDEMARK_URL, REDIS_URL, KV_URL } = process.env
  const url = TIDEMARK_URL || REDIS_URL || KV_URL
  if (!url || url.startsWith('memory:')) return undefined
  return URL.canParse(url) && new URL(url).host ? new URL(url).host : 'the address given'
}

try {
  process.exitCode = await main()
} catch (error) {
  if (error.code === 'EADDRINUSE') error.message = `port ${error.port} is in use; give another one as PORT`
  const isUsage = error instanceof UsageError || error.code === 'ERR_INVALID_ARGUMENT'
  console.error(isUsage ? `${error.message} (npm run demo -- --help)` : (error.message ?? error))
  process.exitCode = isUsage ? 2 : 1
}
