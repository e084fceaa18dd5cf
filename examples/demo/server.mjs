// The demo's web server: the page, its readers' event streams, the start and the stop button.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { inspector, toNodeListener } from '../../dist/inspector.mjs'
import { Answers } from './answers.mjs'
import { Readers } from './readers.mjs'

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

/** Starts a server. @param {Options} options */
export async function serve(options) {
  const server = new DemoServer(options)
  await server.listen(options.ports)
  return server
}

class DemoServer {
  port = 0
  #options
  #answers
  #readers
  #server
  #inspect
  /** The host as it is in URLs. */
  #name
  /** A killed server is of interest where another one has its answers, and to nobody but its owner. */
  #controls

  /** @param {Options} options */
  constructor(options) {
    const { engine, host, store, say, restartRedis } = options
    const isLocal = ['127.0.0.1', 'localhost', '::1'].includes(host)
    this.#options = options
    this.#name = host.includes(':') ? `[${host}]` : host
    this.#controls = { kill: store === 'Redis' && isLocal, restartRedis: restartRedis !== undefined }
    this.#answers = new Answers(options)
    this.#readers = new Readers({ engine, store, told: (error) => this.#told(error) })
    // The answers are nobody's secret here.
    this.#inspect = toNodeListener(inspector({ engine, authorize: () => true, showData: true }))
    this.#server = createServer((request, response) => {
      Promise.resolve(this.#route(request, response)).catch((error) => {
        if (response.headersSent) return response.destroy()
        json(response, statusOf(error), { code: error.code, message: this.#told(error) })
      })
    })
    engine.on('state', (state, why) => {
      if (why) say(`${state}: ${why}`)
      this.#readers.tellState()
    })
  }

  get url() {
    return `http://${this.#name}:${this.port}`
  }

  /** @param {number[]} ports the first of them that is free becomes its port */
  async listen(ports) {
    for (const port of ports) {
      try {
        this.#server.listen(port, this.#options.host)
        await once(this.#server, 'listening')
        this.port = /** @type {import('node:net').AddressInfo} */ (this.#server.address()).port
        return
      } catch (error) {
        if (error.code !== 'EADDRINUSE' || port === ports.at(-1)) throw error
      }
    }
    throw new Error('no port to listen on')
  }

  /** Stops the answers that run here, sends their readers the end, and closes everything. */
  async close() {
    const server = this.#server
    server.close()
    await this.#answers.close()
    await this.#options.engine.close()
    server.closeIdleConnections()
    setTimeout(() => server.closeAllConnections(), 200).unref()
  }

  /** @type {import('node:http').RequestListener} */
  async #route(request, response) {
    const { engine, restartRedis } = this.#options
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
      this.#inspect(request, response)
    } else if (file !== undefined) {
      const type = TYPES[/** @type {keyof TYPES} */ (file.pathname.split('.').at(-1))]
      const headers = { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' }
      response.writeHead(200, headers).end(await readFile(file))
    } else if (what === 'GET /hello') {
      json(response, 200, await this.#hello(url.searchParams.has('alone')))
    } else if (what === 'POST /kill' && this.#controls.kill) {
      // As `kill -9` would: nothing is told to anybody.
      response.on('finish', () => setTimeout(() => process.kill(process.pid, 'SIGKILL'), 50))
      json(response, 202, {})
    } else if (what === 'POST /restart-redis' && restartRedis) {
      restartRedis()
      json(response, 202, {})
    } else if (what.startsWith('GET /stream/')) {
      const id = decodeURIComponent(url.pathname.slice('/stream/'.length))
      const cursor = url.searchParams.get('cursor')
      await this.#readers.follow(request, response, { id, cursor, port: this.port })
    } else if (what === 'POST /start') {
      const id = url.searchParams.get('id') ?? randomUUID().slice(0, 8)
      await this.#answers.start(id, this.port)
      json(response, 201, { id })
    } else if (what === 'POST /stop') {
      const result = await engine.stop(url.searchParams.get('id') ?? '', 'the Stop button was pressed')
      json(response, 200, { result })
    } else {
      json(response, 404, { message: `there is no ${what} here` })
    }
  }

  /** What the page knows before it reads: this server, and those that share its answers. */
  async #hello(/** @type {boolean} */ isAlone) {
    const { store, redis } = this.#options
    const peers = isAlone || store === 'memory' ? [] : await this.#neighbours()
    return { port: this.port, store, redis, controls: this.#controls, peers }
  }

  /** Other servers of this demo on the same Redis. */
  async #neighbours() {
    const { port } = this
    const near = Array.from({ length: NEIGHBOURS }, (_, index) => [port + index + 1, port - index - 1]).flat()
    const found = near.map(async (each) => {
      try {
        const signal = AbortSignal.timeout(NEIGHBOUR_MS)
        const response = await fetch(`http://${this.#name}:${each}/hello?alone`, { signal })
        return (await response.json()).redis === this.#options.redis ? [each] : []
      } catch {
        return []
      }
    })
    return (await Promise.all(found)).flat()
  }

  /** What a client is told of an error: the words of ours and of the store's servers are for this server's output. */
  #told(/** @type {any} */ error) {
    if (HARMLESS.has(error.code) || error instanceof URIError) return error.message
    this.#options.say(String(error))
    return error.retryable ? 'The store cannot be reached' : 'Something went wrong'
  }
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

function json(
  /** @type {import('node:http').ServerResponse} */ response,
  /** @type {number} */ status,
  /** @type {unknown} */ body,
) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
