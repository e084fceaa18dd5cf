// Compiled, not run (`npm run lint`): the answers of every version of the SDK are what `generate` may return.

import * as ai7 from 'ai'
import * as ai5 from 'ai-5'
import * as ai6 from 'ai-6'
import type { Engine } from 'tidemark'
import { chatRoutes, consumeSseStream } from 'tidemark/next'

declare const engine: Engine
declare const after: <T>(task: Promise<T> | (() => T | Promise<T>)) => void
const authorize = async (request: Request, chatId: string) => request.headers.get(chatId)
const controller = new AbortController()

chatRoutes<ai5.UIMessage>({
  engine,
  authorize,
  waitUntil: after,
  generate: ({ messages, signal }) =>
    ai5.streamText({ model: 'm', messages: ai5.convertToModelMessages(messages), abortSignal: signal }),
})

chatRoutes<ai7.UIMessage>({
  engine,
  authorize,
  generate: () => new ReadableStream<object>(),
  onFinish: async ({ chatId, generation, outcome, chunks }) => {
    let message: ai7.UIMessage | undefined
    for await (message of ai7.readUIMessageStream({ stream: chunks() }));
    return [chatId, generation, outcome, message?.parts]
  },
})

const routes = chatRoutes<ai6.UIMessage>({
  engine,
  authorize,
  generate: async ({ messages, messageId, signal }) =>
    ai6
      .streamText({ model: 'm', messages: await ai6.convertToModelMessages(messages), abortSignal: signal })
      .toUIMessageStream({ originalMessages: messages, generateMessageId: () => messageId }),
})

chatRoutes<ai7.UIMessage>({
  engine,
  authorize,
  aiVersion: 7,
  lastMessage: async ({ body, messages }) => (body.message as ai7.UIMessage | undefined) ?? messages.at(-1),
  generate: async ({ messages, signal }) => {
    const messagesOfModel = await ai7.convertToModelMessages(messages)
    const result = ai7.streamText({ model: 'm', messages: messagesOfModel, abortSignal: signal })
    return Math.random() > 0.5 ? result : ai7.toUIMessageStream({ stream: result.stream })
  },
})

// @ts-expect-error: nobody is let in by default
chatRoutes({ engine, generate: () => new ReadableStream<object>() })
// @ts-expect-error: text is no answer
chatRoutes({ engine, authorize, generate: () => 'hello' })

export const ours = (): Response[] => [
  ai5.createUIMessageStreamResponse({
    stream: new ReadableStream(),
    consumeSseStream: consumeSseStream(engine, 'chat', { owner: 'ann', controller }),
  }),
  ai7.createUIMessageStreamResponse({
    stream: new ReadableStream(),
    consumeSseStream: consumeSseStream(engine, 'chat', {
      owner: 'ann',
      controller,
      messages: [],
      aiVersion: 7,
    }),
  }),
]

/** What Next.js checks of a route's exports. */
type Handler<Params> = (request: Request, context: { params: Promise<Params> }) => Promise<Response>
export const GET: Handler<{ id: string }> = routes.GET
export const POST: Handler<Record<never, never>> = routes.POST

// What a message is made of is the SDK's affair, in each version; without that there is none.
const messages: [ai5.UIMessage | undefined, ai6.UIMessage | undefined, ai7.UIMessage | undefined, undefined] =
  [
    (await engine.result('chat', { reduce: (stream) => ai5.readUIMessageStream({ stream }) })).message,
    (await engine.result('chat', { reduce: (stream) => ai6.readUIMessageStream({ stream }) })).message,
    (await engine.result('chat', { reduce: (stream) => ai7.readUIMessageStream({ stream }) })).message,
    (await engine.result('chat', { format: 'ui-messages', timeout: '5m' })).message,
  ]
console.log(messages)
// @ts-expect-error: a text has no message
await engine.text('chat', { reduce: (stream) => ai7.readUIMessageStream({ stream }) })
