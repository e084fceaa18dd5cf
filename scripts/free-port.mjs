// Ports for servers that come and go.

import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * A free TCP port on 127.0.0.1, below the range that the system gives to outgoing connections: while a server is
 * down, no client's own end can take its port (or connect to itself).
 * @param {number} [below] the range's end
 */
export async function freePort(below = 30_000) {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * (below - 15_000))
    const probe = createServer()
    try {
      probe.listen(port, '127.0.0.1')
      await once(probe, 'listening')
      return port
    } catch {
      // taken: try another
    } finally {
      probe.close()
    }
  }
}
