// Compiled, not run (`npm run lint`): our adapter is what TanStack AI takes.

import {
  chat,
  replayRunStream,
  resumeHttpResponse,
  resumeServerSentEventsResponse,
  type StreamChunk,
  type StreamDurability,
  toHttpResponse,
  toServerSentEventsResponse,
} from '@tanstack/ai'
import type { Engine } from 'tidemark'
import { type TidemarkStreamOptions, tidemarkStream } from 'tidemark/tanstack'

declare const engine: Engine
declare const request: Request
declare const stream: AsyncIterable<StreamChunk>

const durability: StreamDurability = tidemarkStream(engine, request)
const run = tidemarkStream(engine, { runId: 'a', offset: null }, { owner: 'ann', ttl: '7d' })
const runId: string = run.runId
toServerSentEventsResponse(stream, { durability: { adapter: run, batch: 8 } })
toHttpResponse(stream, { durability: { adapter: tidemarkStream(engine, request) } })
resumeServerSentEventsResponse({ adapter: durability })
resumeHttpResponse({ adapter: tidemarkStream(engine, request, { onStop: (reason: string) => reason }) })
for await (const chunk of replayRunStream(run)) console.log(chunk.type, runId, chat)
const options: TidemarkStreamOptions = { firstChunkDeadlineMs: 1000, prefix: 'runs:' }
// @ts-expect-error: a run is named
tidemarkStream(engine, { offset: '-1' }, options)
// @ts-expect-error: no such option
tidemarkStream(engine, request, { keyPrefix: 'x' })
// @ts-expect-error: this adapter only appends
run.upsert([])
