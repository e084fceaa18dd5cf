// A host of a TanStack AI run: appends to it, says of each append that it was accepted, and goes on until it is killed.

import { tidemarkStream } from 'tidemark/tanstack'
import { createEngine } from '../../dist/index.mjs'
import { words } from '../support/ag-ui.mjs'

const { runId, options } = JSON.parse(process.env.WORK ?? '{}')
const run = tidemarkStream(createEngine(options), { runId })
for (let number = 0; ; number++) {
  const [offset] = await run.append([words(`${number} `)])
  process.send?.({ type: 'accepted', number, offset })
}
