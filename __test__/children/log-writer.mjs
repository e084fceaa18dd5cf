// Appends to a log as a producer that numbers what it writes, and says of each append that it was accepted, until it is killed.

import { createEngine } from '../../dist/index.mjs'

const { streamId, options, name, from, large } = JSON.parse(process.env.WORK ?? '{}')
const log = createEngine(options).log(streamId)
for (let seq = from; ; seq++) {
  const text = `${name} ${seq}`
  // Every few of them is in pieces.
  const data = seq % 4 === 3 ? Buffer.from(`${text} `.padEnd(large, '.')) : text
  await log.append([data], { producer: { id: name, epoch: 0, seq } })
  process.send?.({ type: 'accepted', seq })
}
