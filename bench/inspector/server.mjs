// A process that writes to many streams, with an inspector mounted in it that so many open pages ask, as the page does.

import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { inspector } from 'tidemark/inspector'
import { Cpu, now } from '../lib/measure.mjs'
import { answerWords, task } from '../lib/worker.mjs'

const CHUNKS_PER_TICK = 100
const TICK_MS = 10
const PAUSE_MS = 1_000
const CHUNK = JSON.stringify({ type: 'text-delta', id: 'text', delta: 'a word or two ' })

const { streams, pages, warmUpSeconds, seconds } = task()
const engine = createEngine({ url: 'memory:', keyPrefix: `bench-${process.pid}` })
const inspect = inspector({ engine, authorize: () => true })
const producers = await Promise.all(
  Array.from({ length: streams }, (_, index) =>
    engine.produce(`stream ${index}`, { owner: `user ${index % 50}` }),
  ),
)
let turn = 0
let written = 0
const begin = now()
setInterval(() => {
  // As many as are due, so that a late timer does not reduce the load.
  const due = ((now() - begin) / TICK_MS) * CHUNKS_PER_TICK
  for (; written < due; written++) producers[turn++ % streams]?.write(CHUNK)
}, TICK_MS)

/** Requests answered. */
let looks = 0
async function look() {
  for (;;) {
    const response = await inspect(new Request('http://localhost/inspect/api/look?sort=state&page=1'))
    await response.text()
    if (response.ok) looks++
    await sleep(PAUSE_MS)
  }
}

answerWords({
  async measure() {
    for (let page = 0; page < pages; page++) void look()
    await sleep(warmUpSeconds * 1000)
    const [cpu, time, before, looked] = [new Cpu(), now(), written, looks]
    await sleep(seconds * 1000)
    return { ...cpu.used(), wallMs: now() - time, written: written - before, looks: looks - looked }
  },
})
process.send?.('writing')
