// Servers with subscriptions in this process, and receivers of their webhooks.

import { createServer } from 'node:http'
import { durableStreams } from 'tidemark/durable-streams'
import { listening } from './listening.mjs'
import { PATIENT } from './patient.mjs'
import { until } from './wait.mjs'

/** How long something may take that several servers do. */
export const LONG = { timeout: 20_000 }
/** A subscription whose workers are told by a stream. */
export const PULL = { type: 'pull-wake', wake_stream: 'wakes', lease_ttl_ms: 60_000 }
const HOST = 'http://streams.test'
const JSON_TYPE = { 'Content-Type': 'application/json' }

/**
 * A server's handler, called with JSON.
 * @param {Omit<import('tidemark/durable-streams').DurableStreamsOptions, 'authorize'> & { authorize?: any }} options
 */
export function subscriptionServer(options) {
  const handle = durableStreams({ authorize: () => true, subscriptions: {}, ...options })
  /**
   * @param {string} method @param {string} path below the prefix @param {unknown} [body] @param {string} [token]
   * @returns {Promise<{ status: number, body: any, headers: Headers }>}
   */
  const call = async (method, path, body, token) => {
    const headers = { ...JSON_TYPE, ...(token && { Authorization: `Bearer ${token}` }) }
    const init = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }
    const response = await handle(new Request(`${HOST}/v1/stream/${path}`, init))
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
  }
  return {
    call,
    /** @param {string} method @param {string} path after the subscription's id @param {unknown} [body] @param {string} [token] */
    sub: (method, path, body, token) => call(method, `__ds/subscriptions/${path}`, body, token),
    /** Appends a message to a stream, which is made if it is not there. @param {string} path @param {unknown} [message] */
    async append(path, message = { n: 1 }) {
      const made = await call('PUT', path, [message])
      return made.status === 201 ? made : call('POST', path, message)
    },
  }
}

/** @typedef {ReturnType<typeof subscriptionServer>} Server */

/** The wakes of a stream. @param {Server} server */
export const wakes = async (server) => (await server.call('GET', 'wakes')).body

/** Waits for so many wakes. @param {Server} server @param {number} count */
export const woken = (server, count) => until(async () => (await wakes(server)).length >= count, LONG)

/** Claims, as soon as there is work. @param {Server} server @param {string} id @param {string} [worker] */
export const claimed = (server, id, worker = 'w') =>
  until(async () => {
    const { status, body } = await server.sub('POST', `${id}/claim`, { worker })
    return status === 200 && body
  }, LONG)

/** @typedef {{ body: any, raw: string, signature: string, answer: (status?: number, body?: unknown) => void }} Hook */

/**
 * Receives webhooks. `respond` gets each and answers it, now or later.
 * @param {import('node:test').TestContext} t @param {(hook: Hook, number: number) => unknown} respond
 */
export async function receiver(t, respond) {
  /** @type {Hook[]} */
  const hooks = []
  const server = createServer(PATIENT, async (request, response) => {
    let raw = ''
    for await (const chunk of request.setEncoding('utf8')) raw += chunk
    const signature = String(request.headers['webhook-signature'])
    const hook = {
      body: JSON.parse(raw),
      raw,
      signature,
      answer: (/** @type {number} */ status = 200, /** @type {unknown} */ body = {}) => {
        response.writeHead(status, { ...JSON_TYPE, Location: '/elsewhere' }).end(JSON.stringify(body))
      },
    }
    hooks.push(hook)
    respond(hook, hooks.length)
  })
  return { url: `http://127.0.0.1:${await listening(server, t)}/hook`, hooks }
}
