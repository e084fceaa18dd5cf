// Connected clients of the packages that users pass to `resumable-stream`, in the versions that are out there.

import * as ioredis6 from 'ioredis'
import * as ioredis5 from 'ioredis-5'
import * as redis6 from 'redis'
import * as redis4 from 'redis-4'
import * as redis5 from 'redis-5'

/** How a client is made from a URL, and ended. @type {Record<string, (url: string) => Promise<{ client: any, close: () => unknown }>>} */
const makers = {
  'redis-4': (url) => nodeRedis(redis4, url),
  'redis-5': (url) => nodeRedis(redis5, url),
  'redis-6': (url) => nodeRedis(redis6, url),
  'ioredis-5': async (url) => ioredis(new ioredis5.Redis(url)),
  'ioredis-6': async (url) => ioredis(new ioredis6.Redis(url)),
}

export const CLIENT_KINDS = Object.keys(makers)

/** @param {any} redis @param {string} url */
async function nodeRedis(redis, url) {
  const client = redis.createClient({ url })
  client.on('error', () => {})
  await client.connect()
  return { client, close: () => (client.destroy ? client.destroy() : client.disconnect()) }
}

/** @param {any} client */
function ioredis(client) {
  client.on('error', () => {})
  return { client, close: () => client.disconnect() }
}

/** A publisher and a subscriber of each kind. */
export class RedisClients {
  /** @type {Map<string, { publisher: any, subscriber: any }>} */
  #pairs = new Map()
  /** @type {(() => unknown)[]} */
  #closers = []

  /** @param {string} url */
  async open(url) {
    for (const [kind, make] of Object.entries(makers)) {
      const [publisher, subscriber] = [await make(url), await make(url)]
      this.#closers.push(publisher.close, subscriber.close)
      this.#pairs.set(kind, { publisher: publisher.client, subscriber: subscriber.client })
    }
  }

  /** @param {string} kind */
  pair(kind) {
    const pair = this.#pairs.get(kind)
    if (!pair) throw new Error(`no clients of ${kind}`)
    return pair
  }

  close() {
    for (const close of this.#closers.splice(0)) close()
  }
}
