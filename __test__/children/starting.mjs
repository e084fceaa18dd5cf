// A worker that starts a producer and is terminated before it has its answer.

import { workerData } from 'node:worker_threads'
import { createEngine } from '../../dist/index.mjs'

const { streamId, options } = workerData
await createEngine(options).produce(streamId)
