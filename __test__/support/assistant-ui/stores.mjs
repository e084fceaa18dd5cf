// Stores of ours that are made as assistant-ui's are, for its own tests. STORE_URL and STORE_PREFIX are the engine's.

import { randomUUID } from 'node:crypto'
import { createEngine } from 'tidemark'
import { assistantUiStore } from 'tidemark/assistant-ui'

const engine = createEngine({ url: process.env.STORE_URL, keyPrefix: process.env.STORE_PREFIX })

/** @param {string} prefix @param {{ defaultTtlMs?: number, maxChunkBytes?: number }} options */
const storeOf = (prefix, { defaultTtlMs, maxChunkBytes }) =>
  // The shortest TTL there is.
  assistantUiStore(engine, { prefix, ttl: defaultTtlMs && Math.max(1000, defaultTtlMs), maxChunkBytes })

/** Has its streams to itself. */
export const createInMemoryResumableStreamStore = (options = {}) => ({
  ...storeOf(`${randomUUID()}:`, options),
  dispose() {},
})

/** @param {unknown} _client @param {any} options */
const shared = (_client, options) => storeOf(`${options.keyPrefix}:`, options)

export { shared as createIoredisResumableStreamStore, shared as createRedisResumableStreamStore }
