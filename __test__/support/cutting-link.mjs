// What browsers reach servers through: an HTTP proxy that ends responses as networks end them.

import { createServer, request } from 'node:http'
import { untilCut } from './chat-server.mjs'
import { listening } from './listening.mjs'
import { PATIENT } from './patient.mjs'

/**
 * Starts it for a test file. Requests go to the servers in turn.
 * @param {() => number[]} portsOf those of the servers that are there
 * @param {ReadonlyMap<string, string>} [files] what it answers itself, by paths: a page and its scripts
 */
export async function startLink(portsOf, files = new Map()) {
  const link = {
    origin: '',
    /** How answers' responses are ended. @type {() => import('./chat-server.mjs').Cut | undefined} */
    cut: () => undefined,
    /** Requests that watch and are under way. */
    watching: 0,
    /** Responses with events that are under way. @type {Set<import('node:http').ServerResponse>} */
    open: new Set(),
  }
  let turn = 0
  const proxy = createServer(PATIENT, (incoming, outgoing) => {
    const { method, url = '', headers } = incoming
    const [path = ''] = url.split('?')
    const file = files.get(path)
    if (file !== undefined) {
      const type = path.endsWith('.js') ? 'text/javascript' : 'text/html'
      outgoing.setHeader('content-type', type).end(file)
      return
    }
    const ports = portsOf()
    const port = ports[turn++ % ports.length]
    const isWatch = url.includes('watch=')
    const upstream = request(
      { host: '127.0.0.1', port, method, path: url, headers, agent: false },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers)
        outgoing.flushHeaders()
        const isEvents = response.headers['content-type']?.startsWith('text/event-stream')
        const end = isEvents && !isWatch ? link.cut() : undefined
        if (isWatch) link.watching++
        if (isEvents) link.open.add(outgoing)
        outgoing.on('close', () => {
          link.open.delete(outgoing)
          if (isWatch) link.watching--
        })
        let left = end?.after ?? Number.POSITIVE_INFINITY
        let isOver = false
        response.on('data', (/** @type {Buffer} */ piece) => {
          if (isOver) return
          const length = untilCut(piece, left, end?.at)
          left = Math.max(1, left - piece.length)
          isOver = length !== undefined
          const sent = piece.subarray(0, length)
          if (isOver && end?.how === 'end') outgoing.end(sent)
          // What is written before is to arrive: a client that never gets anything never gets on.
          else outgoing.write(sent, () => isOver && end?.how === 'reset' && outgoing.destroy())
        })
        response.on('end', () => isOver || outgoing.end())
        response.on('close', () => response.complete || isOver || outgoing.destroy())
      },
    )
    upstream.on('error', () => outgoing.destroy())
    outgoing.on('close', () => upstream.destroy())
    incoming.pipe(upstream)
  })
  link.origin = `http://127.0.0.1:${await listening(proxy)}`
  return link
}
