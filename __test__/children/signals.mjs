// A process that is told to end while it produces, with other listeners for the signal or without.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createEngine } from '../../dist/index.mjs'

const [, , name = ''] = process.argv
const options = { ...JSON.parse(process.env.ENGINE ?? '{}'), closeOnSignals: ['SIGTERM', 'SIGINT'] }
/** @param {number} code */
const graceful = (code) => () => setTimeout(() => process.exit(code), 300)

/** What else listens for the signal. @type {Record<string, (engine: import('tidemark').Engine) => unknown>} */
const others = {
  'nobody else': () => {},
  'another engine': () => createEngine(options).produce('another'),
  'a listener': () => process.on('SIGTERM', graceful(7)),
  /** As Nest does it. */
  'one that raises it again': () =>
    process.on('SIGTERM', function again() {
      process.removeListener('SIGTERM', again)
      setTimeout(() => process.kill(process.pid, 'SIGTERM'), 50)
    }),
  /** Does not end by itself as long as a response is open. */
  async 'a server'(engine) {
    const server = createServer(async (request, response) => {
      const { status, headers, body } = await engine.respond(request, 'told')
      response.writeHead(status, Object.fromEntries(headers))
      await pipeline(Readable.fromWeb(/** @type {any} */ (body)), response).catch(() => {})
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    process.on('SIGTERM', () => server.close())
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    return { port }
  },
  closed: (engine) => engine.close(),
}

if (name === 'a listener before') process.once('SIGTERM', graceful(8))
const engine = createEngine(options)
const producer = await engine.produce('told', { ifActive: 'takeover' })
await producer.append('half')
const more = await others[name]?.(engine)
process.send?.({ type: 'ready', port: /** @type {any} */ (more)?.port })
// The server keeps the process by itself.
if (name !== 'a server') setInterval(() => {}, 1000)
