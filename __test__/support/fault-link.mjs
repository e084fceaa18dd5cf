// A proxy that can make one kind of connection half-open: its packets vanish in one direction, and neither end is told.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/**
 * @typedef {'commands' | 'subscriber'} Kind a subscriber is known by its SUBSCRIBE
 * @typedef {'requests' | 'replies'} Direction
 */

/** @param {import('node:test').TestContext} t @param {number} target a port on 127.0.0.1 */
export async function openLinks(t, target) {
  const links = new Links(target)
  t.after(() => links.close())
  await links.listen()
  return links
}

class Links {
  /** @type {Set<Link>} */
  #all = new Set()
  #server

  /** @param {number} target */
  constructor(target) {
    this.#server = createServer((client) => {
      const link = new Link(client, target)
      this.#all.add(link)
      client.once('close', () => this.#all.delete(link))
    })
  }

  async listen() {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get url() {
    return `redis://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (this.#server.address()).port}`
  }

  /** The connections of a kind. @param {Kind} kind */
  of(kind) {
    return [...this.#all].filter((link) => link.kind === kind)
  }

  /**
   * From now on what goes that way on the present connections of the kind is lost, until the returned function is
   * called. Only a caller who knows that no message was cut in two may go on using such a connection.
   * @param {Kind} kind
   * @param {Direction} direction
   */
  lose(kind, direction) {
    const links = this.of(kind)
    if (links.length === 0) throw new Error(`there is no connection for ${kind}`)
    for (const link of links) link.lost = direction
    return () => {
      for (const link of links) link.lost = undefined
    }
  }

  close() {
    this.#server.close()
    for (const link of this.#all) link.cut()
  }
}

class Link {
  /** @type {Kind} */
  kind = 'commands'
  /** @type {Direction | undefined} */
  lost
  /** Bytes that were lost. */
  swallowed = 0
  #ends

  /** @param {import('node:net').Socket} client @param {number} target */
  constructor(client, target) {
    const server = connect({ port: target, host: '127.0.0.1', noDelay: true })
    client.setNoDelay(true)
    this.#ends = [client, server]
    this.#forward(client, server, 'requests')
    this.#forward(server, client, 'replies')
  }

  cut() {
    // Node 20 never closes a socket that is reset while it is being shut down.
    for (const end of this.#ends) end.writableEnded ? end.destroy() : end.resetAndDestroy()
  }

  /** @param {import('node:net').Socket} from @param {import('node:net').Socket} to @param {Direction} direction */
  #forward(from, to, direction) {
    from.on('data', (data) => {
      if (direction === 'requests' && data.includes('\r\nSUBSCRIBE\r\n')) this.kind = 'subscriber'
      if (this.lost === direction) this.swallowed += data.length
      else if (!to.destroyed && !to.write(data)) from.pause()
    })
    to.on('drain', () => from.resume())
    from.on('error', () => {})
    from.on('close', () => {
      if (this.lost !== direction) to.destroy()
    })
  }
}
