// The demo's web server: the page, a reader's event stream, the start and the stop button.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { inspector, toNodeListener } from '../../dist/inspector.mjs'
import { paced } from './source.mjs'

/**
 * @typedef {object} Options
 * @property {import('../../index.js').Engine} engine
 * @property {import('./source.mjs').Source} source what every answer says
 * @property {number} rate tokens a second
 * @property {number[]} ports tried in this order; 0 is any
 * @property {string} host
 * @property {'memory' | 'Redis'} store shown to the readers
 * @property {(line: string) => void} say
 * @property {(id: string, data: string) => void} [onWrite] sees each chunk that was written
 * @property {string} [redis] the name of the Redis, which tells servers that share their answers
 * @property {() => void} [restartRedis] if this demo may do that
 */

/** Below the idle time-outs of the usual proxies. */
const HEARTBEAT_MS = 15_000

/** How long a reader's browser waits before it connects again. */
const RETRY_MS = 500

/** How long a stream that nobody has started yet is waited for. */
const WAIT_MS = 3000

/** Errors that speak of the client's own doing, or of a stream. */
const HARMLESS = new Set([
  'ERR_INVALID_ARGUMENT',
  'ERR_ACTIVE',
  'ERR_NOT_FOUND',
  'ERR_GAP',
  'ERR_FAILED',
  'ERR_INTERRUPTED',
])

const TYPES = { html: 'text/html', css: 'text/css', mjs: 'text/javascript' }

/** The page's files, by their paths. */
const PAGE = new Map(
  ['index.html', 'style.css', 'main.mjs', 'reader.mjs', 'answer.mjs'].map((name) => [
    name === 'index.html' ? '/' : `/${name}`,
    new URL(`page/${name}`, import.meta.url),
  ]),
)

/** Other servers are looked for on so many ports below and above, for so long. */
const NEIGHBOURS = 3
const NEIGHBOUR_MS = 1000

/** @param {Options} options */
export async function serve({ engine, source, rate, ports, host, store, say, onWrite, redis, restartRedis }) {
  /** @type {Set<import('node:http').ServerResponse>} */
  const readers = new Set()
  /** @type {Map<string, Promise<void>>} */
  const answers = new Map()
  let port = 0
  const name = host.includes(':') ? `[${host}]` : host
  const stateEvent = () => event('state', { store, state: engine.state })

  /** Starts an answer on a stream. Once this resolves, the stream is there to be followed. */
  async function start(/** @type {string} */ id) {
    const metadata = { title: source.title, rate, port, pid: process.pid }
    const producer = await engine.produce(id, { metadata })
    const done = write(producer)
      .catch((error) => say(`${id}: ${error.message}`))
      .finally(() => answers.delete(id))
    answers.set(id, done)
  }

  /** The producer: one chunk for each part of the source, until it ends, fails or is stopped. */
  async function write(/** @type {import('../../index.js').Producer} */ producer) {
    const put = (/** @type {unknown} */ part) => {
      const data = JSON.stringify(part)
      const isBelowMark = producer.write(data)
      onWrite?.(producer.streamId, data)
      return isBelowMark
    }
    try {
      for await (const part of paced(source.parts(), rate, producer.signal)) {
        if (!put(part)) await producer.ready
      }
      await producer.complete()
    } catch (error) {
      if (!producer.signal.aborted) {
        // Its own words are for this server's output.
        await producer.fail('its source has failed')
        throw error
      }
      // Fenced, or the stream is lost: there is nothing left to write to.
      if (producer.signal.reason.code !== 'ERR_STOPPED') throw producer.signal.reason
      put({ type: 'abort' })
      await producer.complete()
    }
  }

  /** A reader: everything after its cursor, as server-sent events whose ids are cursors. */
  async function follow(
    /** @type {import('node:http').IncomingMessage} */ request,
    /** @type {import('node:http').ServerResponse} */ response,
    /** @type {string} */ id,
    /** @type {string | null} */ query,
  ) {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(`retry: ${RETRY_MS}\n\n${stateEvent()}`)
    const heartbeat = setInterval(() => response.write(': still here\n\n'), HEARTBEAT_MS)
    readers.add(response)
    const introduce = (/** @type {import('../../index.js').StreamStatus} */ status) => {
      const { firstSeq, lastSeq, state } = status
      response.write(
        event('about', {
          ...metadataOf(status),
          firstSeq,
          lastSeq,
          isLive: state === 'active',
          readFrom: port,
        }),
      )
    }
    try {
      // A browser that connects again by itself repeats the first address and adds what it has seen since.
      const from = request.headers['last-event-id'] || query || 'start'
      // While Redis is away nothing is known, and what this process writes can be read all the same.
      const known = () =>
        engine.status(id).catch((error) => {
          if (!error.retryable) throw error
        })
      // What is there before it reads is replayed, the rest is live.
      const before = await known()
      if (before) introduce(before)
      else if (before === null) response.write(event('missing', {}))
      const chunks = engine.subscribe(id, { from, signal: gone.signal, wait: WAIT_MS })
      let isIntroduced = before != null
      for await (const { seq, cursor, data } of chunks) {
        if (!isIntroduced) {
          isIntroduced = true
          const status = await known()
          if (status) introduce({ ...status, lastSeq: seq - 1 })
        }
        if (!response.write(event('chunk', { seq, data }, cursor))) {
          await once(response, 'drain', { signal: gone.signal })
        }
      }
      response.write(event('end', { outcome: chunks.outcome, reason: chunks.reason }))
    } catch (error) {
      if (!gone.signal.aborted && error.code !== 'ERR_CLOSED') response.write(ending(error, told(error)))
    } finally {
      clearInterval(heartbeat)
      readers.delete(response)
      response.end()
    }
  }

  const isLocal = ['127.0.0.1', 'localhost', '::1'].includes(host)
  // The answers are nobody's secret here.
  const inspect = toNodeListener(inspector({ engine, authorize: () => true, showData: true }))
  // A killed server is of interest where another one has its answers, and to nobody but its owner.
  const controls = { kill: store === 'Redis' && isLocal, restartRedis: restartRedis !== undefined }

  /** What the page knows before it reads: this server, and those that share its answers. */
  async function hello(/** @type {boolean} */ isAlone) {
    const peers = isAlone || store === 'memory' ? [] : await neighbours()
    return { port, store, redis, controls, peers }
  }

  /** Other servers of this demo on the same Redis. */
  async function neighbours() {
    const near = Array.from({ length: NEIGHBOURS }, (_, index) => [port + index + 1, port - index - 1]).flat()
    const found = near.map(async (each) => {
      try {
        const signal = AbortSignal.timeout(NEIGHBOUR_MS)
        const answer = await (await fetch(`http://${name}:${each}/hello?alone`, { signal })).json()
        return answer.redis === redis ? [each] : []
      } catch {
        return []
      }
    })
    return (await Promise.all(found)).flat()
  }

  /** What a client is told of an error: the words of ours and of the store's servers are for this server's output. */
  function told(/** @type {any} */ error) {
    if (HARMLESS.has(error.code) || error instanceof URIError) return error.message
    say(String(error))
    return error.retryable ? 'The store cannot be reached' : 'Something went wrong'
  }

  /** @type {import('node:http').RequestListener} */
  async function route(request, response) {
    const url = new URL(request.url ?? '/', 'http://demo')
    const what = `${request.method} ${url.pathname}`
    const file = request.method === 'GET' ? PAGE.get(url.pathname) : undefined
    const origin = request.headers.origin
    const isOurs = origin === undefined || hostOf(origin) === hostOf(`http://${request.headers.host}`)
    // A page of another server of this demo may read here, nobody else's may do anything.
    if (origin !== undefined && isOurs) response.setHeader('access-control-allow-origin', origin)
    if (!isOurs) {
      json(response, 403, { message: 'this is another page' })
    } else if (/^\/inspect(\/|$)/.test(url.pathname)) {
      inspect(request, response)
    } else if (file !== undefined) {
      const type = TYPES[/** @type {keyof TYPES} */ (file.pathname.split('.').at(-1))]
      const headers = { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' }
      response.writeHead(200, headers).end(await readFile(file))
    } else if (what === 'GET /hello') {
      json(response, 200, await hello(url.searchParams.has('alone')))
    } else if (what === 'POST /kill' && controls.kill) {
      // As `kill -9` would: nothing is told to anybody.
      response.on('finish', () => setTimeout(() => process.kill(process.pid, 'SIGKILL'), 50))
      json(response, 202, {})
    } else if (what === 'POST /restart-redis' && restartRedis) {
      restartRedis()
      json(response, 202, {})
    } else if (what.startsWith('GET /stream/')) {
      const id = decodeURIComponent(url.pathname.slice('/stream/'.length))
      await follow(request, response, id, url.searchParams.get('cursor'))
    } else if (what === 'POST /start') {
      const id = url.searchParams.get('id') ?? randomUUID().slice(0, 8)
      await start(id)
      json(response, 201, { id })
    } else if (what === 'POST /stop') {
      const result = await engine.stop(url.searchParams.get('id') ?? '', 'the Stop button was pressed')
      json(response, 200, { result })
    } else {
      json(response, 404, { message: `there is no ${what} here` })
    }
  }

  const server = createServer((request, response) => {
    Promise.resolve(route(request, response)).catch((error) => {
      if (!response.headersSent) json(response, statusOf(error), { code: error.code, message: told(error) })
      else response.destroy()
    })
  })
  port = await listen(server, host, ports)

  engine.on('state', (state, why) => {
    if (why) say(`${state}: ${why}`)
    for (const response of readers) response.write(stateEvent())
  })

  /** Stops the answers that run here, sends their readers the end, and closes everything. */
  async function close() {
    server.close()
    const running = [...answers]
    await Promise.allSettled(running.map(([id]) => engine.stop(id, 'the server was closed')))
    await Promise.race([
      Promise.all(running.map(([, done]) => done)),
      new Promise((resolve) => setTimeout(resolve, 2000).unref()),
    ])
    await engine.close()
    server.closeIdleConnections()
    setTimeout(() => server.closeAllConnections(), 200).unref()
  }

  return { url: `http://${name}:${port}`, port, close }
}

/** The title and so on that `start` has put there. */
function metadataOf(/** @type {import('../../index.js').StreamStatus} */ { metadata }) {
  return typeof metadata === 'object' ? metadata : {}
}

/** Without the port; nothing for what is no address. */
function hostOf(/** @type {string} */ origin) {
  return URL.canParse(origin) ? new URL(origin).hostname : ''
}

function statusOf(/** @type {any} */ error) {
  if (error instanceof URIError || error.code === 'ERR_INVALID_ARGUMENT') return 400
  if (error.code === 'ERR_ACTIVE') return 409
  return error.retryable ? 503 : 500
}

/** How a loop that threw ended: for good, or until the reader tries again. */
function ending(/** @type {any} */ error, /** @type {string} */ message) {
  const outcome = { ERR_FAILED: 'failed', ERR_INTERRUPTED: 'interrupted' }[error.code] ?? null
  const { code, retryable, reason = message } = error
  return retryable ? event('problem', { code, message }) : event('end', { outcome, reason, code })
}

function event(/** @type {string} */ name, /** @type {unknown} */ data, id = '') {
  return `event: ${name}\n${id && `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
}

function json(
  /** @type {import('node:http').ServerResponse} */ response,
  /** @type {number} */ status,
  /** @type {unknown} */ body,
) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/**
 * @param {import('node:http').Server} server
 * @param {string} host
 * @param {number[]} ports
 * @returns {Promise<number>} the first of them that was free
 */
async function listen(server, host, ports) {
  for (const port of ports) {
    try {
      server.listen(port, host)
      await once(server, 'listening')
      return /** @type {import('node:net').AddressInfo} */ (server.address()).port
    } catch (error) {
      if (error.code !== 'EADDRINUSE' || port === ports.at(-1)) throw error
    }
  }
  throw new Error('no port to listen on')
}
