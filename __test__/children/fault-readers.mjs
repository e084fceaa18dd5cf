// A process of readers. It is told what to read, asked how far they are, and gives their histories at the end.

import { createEngine } from '../../dist/index.js'
import { histories, startReaders } from '../support/fault-work.mjs'
import { createRandom } from '../support/seed.mjs'

/** @typedef {import('../support/child.mjs').Message} Message */

/** @type {Map<string, import('../support/fault-work.mjs').Reading[]>} */
const readings = new Map()
/** @type {string[]} */
const states = []
const engine = createEngine(JSON.parse(process.env.ENGINE ?? '{}'))
engine.on('state', (state) => states.push(state))

/** @type {Record<string, (message: Message) => void | Promise<void>>} */
const orders = {
  read({ streamIds, each, stay, salt }) {
    const options = { each, name: `remote ${salt}.`, random: createRandom(salt), stay }
    for (const [id, readers] of startReaders(engine, streamIds, options)) {
      readings.set(id, [...(readings.get(id) ?? []), ...readers])
    }
  },
  progress() {
    const chunks = Object.fromEntries(
      [...readings].map(([id, readers]) => [id, readers.map((reader) => reader.chunks)]),
    )
    process.send?.({ type: 'progress', chunks, state: engine.state, states })
  },
  async collect({ streamId, ms }) {
    const readers = readings.get(streamId) ?? []
    const message = { type: `history ${streamId}`, ...(await histories(new Map([[streamId, readers]]), ms)) }
    readings.delete(streamId)
    process.send?.(message)
  },
  async finish({ ms }) {
    const message = { type: 'histories', histories: await histories(readings, ms) }
    await new Promise((resolve) => process.send?.(message, resolve))
    await engine.close()
    process.disconnect()
  },
}

process.on('message', (/** @type {Message} */ message) => orders[message.type]?.(message))
process.send?.({ type: 'ready' })
