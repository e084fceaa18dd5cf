// A process that writes to many streams, with an inspector mounted in it, and what it takes while the inspector has something in hand.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { createEngine } from 'tidemark'
import { inspector, toNodeListener } from 'tidemark/inspector'
import { Cpu, now } from '../lib/measure.mjs'
import { answerWords, task } from '../lib/worker.mjs'

const CHUNKS_PER_TICK = 100
const TICK_MS = 10
const CHUNK = JSON.stringify({ type: 'text-delta', id: 'text', delta: 'a word or two ' })

const { streams, store, url } = task()
const engine = createEngine({
  url: store === 'memory' ? 'memory:' : url,
  keyPrefix: `bench-${process.pid}`,
})

/** The CPU time of all threads while anything of the inspector's is in hand, whatever they do in that time. */
const inHand = {
  us: 0,
  count: 0,
  cpu: new Cpu(),
  begin() {
    if (this.count++ === 0) this.cpu = new Cpu()
  },
  end() {
    if (--this.count === 0) this.us += this.cpu.used().processUs
  },
}

/** The engine as the inspector gets it: a look at all streams may go on after the answer. */
const watched = new Proxy(engine, {
  get(target, name) {
    const value = Reflect.get(target, name)
    if (typeof value !== 'function') return value
    if (name !== 'glances') return value.bind(target)
    return async function* (/** @type {unknown[]} */ ...given) {
      inHand.begin()
      try {
        yield* value.apply(target, given)
      } finally {
        // What is made of it.
        setImmediate(() => inHand.end())
      }
    }
  },
})
const listener = toNodeListener(inspector({ engine: watched, authorize: () => true }))
const server = createServer((request, response) => {
  inHand.begin()
  response.on('close', () => inHand.end())
  listener(request, response)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')

const producers = await Promise.all(
  Array.from({ length: streams }, (_, index) =>
    engine.produce(`stream ${index}`, { owner: `user ${index % 50}` }),
  ),
)
let turn = 0
let written = 0
const begin = now()
const cpu = new Cpu()
setInterval(() => {
  // As many as are due, so that a late timer does not reduce the load.
  const due = ((now() - begin) / TICK_MS) * CHUNKS_PER_TICK
  for (; written < due; written++) producers[turn++ % streams]?.write(CHUNK)
}, TICK_MS)

answerWords({
  /** What this process has taken and written so far. */
  used: () => ({ ...cpu.used(), inHandUs: inHand.us, atMs: now(), written }),
})
process.send?.({ port: /** @type {import('node:net').AddressInfo} */ (server.address()).port })
