import { useEffect, useRef } from 'react'
import { type WatchableChat, type WatchableMessage, watch } from '../ai/watch.js'
import { isServer } from './server.js'

/**
 * Shows in a chat the questions and answers that begin in another tab or on another device. Its transport must have `watch: true`.
 *
 * ```tsx
 * const chat = useChat({ id, messages, transport, resume: true })
 * useWatch(chat)
 * ```
 *
 * @param chat what `useChat` returns
 * @param transport default: the one that the chat used last; with `resume: true` it is used at once
 */
export function useWatch<Message extends WatchableMessage>(
  chat: WatchableChat<Message>,
  transport?: unknown,
): void {
  if (!isServer()) useWatched(chat, transport)
}

function useWatched<Message extends WatchableMessage>(
  chat: WatchableChat<Message>,
  transport: unknown,
): void {
  const latest = useRef(chat)
  useEffect(() => {
    latest.current = chat
  })
  const { id } = chat
  useEffect(() => {
    const current: WatchableChat<Message> = {
      id,
      get status() {
        return latest.current.status
      },
      get messages() {
        return latest.current.messages
      },
      setMessages(change) {
        latest.current.setMessages?.(change)
      },
      resumeStream: () => latest.current.resumeStream(),
    }
    return watch(current, transport)
  }, [id, transport])
}
