import type { Follow } from '../client/follow.js'
import type { Activity } from './activity.js'

/** What the hooks need of a transport. */
export interface KnownTransport {
  readonly api: string
  readonly isWatching: boolean
  stop(chatId: string): Promise<unknown>
  activityOf(chatId: string): Activity
  followWatched(chatIds: readonly string[], signal: AbortSignal): Follow
}

/** The transport that each chat used last, for code that only knows the chat's id. */
const known = new Map<string, KnownTransport>()

/** The most chats that are remembered; the page has long left any others. */
const MOST = 1000

export function remember(chatId: string, transport: KnownTransport): void {
  known.delete(chatId)
  known.set(chatId, transport)
  const [oldest] = known.keys()
  if (known.size > MOST && oldest !== undefined) known.delete(oldest)
}

/** The transport of a chat; throws if there is none yet. */
export function transportOf(chatId: string): KnownTransport {
  const transport = known.get(chatId)
  if (transport !== undefined) return transport
  throw new Error(
    'no TidemarkChatTransport has been asked for this chat: give useChat resume: true, or the hook a transport',
  )
}
