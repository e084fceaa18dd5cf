import { useCallback } from 'react'
import { transportOf } from '../ai/known.js'
import { isServer } from './server.js'

/** What ends a chat's answer: a `TidemarkChatTransport`. */
export interface Stopping {
  stop(chatId: string): Promise<unknown>
}

/**
 * In place of the `stop` that `useChat` returns, which only hangs up: ends the answer, wherever the model is called, and every tab
 * keeps the part that was there. Resolves when the server has been told.
 *
 * @param transport default: the one by which the chat was asked for
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
