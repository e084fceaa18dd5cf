// Writes large chunks, and says of each when it was accepted, until it is killed.

import { createEngine } from '../../dist/index.mjs'

const { streamId, options, bytes } = JSON.parse(process.env.WORK ?? '{}')
const producer = await createEngine(options).produce(streamId)
for (let round = 0; ; round++) {
  process.send?.({ type: 'writing', round })
  await producer.append(`${round} `.repeat(bytes / 2))
  process.send?.({ type: 'accepted', round })
}
