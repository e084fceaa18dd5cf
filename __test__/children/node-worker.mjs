// A worker thread with an engine of its own, whose streams it writes once and then leaves alone.

import { parentPort, workerData } from 'node:worker_threads'
import { createEngine } from '../../dist/index.mjs'

const { options, streamIds } = workerData
const engine = createEngine(options)
const producers = await Promise.all(streamIds.map((/** @type {string} */ id) => engine.produce(id)))
await Promise.all(producers.map((producer) => producer.append('1')))
parentPort?.postMessage('open')
setInterval(() => producers.length, 60_000)
