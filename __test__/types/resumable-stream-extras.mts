// What the drop-in can do beyond the original.
import { createEngine, type StopResult } from 'tidemark'
import {
  createResumableStreamContext,
  type ResumableStreamContext,
  type TidemarkStreamContext,
} from 'tidemark/resumable-stream'
import * as generic from 'tidemark/resumable-stream/generic'

const ctx: TidemarkStreamContext = createResumableStreamContext({
  waitUntil: null,
  replayAfterDone: true,
  ttlSeconds: 3600,
  engine: createEngine({ url: 'memory:' }),
})
export const narrower: ResumableStreamContext = ctx
export const stopped: Promise<StopResult> = ctx.stop('id', 'a reason')

declare function model(signal: AbortSignal): ReadableStream<string>
await ctx.createNewResumableStream('id', model)
await ctx.resumableStream('id', (signal) => model(signal), 5)
await generic.createResumableStreamContext({ waitUntil: null }).resumableStream('id', model)
// @ts-expect-error: in seconds
createResumableStreamContext({ waitUntil: null, ttlSeconds: '1h' })
