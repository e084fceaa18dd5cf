/**
 * The streams of a World of Workflow: `docs/workflow.md`.
 *
 * @packageDocumentation
 */
export { type WorkflowStreamerOptions, workflowStreamer } from './workflow/streamer'
export type {
  ChunksPage,
  GetChunksOptions,
  RunId,
  Streamer4,
  StreamInfo,
  Streams5,
  WorkflowChunk,
  WorkflowStreamer,
  WriteSession,
} from './workflow/types'
