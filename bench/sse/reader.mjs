// The readers' process: a response for each stream, whose body is read and thrown away.

import { createEngine } from '../../dist/index.mjs'
import { Cpu } from '../lib/measure.mjs'
import { answerWords, task } from '../lib/worker.mjs'
import * as load from '../live/load.mjs'

const given = /** @type {load.Task} */ (task())
const { streams } = load.shapeOf(given)
const engine = createEngine({ url: given.url })
const encoder = new TextEncoder()

/** What an application writes that has the iterator alone: a line, an event and an encoding for each chunk. */
function byHand(/** @type {string} */ id) {
  const chunks = engine.subscribe(id)
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(`id: ${value.cursor}\ndata: ${value.text()}\n\n`))
    },
    cancel: () => chunks.return(),
  })
}

/** @type {Record<string, (id: string) => ReadableStream<Uint8Array>>} */
const ways = { 'by hand': byHand, toSSE: (id) => engine.subscribe(id).toSSE() }
const make = ways[given.subject]
if (!make) throw new Error(`no way ${given.subject}`)
let pieces = 0
let bytes = 0
/** Reads a response for each stream, `fan` times. */
const readAll = () =>
  Promise.all(
    Array.from({ length: streams * given.fan }, async (_, index) => {
      for await (const piece of make(load.streamId(index % streams))) {
        pieces++
        bytes += piece.byteLength
      }
    }),
  )
const live = readAll()

const begin = () => ({ cpu: new Cpu(), pieces, bytes })
/** @type {ReturnType<typeof begin>} */
let measured
const used = () => ({
  ...measured.cpu.used(),
  pieces: pieces - measured.pieces,
  bytes: bytes - measured.bytes,
})
answerWords({
  measure() {
    measured = begin()
    return 'measuring'
  },
  freeze: used,
  async finish() {
    await live
    return { bytes }
  },
  /** All of it once more, from the log. */
  async replay() {
    measured = begin()
    await readAll()
    return used()
  },
})
process.send?.('following')
