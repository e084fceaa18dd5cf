// The Redis commands of the JavaScript backend that `tidemark/message-stream` replaces, to create the keys that it leaves behind.

import superjson from 'superjson'

/** @typedef {import('tidemark/message-stream').StreamMessage} StreamMessage */
/** @typedef {import('./resp.mjs').Admin} Admin */

const TTL_SECONDS = 3600

/** Its first generation: a sorted set, a copy of each event, and a message. */
export class OldSetWriter {
  #seq = 0
  #admin
  #chatId

  /** @param {Admin} admin @param {string} chatId */
  constructor(admin, chatId) {
    this.#admin = admin
    this.#chatId = chatId
  }

  /** @param {StreamMessage} event */
  async write(event) {
    const key = `message-stream-${this.#chatId}`
    const json = JSON.stringify(event)
    const seq = this.#seq++
    await this.#admin.cmd('ZADD', `${key}:stream`, seq, json)
    await this.#admin.cmd('SETEX', `${key}:events:${String(seq).padStart(6, '0')}`, TTL_SECONDS, json)
    await this.#admin.cmd('EXPIRE', `${key}:stream`, TTL_SECONDS)
    await this.#admin.cmd('PUBLISH', `${key}:channel`, json)
  }
}

/** Its second generation: a stream of superjson texts. */
export class OldStreamWriter {
  #admin
  #chatId

  /** @param {Admin} admin @param {string} chatId */
  constructor(admin, chatId) {
    this.#admin = admin
    this.#chatId = chatId
  }

  /** @param {StreamMessage} event @param {string} [id] of the entry, which begins with its time */
  async write(event, id = '*') {
    const key = `message-stream-${this.#chatId}:stream`
    await this.#admin.cmd('XADD', key, id, 'event', superjson.stringify(event))
    await this.#admin.cmd('EXPIRE', key, TTL_SECONDS)
  }
}

/** Its stop button. @param {Admin} admin @param {string} chatId */
export function oldStop(admin, chatId) {
  return admin.cmd('SET', `stop-stream:${chatId}`, '1', 'EX', 300)
}

/** All keys of a chat. @param {Admin} admin @param {string} chatId @returns {Promise<string[]>} */
export async function oldKeys(admin, chatId) {
  /** @type {string[]} */
  const keys = []
  let cursor = '0'
  do {
    const [next, page] = await admin.cmd('SCAN', cursor, 'COUNT', 1000)
    keys.push(...page)
    cursor = next
  } while (cursor !== '0')
  return keys
    .filter((key) => key.startsWith(`message-stream-${chatId}:`) || key === `stop-stream:${chatId}`)
    .sort()
}
