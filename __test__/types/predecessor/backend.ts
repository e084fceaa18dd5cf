// Compiled twice, not run: against the types of the original module, and against those of `tidemark/message-stream`.
import * as streams from 'message-streaming'
import {
  createStreamQueue,
  type MessageChunkStreamData,
  type MessageType,
  type StreamMessage,
  startMessageChunkStream,
  subscribeToMessageChunkStream,
} from 'message-streaming'

// As an application declares its own.
interface AppMessage {
  id: string
  createdAt: Date
  chatId: string
  content: string
  from: string
  text?: string
}

declare const app: AppMessage
declare const options: { temperature: number }

export async function post(chatId: string, userContent: string): Promise<{ id: string }> {
  const data: MessageChunkStreamData = {
    chatId,
    userContent,
    type: 'demo',
    intervalMs: 50,
    maxChunks: 10,
    ownerId: 'user',
    config: options,
    shouldStop: false,
  }
  if (data.config?.temperature > 1) data.stoppedAt = new Date().toISOString()
  const id: string = await startMessageChunkStream(data)
  const started: Promise<string> = startMessageChunkStream(data)
  started.then((chat) => chat.toUpperCase()).catch(() => undefined)
  return { id }
}

export async function* events(chatId: string, since?: string): AsyncGenerator<string> {
  const generator: AsyncGenerator<StreamMessage> = since
    ? subscribeToMessageChunkStream(chatId, { fromTimestamp: since })
    : subscribeToMessageChunkStream(chatId)
  for await (const event of generator) {
    const type: StreamMessage['type'] = event.type
    if (type === 'aiMessageChunk' || type === 'agentChunk') yield event.chunk ?? ''
    if (event.message !== undefined) {
      const message: MessageType = event.message
      const text: string = message.content
      yield `${message.id} ${message.from} ${text} ${message.text?.trim()} ${new Date(message.createdAt).getTime()}`
    }
    if (event.type === 'aiMessageComplete') break
  }
  await generator.return(undefined)
}

export async function agent(chatId: string, tokens: AsyncIterable<string>): Promise<void> {
  const queue = createStreamQueue(chatId, { batchTimeMs: 100, maxBatchSize: 10, expireAfterSeconds: 60 })
  const { enqueue }: { enqueue(event: StreamMessage): Promise<void> } = queue
  const message: MessageType = app
  await enqueue({ type: 'messageStart', chatId, message })
  let n = 0
  for await (const chunk of tokens) {
    const event: StreamMessage = {
      type: 'agentChunk',
      chatId,
      chunk,
      chunkId: `chunk-${++n}`,
      messageId: app.id,
    }
    await queue.enqueue(event)
  }
  await queue.enqueue({ type: 'messageComplete', chatId, message: { ...app, createdAt: new Date() } })
  await queue.cleanup()
}

export async function operate(chatId: string): Promise<unknown> {
  const stopped: boolean = await streams.stopMessageChunkStream(chatId)
  const active: { streamId: string; chatId: string; jobId: string }[] =
    await streams.getActiveMessageChunkStreams()
  const metrics = await streams.getMessageChunkStreamMetrics(chatId)
  const first = metrics && [
    metrics.totalEvents + metrics.totalMessages,
    metrics.isCompleted,
    metrics.ttlSeconds,
  ]
  const second = metrics && {
    keys: [metrics.streamKey, metrics.channelKey].join(),
    ids: [metrics.firstMessageId, metrics.lastMessageId],
    times: [metrics.oldestTimestamp, metrics.newestTimestamp, metrics.ageSeconds],
  }
  const all = await streams.getAllMessageChunkStreamMetrics()
  const totals: number = all.totalChats + all.activeStreams + all.chats.length
  const one = await streams.cleanupInactiveMessageChunkStreams(chatId)
  const many = await streams.cleanupAllInactiveMessageChunkStreams()
  const removed: number = one.removedKeys + many.totalRemoved + many.totalChats
  const details = many.details.map(({ chatId, removedKeys }) => `${chatId}: ${removedKeys}`)
  await streams.cleanup()
  return { stopped, active, first, second, totals, removed, details, id: one.chatId }
}

export async function batch(): Promise<string[]> {
  const queue = streams.createBatchedQueue<string>({ batchTimeMs: 10, maxBatchSize: 5 }, async (items) => {
    items.map((item) => item.length)
  })
  queue.add('item')
  await queue.flush()
  queue.destroy()
  return streams.splitIntoChunks(streams.generateContent('conversation', 'tides'), 5)
}
