// An engine in a process of its own that does what it is told by messages; each is answered under its own type.

import { createEngine } from '../../dist/index.mjs'

const engine = createEngine(JSON.parse(process.env.ENGINE ?? '{}'))
/** @type {Map<string, import('tidemark').Producer>} */
const producers = new Map()

/** Milliseconds that can be compared with another process'. */
const now = () => performance.timeOrigin + performance.now()
/** @param {any} message */
const send = (message) => process.send?.({ at: now(), ...message })
/** @param {string} streamId */
const producerOf = (streamId) => {
  const producer = producers.get(streamId)
  if (!producer) throw new Error(`no producer of ${streamId}`)
  return producer
}

/** @type {Record<string, (args: any) => any>} */
const commands = {
  async produce({ streamId, options }) {
    const producer = await engine.produce(streamId, options)
    producers.set(streamId, producer)
    producer.signal.addEventListener('abort', () => {
      const { code, reason } = producer.signal.reason
      send({ type: 'aborted', streamId, code, reason })
    })
    return { generation: producer.generation }
  },
  /** Produces many, and writes a chunk to each. */
  async open({ streamIds }) {
    await Promise.all(streamIds.map((/** @type {string} */ streamId) => commands.produce?.({ streamId })))
    for (const streamId of streamIds) producerOf(streamId).write('1')
    await Promise.all(streamIds.map((/** @type {string} */ streamId) => producerOf(streamId).flush()))
  },
  async write({ streamId, chunks }) {
    const producer = producerOf(streamId)
    for (const chunk of chunks) producer.write(chunk)
    await producer.flush()
  },
  complete: async ({ streamId }) => ({ outcome: await producerOf(streamId).complete() }),
  stop: async ({ streamId, reason }) => ({ result: await engine.stop(streamId, reason) }),
  /** Answers when the loop has ended; tells of the first chunk before. */
  async read({ streamId, options }) {
    const subscription = engine.subscribe(streamId, options)
    const chunks = []
    let error
    try {
      for await (const { seq, data } of subscription) {
        if (chunks.length === 0) send({ type: 'attached', streamId })
        chunks.push({ seq, data })
      }
    } catch (thrown) {
      error = { code: /** @type {any} */ (thrown).code, reason: /** @type {any} */ (thrown).reason }
    }
    return { chunks, error, outcome: subscription.outcome ?? error?.code }
  },
  /** Deals with some items of a group, and then holds on to what it has got. */
  async consume({ streamId, options }) {
    /** @type {{ seq: number, data: any }[]} */
    const items = []
    for await (const item of engine.consume(streamId, options)) {
      if (items.length === 20) {
        send({ type: 'holding', items })
        await new Promise(() => {})
      }
      await item.ack()
      items.push({ seq: item.seq, data: item.data })
    }
  },
  /** Keeps the JavaScript thread from doing anything else. */
  block({ ms }) {
    for (const end = now() + ms; now() < end; );
  },
}

process.on('message', async (/** @type {any} */ { type, ...args }) => {
  try {
    send({ type, ...(await commands[type]?.(args)) })
  } catch (error) {
    const { code, message } = /** @type {any} */ (error)
    send({ type, refused: code ?? message })
  }
})
send({ type: 'ready' })
