// A producer that takes a stream over and appends as fast as it can, mostly one chunk per batch, until it is killed.

import { createEngine } from '../../dist/index.mjs'
import { seqOf } from '../support/fault-work.mjs'
import { createRandom } from '../support/seed.mjs'
import { texts } from '../support/streams.mjs'

const { streamId, round, count, options } = JSON.parse(process.env.WORK ?? '{}')
const random = createRandom(round)
const engine = createEngine(options)
const producer = await engine.produce(streamId, { ifActive: 'takeover' })
process.send?.({ type: 'producing', generation: producer.generation })
const chunks = texts(count, `round ${round}, chunk`)
for (let at = 0; at < chunks.length; ) {
  const together = random.chance(0.97) ? 1 : random.int(2, 30)
  const batch = chunks.slice(at, at + together)
  const cursors = await Promise.all(batch.map((chunk) => producer.append(chunk)))
  process.send?.({ type: 'accepted', at, seqs: cursors.map(seqOf) })
  at += batch.length
}
await producer.complete()
process.send?.({ type: 'completed' })
