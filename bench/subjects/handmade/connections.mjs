// One connection for commands and one for messages, by ioredis.

import { Redis } from 'ioredis'

/** @param {string} url @param {string} script see `Format` */
export async function openConnections(url, script) {
  const commands = new Redis(url, { enableAutoPipelining: true, maxRetriesPerRequest: null })
  const messages = new Redis(url, { autoResubscribe: false, maxRetriesPerRequest: null })
  // A lost connection is mended by ioredis and, through onReady, by the hub.
  for (const connection of [commands, messages]) connection.on('error', () => {})
  commands.defineCommand('flushChunks', { numberOfKeys: 2, lua: script })
  const { flushChunks } = /** @type {any} */ (commands)
  await Promise.all([commands.ping(), messages.ping()])
  return {
    /** @type {(key: string, channel: string, seq: number, ttl: number, ...payloads: string[]) => Promise<number>} */
    flush: flushChunks.bind(commands),
    /** A page of entries. @param {string} key @param {string} from @param {number} count */
    range: (key, from, count) => commands.xrange(key, from, '+', 'COUNT', count),
    /** @param {string[]} channels */
    subscribe: (channels) => messages.subscribe(...channels),
    /** @param {string} channel */
    unsubscribe: (channel) => messages.unsubscribe(channel),
    /** @param {(channel: string, message: string) => void} callback */
    onMessage: (callback) => messages.on('message', callback),
    /** After each reconnection. @param {() => void} callback */
    onReady: (callback) => messages.on('ready', callback),
  }
}

/** @typedef {Awaited<ReturnType<typeof openConnections>>} Connections */
