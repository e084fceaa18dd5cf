// Compiled, not run (`npm run lint`): our streams are what a World of Workflow has.

import type { Streamer, World } from '@workflow/world'
import type { Engine } from 'tidemark'
import { type WorkflowStreamer, type WorkflowStreamerOptions, workflowStreamer } from 'tidemark/workflow'

declare const engine: Engine
declare const local: World

const streamer: WorkflowStreamer = workflowStreamer(engine, { ttl: '30d', prefix: 'wf:', owner: 'ann' })
const four: Streamer = streamer
const world: World = { ...local, ...streamer }
await four.writeToStream('a', 'wrun_1', 'text')
await world.writeToStreamMulti?.('a', 'wrun_1', [new Uint8Array(1)])
await streamer.streams.write(Promise.resolve('wrun_1'), 'a', 'text')
const session = streamer.streams.createWriteSession('wrun_1', 'a', { writerId: 'step' })
await session.write(0, ['text'])
const tail: number = (await streamer.streams.getInfo('wrun_1', 'a')).tailIndex
const options: WorkflowStreamerOptions = {}
// @ts-expect-error: no such option
workflowStreamer(engine, { ...options, keyPrefix: 'x' })
// @ts-expect-error: a writer has an id
streamer.streams.createWriteSession('wrun_1', String(tail), {})
