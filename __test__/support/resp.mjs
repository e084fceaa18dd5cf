// A small Redis client (RESP2) that shares no code with what is tested.

import { connect } from 'node:net'

/**
 * @typedef {string | number | null | Error | Reply[]} Reply an error inside an array stands for its element
 * @typedef {{ resolve: (reply: any) => void, reject: (error: Error) => void }} Waiting
 * @typedef {{ port: number, host?: string, password?: string }} Address
 */

/** Connects at its first command, and again after a loss: it outlives its server's restarts. */
export class Admin {
  /** @type {Connection | undefined} */
  #connection
  #address

  /** @param {Address} address */
  constructor(address) {
    this.#address = address
  }

  /**
   * Sends one command.
   * @param {...(string | number | Uint8Array)} args
   * @returns {Promise<any>} strings for bulk and simple replies, numbers, null, arrays; rejects with the server's error
   */
  cmd(...args) {
    if (!this.#connection || this.#connection.ended) this.#connection = new Connection(this.#address)
    return this.#connection.send(args)
  }

  /** One section of INFO. @param {string} section @returns {Promise<Record<string, string>>} */
  async info(section) {
    const lines = (await this.cmd('INFO', section)).split('\r\n')
    return fields(
      lines.filter((/** @type {string} */ line) => line.includes(':')),
      ':',
    )
  }

  /** CLIENT LIST: one record for each connection, this one included. @returns {Promise<Record<string, string>[]>} */
  async clients() {
    const lines = (await this.cmd('CLIENT', 'LIST')).trim().split('\n')
    return lines.map((/** @type {string} */ line) => fields(line.split(' '), '='))
  }

  /** PUBSUB CHANNELS: those with a subscriber. @param {string} [pattern] @returns {Promise<string[]>} */
  channels(pattern = '*') {
    return this.cmd('PUBSUB', 'CHANNELS', pattern)
  }

  /**
   * Calls back for every command that the server runs from now on, by clients and by scripts.
   * @param {(command: { source: string, args: string[] }) => void} callback `source` is an address, or `lua`
   * @returns {Promise<() => void>} ends it
   */
  async monitor(callback) {
    const connection = new Connection(this.#address)
    connection.onPush = (line) => {
      const [, source = '', rest = ''] = /^[\d.]+ \[\d+ (\S+)\] (.*)$/s.exec(String(line)) ?? []
      callback({
        source,
        args: [...rest.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => unescapeText(text)),
      })
    }
    await connection.send(['MONITOR'])
    return () => connection.close()
  }

  /** Drops the connection; a later command opens a new one. */
  close() {
    this.#connection?.close()
  }
}

class Connection {
  ended = false
  /** Gets replies that belong to no command. @type {(reply: Reply) => void} */
  onPush = () => {}
  /** @type {Waiting[]} */
  #waiting = []
  #socket
  #received = Buffer.alloc(0)
  #offset = 0
  #parser = this.#replies()

  /** @param {Address} address */
  constructor({ port, host = '127.0.0.1', password }) {
    this.#parser.next()
    this.#socket = connect({ port, host, noDelay: true })
    this.#socket.on('data', (data) => {
      this.#received = Buffer.concat([this.#received.subarray(this.#offset), data])
      this.#offset = 0
      this.#parser.next()
    })
    this.#socket.on('error', (error) => this.#end(error))
    this.#socket.on('close', () => this.#end(new Error(`the connection to port ${port} was closed`)))
    if (password) this.send(['AUTH', password]).catch(() => {})
  }

  /** @param {(string | number | Uint8Array)[]} args @returns {Promise<any>} */
  send(args) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#socket.ref()
      this.#socket.write(`*${args.length}\r\n`)
      for (const arg of args) {
        const bytes = typeof arg === 'object' ? arg : Buffer.from(String(arg))
        this.#socket.write(Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]))
      }
    })
  }

  close() {
    this.#socket.destroy()
    this.#end(new Error('closed'))
  }

  /** @param {Error} error */
  #end(error) {
    this.ended = true
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  /** @param {Reply} reply */
  #settle(reply) {
    const waiting = this.#waiting.shift()
    // An idle connection does not keep the test process alive.
    if (this.#waiting.length === 0) this.#socket.unref()
    if (!waiting) this.onPush(reply)
    else if (reply instanceof Error) waiting.reject(reply)
    else waiting.resolve(reply)
  }

  /** Runs for as long as the connection; suspended while bytes are missing. @returns {Generator<undefined, never>} */
  *#replies() {
    for (;;) this.#settle(yield* this.#reply())
  }

  /** @returns {Generator<undefined, Reply>} */
  *#reply() {
    const line = yield* this.#line()
    const rest = line.slice(1)
    switch (line[0]) {
      case '+':
        return rest
      case '-':
        return new Error(rest)
      case ':':
        return Number(rest)
      case '$':
        return rest === '-1' ? null : (yield* this.#bytes(Number(rest))).toString()
      case '*': {
        if (rest === '-1') return null
        const items = []
        for (let count = Number(rest); count > 0; count--) items.push(yield* this.#reply())
        return items
      }
      default:
        throw new Error(`not a RESP2 reply: ${line}`)
    }
  }

  /** @returns {Generator<undefined, string>} */
  *#line() {
    for (;;) {
      const end = this.#received.indexOf('\r\n', this.#offset)
      if (end >= 0) {
        const line = this.#received.toString('utf8', this.#offset, end)
        this.#offset = end + 2
        return line
      }
      yield
    }
  }

  /** @param {number} length @returns {Generator<undefined, Buffer>} */
  *#bytes(length) {
    while (this.#received.length < this.#offset + length + 2) yield
    const bytes = this.#received.subarray(this.#offset, this.#offset + length)
    this.#offset += length + 2
    return bytes
  }
}

/** @param {string[]} parts @param {string} separator @returns {Record<string, string>} */
function fields(parts, separator) {
  return Object.fromEntries(
    parts.map((part) => {
      const at = part.indexOf(separator)
      return [part.slice(0, at), part.slice(at + 1)]
    }),
  )
}

/** MONITOR's quoting. @param {string} text */
function unescapeText(text) {
  /** @type {Record<string, string>} */
  const named = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b' }
  const bytes = text.replace(/\\(?:x([0-9a-f]{2})|(.))/gis, (_, hex, char) =>
    hex ? String.fromCharCode(Number.parseInt(hex, 16)) : (named[char] ?? char),
  )
  return Buffer.from(bytes, 'latin1').toString()
}
