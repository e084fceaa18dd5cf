// The writer's process. Every stream gets one chunk in a turn of the event loop, as from sockets; a single one gets all at once.

import { Cpu, now } from '../lib/measure.mjs'
import { deltas } from '../lib/payload.mjs'
import { answerWords, task } from '../lib/worker.mjs'
import { connectTo, subjectNamed } from '../subjects/index.mjs'

const WARM_UP = 4_000

const given = /** @type {import('./run.mjs').Burst & { subject: string, url: string }} */ (task())
const events = /** @type {any[]} */ (deltas(given.bytes))
const { usesRedis } = subjectNamed(given.subject)
const client = await connectTo(given.subject, given.url)
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** @param {import('../subjects/index.mjs').Writer} writer @param {number} chunks @param {number} first @param {boolean} inTurns */
async function fill(writer, chunks, first, inTurns) {
  for (let index = 0; index < chunks; index++) {
    const room = writer.write(events[(first + index) % events.length])
    if (room) await room
    else if (inTurns) await turn()
  }
  await writer.end()
}

const isSingle = given.streams === 1
await fill(await client.open('warm-up'), Math.min(WARM_UP, given.chunks * given.streams), 0, !isSingle)
const ids = Array.from({ length: given.streams }, (_, index) => `burst-${index}`)
const writers = await Promise.all(ids.map((id) => client.open(id)))

answerWords({
  async write() {
    const [cpu, begin] = [new Cpu(), now()]
    await Promise.all(writers.map((writer, index) => fill(writer, given.chunks, index * 7, !isSingle)))
    return { ...cpu.used(), wallMs: now() - begin }
  },
  async readBack() {
    let found = 0
    const count = () => {
      found++
    }
    if (usesRedis) for (const id of ids) await client.consume(id, count)
    return { found }
  },
})
process.send?.('open')
