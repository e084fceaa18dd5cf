/**
 * `tidemark/next`: route handlers for the AI SDK's `useChat` (`ai` 5, 6 and 7). Answers survive reloads, other devices and
 * deploys, and Stop stops.
 *
 * @packageDocumentation
 */

export type { ActiveStream } from './next/active-stream.js'
export type { Answer, UIMessageChunks } from './next/answer.js'
export type { AnswerOptions } from './next/answer-start.js'
export { type ConsumeSseOptions, consumeSseStream } from './next/consume-sse.js'
export type { FinishedAnswer, OnFinish } from './next/finish.js'
export { type ResumeOptions, resumeResponse, stopResponse } from './next/responses.js'
export {
  type ChatRoutes,
  type ChatRoutesOptions,
  chatRoutes,
  type GenerateInput,
  type LastMessageInput,
  type RouteContext,
} from './next/routes.js'
export {
  type ChatSocketOptions,
  chatSocket,
  type ServerSocket,
  type UpgradeRequest,
  type ValidateFrame,
} from './next/socket.js'
export { withTidemark } from './next/with-tidemark.js'
