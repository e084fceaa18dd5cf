import { useCallback } from 'react'
import { transportOf } from '../ai/known.js'
import { isServer } from './server.js'

/** The part of `TidemarkChatTransport` that ends a chat's answer. */
export interface Stopping {
  stop(chatId: string): Promise<unknown>
}

/**
 * Returns a function that ends the answer, wherever the model is called; every tab keeps the part that it has. Use it instead of the
 * `stop` that `useChat` returns, which only disconnects. The function resolves when the server has the stop.
 *
 * @param transport default: the one that the chat used last
 */
export function useStop(chatId: string, transport?: Stopping): () => Promise<void> {
  if (isServer()) return async () => {}
  return useStopping(chatId, transport)
}

function useStopping(chatId: string, transport: Stopping | undefined): () => Promise<void> {
  return useCallback(async () => {
    await (transport ?? transportOf(chatId)).stop(chatId)
  }, [chatId, transport])
}
