// The readers' process: reads one finished stream, many times at once, as objects or as responses of server-sent events.

import { Cpu, now } from '../lib/measure.mjs'
import { median } from '../lib/statistics.mjs'
import { answerWords, task } from '../lib/worker.mjs'
import { connectTo } from '../subjects/index.mjs'

/** Replays before the measurement: a server that serves readers has run this code before. */
const WARM_UPS = 3
const ID = 'burst-0'

const { subject, url, chunks, readers, way } = task()

/** Reads everything; calls back for each piece with its number of chunks. @type {(on: (chunks: number) => void) => Promise<void>} */
let read

if (way === 'objects') {
  const client = await connectTo(subject, url)
  read = (on) => client.consume(ID, () => on(1))
} else {
  const { createEngine } = await import('tidemark')
  const engine = createEngine({ url })
  /** What a client of the AI SDK asks for, or any other one. @type {import('tidemark').RespondOptions} */
  const options = way === 'merged' ? { format: 'ui-messages' } : {}
  read = async (on) => {
    const response = await engine.respond(new Request('http://localhost/'), ID, options)
    const body = /** @type {AsyncIterable<Uint8Array>} */ (/** @type {unknown} */ (response.body))
    for await (const piece of body) {
      pieces.push(piece)
      on(0)
    }
  }
}

/** The bytes of all responses; their events are counted after the measurement. @type {Uint8Array[]} */
let pieces = []

/** How often the responses have this text. @param {string} text */
function countOf(text) {
  const all = Buffer.concat(pieces)
  pieces = []
  let count = 0
  for (let at = all.indexOf(text); at >= 0; at = all.indexOf(text, at + 1)) count++
  return count
}

/** Readers that have got everything. @param {{ count: number }[]} all */
function complete(all) {
  if (way === 'objects') return all.filter(({ count }) => count === chunks).length
  // The cursor of the last chunk, or of every one.
  return way === 'merged' ? countOf(`.${chunks}\n`) : Math.floor(countOf('\nid: ') / chunks)
}

async function one() {
  const begin = now()
  let [first, count] = [0, 0]
  await read((chunks) => {
    first ||= now()
    count += chunks
  })
  return { first: first - begin, last: now() - begin, count }
}

answerWords({
  async warmUp() {
    for (let count = 0; count < WARM_UPS; count++) await one()
    pieces = []
    return 'warm'
  },
  async replay() {
    const cpu = new Cpu()
    const all = await Promise.all(Array.from({ length: readers }, one))
    const used = cpu.used()
    return {
      ...used,
      complete: complete(all),
      firstMs: median(all.map(({ first }) => first)),
      lastMs: median(all.map(({ last }) => last)),
    }
  },
})
process.send?.('following')
