// A TCP proxy in front of a server that fails in the ways networks do.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { freePort } from './free-port.mjs'

/**
 * Starts a proxy on 127.0.0.1.
 * @param {{ target: string | number }} options the target's URL (the proxy's own has the same scheme, user and path),
 *   or its port on 127.0.0.1
 */
export async function startProxy({ target }) {
  const url = new URL(typeof target === 'number' ? `redis://127.0.0.1:${target}` : target)
  const proxy = new FaultProxy(url, await freePort())
  await proxy.refuse(false)
  return proxy
}

export class FaultProxy {
  /** @type {Set<Link>} */
  #links = new Set()
  #server
  #target
  #faults = { delayMs: 0, blackhole: false, mute: false }
  /** Whether new connections are held. */
  #holding = false

  /** @param {URL} target @param {number} port */
  constructor(target, port) {
    this.#target = { host: target.hostname, port: Number(target.port) }
    this.port = port
    const own = new URL(target)
    own.host = `127.0.0.1:${port}`
    this.url = own.href
    this.#server = createServer((client) => {
      const link = new Link(client, this.#target, this.#faults)
      if (this.#holding) link.hold()
      this.#links.add(link)
      client.once('close', () => this.#links.delete(link))
    })
  }

  /** How many clients are connected now. */
  get connections() {
    return this.#links.size
  }

  /** Breaks every connection, both ends seeing a reset. New ones are taken. */
  cut() {
    for (const link of this.#links) link.cut()
  }

  /** Delivers what passes from now on `ms` later, in order; 0 ends it. @param {number} ms */
  delay(ms) {
    this.#faults.delayMs = ms
  }

  /**
   * The same for one connection alone, by its number among those that there are now. An engine makes that for commands
   * first.
   * @param {number} number @param {number} ms
   */
  delayOne(number, ms) {
    const link = [...this.#links][number]
    if (!link) throw new Error(`there is no connection ${number}`)
    link.delayMs = ms
  }

  /**
   * Holds what passes one connection, by its number as above, and all that are made from now on, until the returned function is called.
   * @param {number} number
   */
  hold(number) {
    const link = [...this.#links][number]
    if (!link) throw new Error(`there is no connection ${number}`)
    link.hold()
    this.#holding = true
    return () => {
      this.#holding = false
      for (const each of this.#links) each.release()
    }
  }

  /**
   * While on, every byte of old and new connections is swallowed, and no end sees the other close. Turning it off cuts
   * the connections that have lost something: a network may drop a connection, never bytes out of its middle.
   * @param {boolean} on
   */
  blackhole(on) {
    this.#faults.blackhole = on
    if (on) return
    for (const link of this.#links) if (link.lossy) link.cut()
  }

  /** From now on every byte of the present connections is swallowed, and no end sees the other close. New ones work. */
  swallow() {
    for (const link of this.#links) link.isDead = true
  }

  /**
   * While on, bytes from the server are swallowed; bytes to it arrive. Turning it off cuts the connections that have lost
   * something.
   * @param {boolean} on
   */
  mute(on) {
    this.#faults.mute = on
    if (on) return
    for (const link of this.#links) if (link.lossy) link.cut()
  }

  /** While on, new connections are refused; old ones go on. @param {boolean} on */
  async refuse(on) {
    if (on === !this.#server.listening) return
    if (on) {
      // Waits for no one: the callback of `close` would come after the last old connection.
      this.#server.close()
    } else {
      this.#server.listen(this.port, '127.0.0.1')
      await once(this.#server, 'listening')
    }
  }

  /** Ends the proxy and its connections. */
  async close() {
    await this.refuse(true)
    this.cut()
  }
}

/** One client's connection and its counterpart. */
class Link {
  /** Whether bytes or an end were swallowed. */
  lossy = false
  /** Swallows everything from now on. */
  isDead = false
  /** What passes comes so much later than through others. */
  delayMs = 0
  #isHeld = false
  /** Each passes on what is due in one direction. @type {(() => void)[]} */
  #pumps = []
  #client
  #upstream
  #faults

  /**
   * @param {import('node:net').Socket} client
   * @param {{ host: string, port: number }} target
   * @param {{ delayMs: number, blackhole: boolean, mute: boolean }} faults
   */
  constructor(client, target, faults) {
    this.#client = client
    this.#faults = faults
    this.#upstream = connect({ ...target, noDelay: true })
    client.setNoDelay(true)
    this.#forward(client, this.#upstream)
    this.#forward(this.#upstream, client)
  }

  /** Nothing passes until `release`. */
  hold() {
    this.#isHeld = true
  }

  release() {
    this.#isHeld = false
    for (const pump of this.#pumps) pump()
  }

  cut() {
    for (const socket of [this.#client, this.#upstream]) {
      // A reset of a socket that is shutting down is never finished by Node 20, and keeps the process at its exit.
      if (socket.writableEnded) socket.destroy()
      else socket.resetAndDestroy()
    }
  }

  /** @param {import('node:net').Socket} from @param {import('node:net').Socket} to */
  #forward(from, to) {
    // One queue and one timer for each direction: timers of their own could overtake each other.
    /** @type {{ due: number, deliver: () => void }[]} */
    const queue = []
    const pump = () => {
      for (let head = queue[0]; head && !this.#isHeld; head = queue[0]) {
        const wait = head.due - performance.now()
        if (wait > 0) return void setTimeout(pump, Math.ceil(wait))
        queue.shift()
        head.deliver()
      }
    }
    this.#pumps.push(pump)
    /** @param {() => void} deliver */
    const later = (deliver) => {
      queue.push({ due: performance.now() + this.#faults.delayMs + this.delayMs, deliver })
      if (queue.length === 1) pump()
    }
    from.on('data', (data) => {
      if (this.#swallows(from)) return
      later(() => {
        if (this.#swallows(from) || to.destroyed) return
        if (!to.write(data)) from.pause()
      })
    })
    to.on('drain', () => from.resume())
    from.on('error', () => {})
    from.on('close', (failed) => {
      if (this.#swallows(from)) return
      later(() => {
        if (failed) to.destroy()
        else to.end()
      })
    })
  }

  /** @param {import('node:net').Socket} from */
  #swallows(from) {
    const swallows = this.#faults.blackhole || (this.#faults.mute && from === this.#upstream)
    if (swallows) this.lossy = true
    return this.isDead || swallows
  }
}
