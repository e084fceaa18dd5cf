// The types of the backend's own module, which `tidemark/message-stream` replaces: both of its generations.

export type MessageType = {
  id: string
  createdAt: Date
  chatId: string
  content: string
  from: string
  text?: string
}

export type StreamMessage = {
  type:
    | 'userMessage'
    | 'aiMessageStart'
    | 'aiMessageChunk'
    | 'aiMessageComplete'
    | 'messageStart'
    | 'agentChunk'
    | 'messageComplete'
  message?: MessageType
  messageId?: string
  chunk?: string
  chunkId?: string
  chatId: string
}

export interface MessageChunkStreamData {
  chatId: string
  userContent: string
  type: 'demo' | 'ai' | 'conversation'
  intervalMs: number
  maxChunks?: number
  ownerId?: string
  // biome-ignore lint/suspicious/noExplicitAny: as it was
  config?: Record<string, any>
  shouldStop?: boolean
  stoppedAt?: string
}

export function startMessageChunkStream(data: MessageChunkStreamData): Promise<string>
export function subscribeToMessageChunkStream(
  chatId: string,
  options?: { fromTimestamp?: string },
): AsyncGenerator<StreamMessage>
export function stopMessageChunkStream(chatId: string): Promise<boolean>
export function getActiveMessageChunkStreams(): Promise<{ streamId: string; chatId: string; jobId: string }[]>
export function getMessageChunkStreamMetrics(chatId: string): Promise<{
  chatId: string
  totalEvents: number
  isCompleted: boolean
  ttlSeconds: number
  streamKey: string
  channelKey: string
  totalMessages: number
  firstMessageId: string | null
  lastMessageId: string | null
  oldestTimestamp: string | null
  newestTimestamp: string | null
  ageSeconds: number | null
} | null>
export function getAllMessageChunkStreamMetrics(): Promise<{
  totalChats: number
  chats: { chatId: string; totalEvents: number; isCompleted: boolean; ttlSeconds: number }[]
  activeStreams: number
}>
export function cleanupInactiveMessageChunkStreams(
  chatId: string,
): Promise<{ chatId: string; removedKeys: number }>
export function cleanupAllInactiveMessageChunkStreams(): Promise<{
  totalChats: number
  totalRemoved: number
  details: { chatId: string; removedKeys: number }[]
}>
export function createStreamQueue(
  chatId: string,
  options?: { batchTimeMs?: number; maxBatchSize?: number; expireAfterSeconds?: number },
): { enqueue(event: StreamMessage): Promise<void>; cleanup(): Promise<void> }
export function createBatchedQueue<T>(
  options: { batchTimeMs?: number; maxBatchSize?: number },
  flushHandler: (items: T[]) => Promise<void>,
): { add(item: T): void; flush(): Promise<void>; destroy(): void }
export function generateContent(type: 'demo' | 'ai' | 'conversation', userContent: string): string
export function splitIntoChunks(content: string, n: number): string[]
export function cleanup(): Promise<void>
