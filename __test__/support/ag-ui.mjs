// Chunks of TanStack AI, which are events of AG-UI.

import { EventType } from '@tanstack/ai'

/** @typedef {import('@tanstack/ai').StreamChunk} StreamChunk */

/** @param {string} delta @returns {StreamChunk} */
export const words = (delta) =>
  /** @type {StreamChunk} */ ({ type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'm1', delta, timestamp: 1 })

/** @param {string} [runId] @returns {StreamChunk} */
export const started = (runId = 'run') =>
  /** @type {StreamChunk} */ ({ type: EventType.RUN_STARTED, runId, threadId: 't1', timestamp: 1 })

/** @param {string} [runId] @returns {StreamChunk} */
export const finished = (runId = 'run') =>
  /** @type {StreamChunk} */ ({ type: EventType.RUN_FINISHED, runId, threadId: 't1', timestamp: 1 })

/** What a chunk says, or is. @param {StreamChunk} chunk */
export const label = (chunk) => ('delta' in chunk ? String(chunk.delta) : `[${chunk.type}]`)
