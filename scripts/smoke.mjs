// Writes a stream, reads it as chunks and as a response, and ends by itself: for runtimes and systems where the tests do not run. Copy it to
// a folder in which `tidemark` is installed; the store is taken from the environment.

import { createEngine } from 'tidemark'

const engine = createEngine()
const id = `smoke-${Math.round(performance.timeOrigin)}`
const producer = await engine.produce(id)
for (const word of ['high ', 'water']) producer.write(word)
await producer.complete()

let text = ''
for await (const chunk of engine.subscribe(id)) text += chunk.data
const response = await engine.respond(new Request('http://localhost'), id)
const events = await response.text()
await engine.delete(id)
await engine.close()

if (text !== 'high water' || !events.includes('event: end')) throw new Error(`read ${text}\n${events}`)
console.log('wrote it and read it back')
