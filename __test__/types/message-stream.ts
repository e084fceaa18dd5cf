// Compiled, not run (types.test.mjs): what tidemark/message-stream adds to the names that it took over.
import type { Outcome } from 'tidemark'
import {
  createBatchedQueue,
  createStreamQueue,
  getMessageChunkStreamMetrics,
  type MessageChunkStreamMetrics,
  type StreamMessage,
  startMessageChunkStream,
  stopMessageChunkStream,
  subscribeToMessageChunkStream,
} from 'tidemark/message-stream'
import { defineEvents, messageEvents } from 'tidemark/schema'
import * as z from 'zod'

declare function equal<T>(): <U>(
  value: U & ([U] extends [T] ? ([T] extends [U] ? unknown : never) : never),
) => void
declare const words: AsyncIterable<string>
const maybe: string | undefined = process.env.MAYBE
const data = { chatId: 'chat', userContent: 'Hello', type: 'ai', intervalMs: 0 } as const
const schema = defineEvents({ agentChunk: z.object({ chunk: z.string() }) })

export async function use(signal: AbortSignal): Promise<Outcome | undefined> {
  const run = startMessageChunkStream(data, {
    source: (stop) => (stop.aborted ? words : ReadableStream.from(['a'])),
  })
  equal<string>()(await run)
  equal<Outcome>()(await run.finished)
  startMessageChunkStream(data, {
    source: words,
    signal,
    ttlSeconds: 60,
    schema,
    owner: maybe,
    onError: console.error,
  })
  startMessageChunkStream(data, { schema: false })
  // @ts-expect-error: bytes are not text
  startMessageChunkStream(data, { source: ReadableStream.from([new Uint8Array(1)]) })
  // @ts-expect-error: not a kind of answer
  startMessageChunkStream({ ...data, type: 'other' })

  const events = subscribeToMessageChunkStream('chat', {
    signal,
    from: maybe,
    fromTimestamp: maybe,
    userId: maybe,
    owner: maybe,
    wait: '5s',
    validate: 'drop',
    schema: messageEvents,
  })
  for await (const event of events) equal<StreamMessage>()(event)
  equal<string | undefined>()(events.cursor)
  equal<boolean>()(await stopMessageChunkStream('chat', 'enough', { owner: maybe }))

  const queue = createStreamQueue('chat', { signal, schema, owner: maybe })
  equal<AbortSignal>()(queue.signal)
  // @ts-expect-error: events belong to a chat
  queue.enqueue({ type: 'agentChunk', chunk: 'one' })
  equal<Promise<void>>()(createBatchedQueue<number>({}, (items) => items.length).add(5))
  equal<MessageChunkStreamMetrics | null>()(await getMessageChunkStreamMetrics('chat'))
  return events.outcome
}
