// A process that connects with the options of its environment, and says what came of it.

import { createEngine } from 'tidemark'

const engine = createEngine(JSON.parse(process.env.ENGINE ?? '{}'))
const error = await engine.connect().then(
  () => null,
  (error) => error.message,
)
process.send?.({ type: 'tried', error })
await engine.close()
