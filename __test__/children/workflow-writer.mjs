// Writes to a stream of Workflow, with the face that is asked for, and says when all of it is durable.

import { workflowStreamer } from 'tidemark/workflow'
import { createEngine } from '../../dist/index.mjs'

const { face, name, runId, chunks, writerId, options } = JSON.parse(process.env.WORK ?? '{}')
const streamer = workflowStreamer(createEngine(options))
const { streams } = streamer
if (face === 4) {
  // Not one by one: in the order of the calls.
  await Promise.all(chunks.map((chunk) => streamer.writeToStream(name, runId, chunk)))
} else if (face === 5) {
  await Promise.all(chunks.map((chunk) => streams.write(runId, name, chunk)))
} else {
  const session = streams.createWriteSession(runId, name, { writerId })
  for (const [index, chunk] of chunks.entries()) {
    await session.write(index, [chunk])
    process.send?.({ type: 'written', index })
  }
}
process.send?.({ type: 'done' })
