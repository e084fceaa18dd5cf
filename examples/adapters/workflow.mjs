// Workflow: the streams of a World, as steps write them and clients read them.   node examples/adapters/workflow.mjs
//
// In an application it is Workflow's runtime that calls these methods: WORKFLOW_TARGET_WORLD names a module such as
//
//   export const createWorld = () => ({ ...createLocalWorld(), ...workflowStreamer(createEngine()) })

import { createEngine } from 'tidemark'
import { workflowStreamer } from 'tidemark/workflow'
import { answer } from '../servers/model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one.
const engine = createEngine()
const world = workflowStreamer(engine)
const [run, name] = ['wrun_example', `strm_${Date.now()}`]

/** A step, each of whose writes counts once, however often the step is tried. */
async function step(attempt) {
  const session = world.streams.createWriteSession(run, name, { writerId: 'step_1' })
  let seq = 0
  for await (const word of answer(new AbortController().signal)) {
    if (attempt === 1 && seq === 8) return
    await session.write(seq++, [word])
  }
  await session.close()
}

const shown = (async () => {
  for await (const chunk of await world.readFromStream(name)) process.stdout.write(chunk)
  process.stdout.write('\n')
})()
await step(1)
await step(2)
await shown
const { tailIndex, done } = await world.getStreamInfo(name, run)
console.log(
  `${tailIndex + 1} chunks, done: ${done}, streams of the run: ${(await world.streams.list(run)).length}`,
)
await engine.close()
