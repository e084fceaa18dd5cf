// Durable Streams: logs over HTTP, and a worker that is woken when one grows.   node examples/adapters/durable-streams.mjs
//
//   curl -X PUT -H 'Content-Type: text/plain' localhost:3000/streams/notes/1                          creates a log
//   curl -X POST -H 'Content-Type: text/plain' -d 'buy milk' localhost:3000/streams/notes/1           appends to it
//   curl -N 'localhost:3000/streams/notes/1?offset=-1&live=sse'                                       follows it
//
// The worker prints what was appended. It needs nothing but HTTP, so it can run anywhere; if there are several, one of them gets the work.

import { createServer } from 'node:http'
import { createEngine } from 'tidemark'
import { durableStreams, toNodeListener } from 'tidemark/durable-streams'

// TIDEMARK_URL or REDIS_URL; memory without one.
const engine = createEngine({ closeOnSignals: ['SIGTERM', 'SIGINT'] })
// Everybody may do everything here: an application looks at the request.
const handle = durableStreams({ engine, prefix: '/streams/', authorize: () => true, subscriptions: {} })
const port = Number(process.env.PORT ?? 3000)
const base = `http://127.0.0.1:${port}/streams`
const subscription = `${base}/__ds/subscriptions/printer`

/** @param {string} method @param {string} url @param {unknown} [body] @param {string} [token] */
async function ask(method, url, body, token) {
  const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) }
  return fetch(url, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) })
}

/** Takes the work, does it, and says how far it has come. */
async function work() {
  const claimed = await ask('POST', `${subscription}/claim`, { worker: `printer ${process.pid}` })
  // Another worker was quicker, or there is nothing left.
  if (!claimed.ok) return
  const { wake_id, generation, token, streams } = await claimed.json()
  const acks = []
  for (const { path, acked_offset, has_pending } of streams) {
    if (!has_pending) continue
    const read = await fetch(`${base}/${path}?offset=${acked_offset}`)
    console.log(`${path}: ${await read.text()}`)
    acks.push({ stream: path, offset: read.headers.get('stream-next-offset') })
  }
  await ask('POST', `${subscription}/ack`, { wake_id, generation, acks, done: true }, token)
}

/** Subscribes: what comes from now on is work. @returns the offset at which the wakes that follow begin */
async function subscribe() {
  const wakes = await ask('PUT', `${base}/wakes`, [])
  await ask('PUT', subscription, { type: 'pull-wake', pattern: 'notes/**', wake_stream: 'wakes' })
  return wakes.headers.get('stream-next-offset')
}

/** @param {string | null} offset */
async function follow(offset) {
  for (;;) {
    // The wakes that come meanwhile are behind the offset.
    await work()
    const wakes = await fetch(`${base}/wakes?offset=${offset}&live=long-poll`)
    offset = wakes.headers.get('stream-next-offset') ?? offset
  }
}

createServer(toNodeListener(handle)).listen(port, '127.0.0.1', async () => {
  const offset = await subscribe()
  console.log(`listening on ${port}`)
  // It ends with the server.
  follow(offset).catch(() => {})
})
