/**
 * `tidemark/ai`: `useChat` of the AI SDK (5, 6, 7) on the routes of `tidemark/next`, in a browser or in Node.js. An answer whose
 * connection is cut resumes by itself, and Stop ends it wherever the model is called. No dependencies and no native code.
 *
 * ```tsx
 * import { TidemarkChatTransport } from 'tidemark/ai'
 *
 * const transport = new TidemarkChatTransport()
 *
 * function Chat({ id, saved }) {
 *   const { messages, sendMessage } = useChat({ id, messages: saved, transport, resume: true })
 *   const stop = () => transport.stop(id)
 * }
 * ```
 *
 * @packageDocumentation
 */

export type * from './ai/options.js'
export * from './ai/transport.js'
