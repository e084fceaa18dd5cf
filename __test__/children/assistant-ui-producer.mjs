// Appends to a stream of assistant-ui with the lease of another process, finalizes it, and tells what came of that.

import { assistantUiStore } from 'tidemark/assistant-ui'
import { createEngine } from '../../dist/index.mjs'

const { id, lease, chunks, options } = JSON.parse(process.env.WORK ?? '{}')
const store = assistantUiStore(createEngine(options))
for (const chunk of chunks) await store.append(id, Buffer.from(chunk), lease)
process.send?.({ type: 'done', finalized: await store.finalize(id, 'done', undefined, lease) })
