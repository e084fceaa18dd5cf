// A round-robin proxy: every request goes to the next server, and past those that are gone.

import { once } from 'node:events'
import { createServer, request } from 'node:http'

/**
 * @param {number[]} targets ports of the servers
 * @param {number} port
 */
export async function startProxy(targets, port) {
  let turn = 0
  const server = createServer((incoming, outgoing) => {
    const order = targets.map((_, index) => targets[(turn + index) % targets.length])
    turn += 1
    forward(incoming, outgoing, order)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/**
 * @param {import('node:http').IncomingMessage} incoming
 * @param {import('node:http').ServerResponse} outgoing
 * @param {(number | undefined)[]} order
 */
function forward(incoming, outgoing, [target, ...others]) {
  if (target === undefined) return void outgoing.writeHead(502).end('no server is there')
  const { method, url: path, headers } = incoming
  const to = { host: '127.0.0.1', port: target, method, path, headers, agent: false }
  const upstream = request(to, (response) => {
    outgoing.writeHead(response.statusCode ?? 502, { ...response.headers, 'x-served-by': String(target) })
    response.pipe(outgoing)
    // What breaks off there must not look like an end here.
    response.on('close', () => response.complete || outgoing.destroy())
  })
  upstream.on('error', (error) => {
    const isAway = 'code' in error && error.code === 'ECONNREFUSED'
    if (isAway && !outgoing.headersSent) forward(incoming, outgoing, others)
    else outgoing.destroy()
  })
  outgoing.on('close', () => upstream.destroy())
  // A body that was begun cannot be sent to another.
  upstream.on('socket', (socket) => socket.once('connect', () => incoming.pipe(upstream)))
}
