// Many readers of a long answer of which nobody goes on reading, in a process that measures itself.

import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from '../../dist/index.js'

const READERS = 1_000
const BYTES = 6_000_000
const engine = createEngine(JSON.parse(process.env.ENGINE ?? '{}'))
const payload = (/** @type {number} */ index) =>
  `{"type":"text-delta","id":"0","delta":" word number ${index} of a long answer that goes on and on and on"}`

/** @type {Record<string, () => Promise<AsyncIterator<unknown> | ReadableStreamDefaultReader<Uint8Array>>>} */
const KINDS = {
  /** A response that is not looked at. */
  response: async () => reader(await engine.respond(new Request('http://host/'), 'long')),
  /** A loop that has taken one chunk. */
  loop: async () => {
    const subscription = engine.subscribe('long')
    await subscription.next()
    return subscription
  },
}

/** @param {Response} response */
const reader = (response) => /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader()

/** What all memory is, in bytes. */
async function used() {
  globalThis.gc?.()
  await sleep(100)
  globalThis.gc?.()
  return process.memoryUsage.rss()
}

const producer = await engine.produce('long')
for (let written = 0, index = 0; written < BYTES; index++) {
  const chunk = payload(index)
  written += chunk.length
  if (!producer.write(chunk)) await producer.ready
}
await producer.complete()

const [, , kind = ''] = process.argv
const open = KINDS[kind]
if (!open) throw new Error(`no such kind: ${kind}`)
const readers = [await open()]
const before = await used()
while (readers.length < READERS) readers.push(...(await Promise.all(Array.from({ length: 37 }, open))))
const after = await used()
process.send?.({ type: 'opened', bytesEach: (after - before) / READERS })

// Nobody has lost anything by having waited.
process.once('message', async () => {
  let count = 0
  const [first] = readers
  if (first && 'read' in first) {
    const decoder = new TextDecoder()
    let text = ''
    for (let next = await first.read(); !next.done; next = await first.read())
      text += decoder.decode(next.value)
    for (const [, data] of text.matchAll(/^data: (.*word.*)$/gm)) if (data === payload(count)) count++
  } else if (first) {
    count = 1
    for (let next = await first.next(); !next.done; next = await first.next()) {
      if (/** @type {any} */ (next.value).data === payload(count)) count++
    }
  }
  process.send?.({ type: 'read', count, last: payload(count - 1), next: payload(count) })
  await engine.close()
  process.exit()
})
