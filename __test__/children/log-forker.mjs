// Forks a log again and again, and says of each fork that it was made, until it is killed.

import { createEngine } from '../../dist/index.mjs'

const { source, options, from } = JSON.parse(process.env.WORK ?? '{}')
const engine = createEngine(options)
for (let number = from; ; number++) {
  process.send?.({ type: 'begun', number })
  await engine.log(`${source} ${number}`).createFrom(source)
  process.send?.({ type: 'made', number })
}
