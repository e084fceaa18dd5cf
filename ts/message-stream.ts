/**
 * `tidemark/message-stream`: the chat streams of an existing backend, on Tidemark. The names, arguments and results are those
 * of the module that it replaces; additions are optional. `docs/migrating.md` says what changes.
 *
 * ```ts
 * const chatId = await startMessageChunkStream({ chatId, userContent, type: 'ai', intervalMs: 0 }, { source: model })
 *
 * for await (const event of subscribeToMessageChunkStream(chatId, { signal: request.signal })) send(event)
 *
 * await stopMessageChunkStream(chatId)
 * ```
 *
 * Connects to `REDIS_URL`, or to `REDIS_HOST`, `REDIS_PORT` and `REDIS_PASSWORD`, when it is first used.
 *
 * @packageDocumentation
 */

export {
  cleanupAllInactiveMessageChunkStreams,
  cleanupInactiveMessageChunkStreams,
  getActiveMessageChunkStreams,
  getAllMessageChunkStreamMetrics,
  getMessageChunkStreamMetrics,
  stopMessageChunkStream,
} from './message-stream/admin'
export { createBatchedQueue } from './message-stream/batches'
export { generateContent, splitIntoChunks } from './message-stream/content'
/** Closes the connections; later calls open new ones. */
export { close as cleanup } from './message-stream/default-engine'
export { subscribeToMessageChunkStream } from './message-stream/follow'
export { createStreamQueue } from './message-stream/queue'
export { startMessageChunkStream } from './message-stream/run'
export type {
  ActiveMessageChunkStream,
  AllMessageChunkStreamMetrics,
  BatchedQueue,
  BatchedQueueOptions,
  CleanupAllResult,
  CleanupOptions,
  CleanupResult,
  MessageChunkStreamData,
  MessageChunkStreamMetrics,
  MessageChunkStreamRun,
  MessageSchema,
  MessageSource,
  MessageSubscription,
  StartOptions,
  StopOptions,
  StreamQueue,
  StreamQueueOptions,
  SubscribeOptions,
} from './message-stream/types'
export type { MessageEventName, MessageType, StreamMessage } from './schema/message-events'
