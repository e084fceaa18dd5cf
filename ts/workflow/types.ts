// The interfaces of a World's streams, as `@workflow/world` 4 and 5 have them.

/** A run's id, or a promise of it. */
export type RunId = string | Promise<string>
export type WorkflowChunk = string | Uint8Array

export interface GetChunksOptions {
  /** 1 to 1,000, default 100; more is 1,000. */
  limit?: number | undefined
  /** From the previous page. Any other text means the beginning. */
  cursor?: string | undefined
}

export interface ChunksPage {
  data: { index: number; data: Uint8Array }[]
  /** For the next page; null when there is no more at this moment. */
  cursor: string | null
  hasMore: boolean
  /** Whether the stream is closed. */
  done: boolean
}

export interface StreamInfo {
  /** The index of the last chunk, from 0; −1 when there is none. */
  tailIndex: number
  done: boolean
}

/** World 4: the name comes first. */
export interface Streamer4 {
  /** 0: what is written is stored at once. */
  streamFlushIntervalMs: number
  writeToStream(name: string, runId: RunId, chunk: WorkflowChunk): Promise<void>
  writeToStreamMulti(name: string, runId: RunId, chunks: WorkflowChunk[]): Promise<void>
  closeStream(name: string, runId: RunId): Promise<void>
  /** From a chunk's index, from 0; a negative one counts from the end. A stream that is not there is waited for. */
  readFromStream(name: string, startIndex?: number): Promise<ReadableStream<Uint8Array>>
  listStreamsByRunId(runId: string): Promise<string[]>
  getStreamChunks(name: string, runId: string, options?: GetChunksOptions): Promise<ChunksPage>
  getStreamInfo(name: string, runId: string): Promise<StreamInfo>
}

/** Writes chunks once, however often a write is tried. */
export interface WriteSession {
  /** `chunkSeq` numbers the writes of a writer: a whole number, greater than that of the write before. */
  write(chunkSeq: number, chunks: WorkflowChunk | readonly WorkflowChunk[]): Promise<void>
  close(): Promise<void>
  dispose(): void
}

/** World 5: the run comes first. */
export interface Streams5 {
  write(runId: RunId, name: string, chunk: WorkflowChunk): Promise<void>
  writeMulti(runId: RunId, name: string, chunks: WorkflowChunk[]): Promise<void>
  close(runId: RunId, name: string): Promise<void>
  get(runId: string, name: string, startIndex?: number): Promise<ReadableStream<Uint8Array>>
  list(runId: string): Promise<string[]>
  getChunks(runId: string, name: string, options?: GetChunksOptions): Promise<ChunksPage>
  getInfo(runId: string, name: string): Promise<StreamInfo>
  createWriteSession(runId: RunId, name: string, options: { writerId: string }): WriteSession
}

/** Both interfaces, over the same streams. Its methods need no `this`, so that it may be spread. */
export interface WorkflowStreamer extends Streamer4 {
  streams: Streams5
}
