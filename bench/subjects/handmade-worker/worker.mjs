// The worker's side: the hand-made hub, with events as texts.

import { parentPort, workerData } from 'node:worker_threads'
import { Hub } from '../handmade/hub.mjs'

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort)
const hub = await Hub.connect(workerData.url, 'text')
/** @type {import('../handmade/producer.mjs').Producer[]} */
const producers = []

/** What has arrived in this turn. */
let readers = /** @type {number[]} */ ([])
let events = /** @type {string[]} */ ([])

/** @param {number} reader @param {string} event */
function arrived(reader, event) {
  if (readers.length === 0) setImmediate(deliver)
  readers.push(reader)
  events.push(event)
}

function deliver() {
  if (readers.length === 0) return
  port.postMessage({ readers, events: `[${events.join(',')}]` })
  readers = []
  events = []
}

/** @param {number[]} streams @param {string[]} chunks */
async function write(streams, chunks) {
  /** @type {Set<Promise<void>>} */
  const full = new Set()
  for (let index = 0; index < chunks.length; index++) {
    const room = producers[/** @type {number} */ (streams[index])]?.push(
      /** @type {string} */ (chunks[index]),
    )
    if (room) full.add(room)
  }
  await Promise.all(full)
  port.postMessage({ taken: chunks.length })
}

/** @type {Record<string, (question: any) => unknown>} */
const answers = {
  connect: () => undefined,
  open: ({ id }) => producers.push(hub.produce(id)) - 1,
  end: ({ stream }) => producers[stream]?.end(),
  async follow({ id, reader }) {
    for await (const event of hub.subscribe(id)) arrived(reader, event)
    deliver()
  },
}

port.on('message', async ({ what, call, ...question }) => {
  if (what === 'write') return write(question.streams, question.chunks)
  port.postMessage({ call, result: await answers[what]?.(question) })
})
