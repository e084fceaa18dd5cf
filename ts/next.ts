/**
 * `tidemark/next`: route handlers for the AI SDK's `useChat` (`ai` 5, 6 and 7). Answers survive reloads, other devices and
 * deploys, and Stop stops.
 *
 * @packageDocumentation
 */

export type { ActiveStream } from './active-stream.js'
export type { Answer, UIMessageChunks } from './answer.js'
export type { AnswerOptions } from './answer-start.js'
export type { FinishedAnswer, OnFinish } from './chat-finish.js'
export { type ResumeOptions, resumeResponse, stopResponse } from './chat-responses.js'
export {
  type ChatRoutes,
  type ChatRoutesOptions,
  chatRoutes,
  type GenerateInput,
  type LastMessageInput,
  type RouteContext,
} from './chat-routes.js'
export { type ConsumeSseOptions, consumeSseStream } from './consume-sse.js'
export { withTidemark } from './with-tidemark.js'
