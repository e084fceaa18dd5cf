// Ports for servers that come and go.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

const FIRST = 15_000

/**
 * A free TCP port on 127.0.0.1, below the range that the system gives to outgoing connections: while a server is
 * down, no client's own end can take its port (or connect to itself). Until this process ends no other one is given
 * the same port, whether a server listens on it or not.
 * @param {number} [below] the range's end
 */
export async function freePort(below = 25_000) {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (below - FIRST))
    if ((await claims(port)) && (await isFree(port))) return port
  }
}

/**
 * A process claims a port by its UDP twin, which nobody here has another use for: the system lets one process have it, and
 * takes it back however that one ends.
 * @param {number} port
 */
async function claims(port) {
  const twin = createSocket('udp4')
  try {
    twin.bind({ port, address: '127.0.0.1', exclusive: true })
    await once(twin, 'listening')
    twin.unref()
    return true
  } catch {
    twin.close()
    return false
  }
}

/** @param {number} port */
async function isFree(port) {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
    return true
  } catch {
    return false
  } finally {
    probe.close()
  }
}
