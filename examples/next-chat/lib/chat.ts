import {
  convertToModelMessages,
  isStepCount,
  jsonSchema,
  streamText,
  tool,
  toUIMessageStream,
  type UIMessage,
} from 'ai'
import { createEngine, type Duration } from 'tidemark'
import { chatRoutes } from 'tidemark/next'
import { storyteller } from './model'
import { loadChat, saveChat } from './store'
import { userOf } from './user'

// REDIS_URL; memory without one. Told to end, the server tells its readers at once; Next.js waits for that and exits.
export const engine = createEngine({
  lease: (process.env.LEASE ?? '10s') as Duration,
  closeOnSignals: ['SIGTERM', 'SIGINT'],
})

// A model of the AI gateway, such as MODEL=openai/gpt-5 with AI_GATEWAY_API_KEY.
const model = process.env.MODEL ?? storyteller

const tools = {
  tide: tool({
    description: 'The height of the tide in a harbour',
    inputSchema: jsonSchema<{ harbour: string }>({
      type: 'object',
      properties: { harbour: { type: 'string' } },
      required: ['harbour'],
    }),
    execute: ({ harbour }) => ({ harbour, height: '3.2 m', state: 'rising' }),
  }),
  warn: tool({
    description: 'Warns a harbour of the tide',
    inputSchema: jsonSchema<{ harbour: string }>({
      type: 'object',
      properties: { harbour: { type: 'string' } },
      required: ['harbour'],
    }),
    needsApproval: true,
    execute: ({ harbour }) => ({ harbour, isWarned: true }),
  }),
}

export const { POST, GET, DELETE } = chatRoutes<UIMessage>({
  engine,
  async authorize(request, chatId) {
    const user = userOf(request.headers.get('cookie'))
    const chat = await loadChat(chatId)
    return chat === undefined || chat.owner === user ? user : null
  },
  async generate({ chatId, owner, messages, messageId, signal }) {
    await saveChat(chatId, owner, messages)
    const result = streamText({
      model,
      tools,
      stopWhen: isStepCount(5),
      messages: await convertToModelMessages(messages),
      abortSignal: signal,
    })
    return toUIMessageStream({
      stream: result.stream,
      originalMessages: messages,
      generateMessageId: () => messageId,
      onEnd: ({ messages }) => saveChat(chatId, owner, messages),
    })
  },
})
