import { type Engine, openEngine } from '../core/engine'
import { loadNative } from '../native/native'

/** Streams of this module have keys of their own, apart from those of `createEngine`. */
export const KEY_PREFIX = 'message-stream'

let engine: Engine | undefined

/** The module's engine: made when it is first needed, and again after `close`. */
export function defaultEngine(): Engine {
  engine ??= openEngine({ url: urlFrom(process.env), keyPrefix: KEY_PREFIX })
  return engine
}

export async function close(): Promise<void> {
  const closing = engine
  engine = undefined
  await closing?.close()
}

/** `msg-01J…`: sortable, and greater than all that were made before. */
export function newId(prefix: 'chat' | 'msg'): string {
  return `${prefix}-${loadNative().ulid()}`
}

/** The key of a chat's record, and its channel, as `src/store/redis/keys.rs` names them. */
export function keysOf(chatId: string): { streamKey: string; channelKey: string } {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
  const escaped = chatId.replace(/[{}%\x00-\x1f\x7f]/g, (character) => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
  })
  const tag = `{${KEY_PREFIX}:${escaped}}`
  return { streamKey: `${tag}:meta`, channelKey: `${tag}:live` }
}

/** The key of a chat that the predecessor has stored, and the channel it had, as `src/legacy/left.rs` names them. */
export function oldKeysOf(chatId: string): { streamKey: string; channelKey: string } {
  const key = `message-stream-${chatId}`
  return { streamKey: `${key}:stream`, channelKey: `${key}:channel` }
}

/** A URL wins; else the variables that the previous backend was configured with, and its defaults. */
function urlFrom(environment: NodeJS.ProcessEnv): string {
  const { TIDEMARK_URL, REDIS_URL, REDIS_HOST, REDIS_PORT, REDIS_PASSWORD } = environment
  const password = REDIS_PASSWORD ? `:${encodeURIComponent(REDIS_PASSWORD)}@` : ''
  const host = REDIS_HOST || 'localhost'
  const address = host.includes(':') ? `[${host}]` : host
  return TIDEMARK_URL || REDIS_URL || `redis://${password}${address}:${REDIS_PORT || 6379}`
}
