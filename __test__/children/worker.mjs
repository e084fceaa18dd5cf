// One worker of workers.mjs: produces and reads without end.

import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { createEngine } from '../../dist/index.mjs'

const { index, round, options } = workerData
const engine = createEngine(options)
const streamId = `worker ${index}`
const producer = await engine.produce(streamId, { ifActive: 'takeover' })
const all = engine.subscribe(`worker ${(index + 1) % 8}`, { follow: 'all', from: 'now' })
void (async () => {
  for await (const _ of all);
})().catch(() => {})

for await (const { seq } of write()) {
  if (seq % 50 === 0) parentPort?.postMessage(seq)
}

/** Writes for ever; gives what can be read of it. */
async function* write() {
  const own = engine.subscribe(streamId, { from: `${producer.generation}.0` })
  for (let count = 0; ; count++) {
    producer.write(`round ${round}, ${count}`)
    if (count % 10 === 0) await turn()
    const { value } = await own.next()
    if (value) yield value
  }
}
