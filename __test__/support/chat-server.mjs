// An answer with parts of all kinds, and a server of `chatRoutes` whose connections end as networks end them.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { listening } from './listening.mjs'
import { PATIENT } from './patient.mjs'

export const WORDS = Array.from({ length: 60 }, (_, index) => `wörd ${index} 🌊 `)
export const TEXT = WORDS.join('')

/** All kinds of parts, and text that begins and ends more than once. */
export const CHUNKS = [
  { type: 'start', messageId: 'm' },
  { type: 'start-step' },
  { type: 'reasoning-start', id: 'r' },
  ...WORDS.slice(0, 10).map((delta) => ({ type: 'reasoning-delta', id: 'r', delta })),
  { type: 'reasoning-end', id: 'r' },
  { type: 'tool-input-start', toolCallId: 'c', toolName: 'tide' },
  { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{"harbour":' },
  { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '"Kiel"}' },
  { type: 'tool-input-available', toolCallId: 'c', toolName: 'tide', input: { harbour: 'Kiel' } },
  { type: 'tool-output-available', toolCallId: 'c', output: { height: 3 } },
  { type: 'data-place', id: 'd', data: { at: 1 } },
  { type: 'file', url: 'data:text/plain,hello', mediaType: 'text/plain' },
  { type: 'finish-step' },
  { type: 'start-step' },
  { type: 'text-start', id: 't' },
  ...WORDS.slice(0, 40).map((delta) => ({ type: 'text-delta', id: 't', delta })),
  { type: 'text-end', id: 't' },
  { type: 'text-start', id: 'u' },
  ...WORDS.slice(40).map((delta) => ({ type: 'text-delta', id: 'u', delta })),
  { type: 'text-end', id: 'u' },
  { type: 'finish-step' },
  { type: 'finish' },
]

/** The first chunk after ten words of text. */
const HELD = CHUNKS.findIndex(({ type }) => type === 'text-delta') + 10

/**
 * Answers that take a while.
 * @param {{ pauseMs?: number | ((call: number) => number), hold?: (call: number) => Promise<unknown> | undefined }} [options]
 *   `pauseMs`: between chunks, or in each call; `hold`: what a call waits for after ten words, unless it is stopped, so that it is seen in the middle
 */
export function answering({ pauseMs = 3, hold } = {}) {
  let calls = 0
  /** @type {AbortSignal[]} */
  const signals = []
  return {
    calls: () => calls,
    signals,
    /** @param {{ signal: AbortSignal, messageId: string }} input */
    async *generate({ signal, messageId }) {
      const call = ++calls
      signals.push(signal)
      const pause = typeof pauseMs === 'number' ? pauseMs : pauseMs(call)
      for (const [index, chunk] of CHUNKS.entries()) {
        const held = index === HELD && !signal.aborted ? hold?.(call) : undefined
        if (held) await Promise.race([held, once(signal, 'abort')])
        if (signal.aborted) return
        yield chunk.type === 'start' ? { ...chunk, messageId } : chunk
        await new Promise((resolve) => setTimeout(resolve, pause))
      }
    },
  }
}

/**
 * Where a response ends, and how: after so many bytes, at the first one of a kind from there on, or so many events and then bytes.
 * @typedef {{ after?: number, at?: (byte: number) => boolean, events?: number, further?: number, how: 'reset' | 'end' | 'silence' }} Cut
 */

/** How much of a piece comes before the cut; undefined: all of it, and more. @param {Uint8Array} piece @param {number} left @param {Cut['at']} at */
export function untilCut(piece, left, at) {
  if (left > piece.length) return undefined
  if (!at) return left
  const index = piece.findIndex((byte, index) => index >= left - 1 && at(byte))
  return index < 0 ? undefined : index + 1
}

/**
 * A server whose responses may be cut.
 * @param {{ after: (end: () => unknown) => unknown }} t
 * @param {import('tidemark/next').ChatRoutes} routes
 * @param {(method: string) => Cut | undefined} [cut]
 * @param {ReadonlyMap<string, string>} [files] a page and its scripts, by their paths
 * @param {() => boolean | Promise<boolean>} [isAway] whether a request gets no answer at all
 */
export async function serveChat(t, routes, cut = () => undefined, files = new Map(), isAway = () => false) {
  const requests = /** @type {string[]} */ ([])
  const server = createServer(PATIENT, async (incoming, outgoing) => {
    if (await isAway()) return void incoming.socket.destroy()
    const { method = 'GET', url = '/' } = incoming
    const file = files.get(url)
    if (file !== undefined) {
      const type = url.endsWith('.js') ? 'text/javascript' : 'text/html'
      outgoing.setHeader('content-type', type).end(file)
      return
    }
    requests.push(`${method} ${url}`)
    const body = method === 'POST' ? Readable.toWeb(incoming) : undefined
    const request = new Request(
      `http://localhost${url}`,
      /** @type {any} */ ({ method, body, duplex: 'half' }),
    )
    const params = { id: decodeURIComponent(/^\/api\/chat\/([^/?]+)/.exec(url)?.[1] ?? '') }
    const call = /** @type {any} */ ({ POST: () => routes.POST(request) })[method]
    const response = await (call?.() ??
      (method === 'DELETE' ? routes.DELETE(request, { params }) : routes.GET(request, { params })))
    outgoing.writeHead(response.status, Object.fromEntries(response.headers))
    if (response.body === null) return void outgoing.end()
    const end = cut(method)
    let left = end?.after ?? Number.POSITIVE_INFINITY
    let events = end?.events ?? 0
    const reader = response.body.getReader()
    outgoing.once('close', () => void reader.cancel().catch(() => {}))
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return void outgoing.end()
        for (let at = value.indexOf(10); events > 0 && at >= 0; at = value.indexOf(10, at + 1))
          if (value[at + 1] === 10 && --events === 0) left = at + 2 + (end?.further ?? 0)
        const length = untilCut(value, left, end?.at)
        const sent = value.subarray(0, length)
        left = Math.max(0, left - value.length)
        if (length === undefined) {
          outgoing.write(sent)
          continue
        }
        if (end?.how === 'end') return void outgoing.end(sent)
        // Lets the client get what was written: without any progress it would never finish.
        outgoing.write(sent, () => end?.how === 'reset' && outgoing.destroy())
        return
      }
    } catch {
      outgoing.destroy()
    }
  })
  const port = await listening(server, t)
  return { requests, origin: `http://127.0.0.1:${port}`, api: `http://127.0.0.1:${port}/api/chat` }
}
