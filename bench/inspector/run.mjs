// What an open inspector costs the engine that it looks at: `node bench/inspector/run.mjs [seconds] [url]`.
//
// One process writes 10,000 chunks a second to 1,000 streams; the inspector is mounted in it, and is asked for what the page asks
// for, once a second. Rounds with and without alternate, and the processor's time of the process is compared.

import { createEngine } from '../../dist/index.mjs'
import { inspector } from '../../dist/inspector.mjs'

const STREAMS = 1_000
const CHUNKS_PER_TICK = 100
const TICK_MS = 10
const ROUNDS = 4
const CHUNK = JSON.stringify({ type: 'text-delta', id: 'text', delta: 'a word or two ' })

const seconds = Number(process.argv[2] ?? 15)
const engine = createEngine({ url: process.argv[3] ?? 'memory:', keyPrefix: `bench-${process.pid}` })
const inspect = inspector({ engine, authorize: () => true })
const producers = await Promise.all(
  Array.from({ length: STREAMS }, (_, index) =>
    engine.produce(`stream ${index}`, { owner: `user ${index % 50}` }),
  ),
)
let turn = 0
let written = 0
const begin = performance.now()
const writing = setInterval(() => {
  // As many as are due, so that a late timer does not make the load lighter.
  const due = ((performance.now() - begin) / TICK_MS) * CHUNKS_PER_TICK
  for (; written < due; written++) producers[turn++ % STREAMS]?.write(CHUNK)
}, TICK_MS)

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** The page's questions, as it asks them. @param {AbortSignal} signal */
async function look(signal) {
  while (!signal.aborted) {
    const response = await inspect(new Request('http://localhost/inspect/api/look?sort=state&page=1'))
    await response.text()
    await sleep(1_000)
  }
}

/** Percent of one processor. @param {number} pages */
async function round(pages) {
  const end = new AbortController()
  for (let page = 0; page < pages; page++) void look(end.signal)
  await sleep(2_000)
  const [start, cpu, before] = [performance.now(), process.cpuUsage(), written]
  await sleep(seconds * 1_000)
  const { user, system } = process.cpuUsage(cpu)
  const ms = performance.now() - start
  const rate = ((written - before) / ms) * 1_000
  end.abort()
  await sleep(1_200)
  return { percent: (user + system) / ms / 10, rate }
}

await sleep(3_000)
/** @type {Map<number, number[]>} */
const results = new Map([0, 1, 10].map((pages) => [pages, []]))
for (let index = 0; index < ROUNDS; index++) {
  for (const [pages, percents] of results) {
    const { percent, rate } = await round(pages)
    percents.push(percent)
    console.error(`${pages} pages: ${percent.toFixed(1)} % of a processor at ${Math.round(rate)} chunks/s`)
  }
}
clearInterval(writing)
/** @param {number[]} values */
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
for (const [pages, percents] of results) console.log(`${pages} pages: ${mean(percents).toFixed(1)} %`)
await engine.close()
