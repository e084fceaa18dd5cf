// TanStack AI: runs whose readers come back, on any server.   node examples/adapters/tanstack.mjs
//
//   curl -N -X POST -H 'X-Run-Id: run-1' localhost:3000/chat                          asks, and follows
//   curl -N -H 'Last-Event-ID: <the last id that was shown>' localhost:3000/chat      continues after it
//   curl -N 'localhost:3000/chat?runId=run-1&offset=-1'                               shows all of it again

import { serve } from '@hono/node-server'
import { EventType, resumeServerSentEventsResponse, toServerSentEventsResponse } from '@tanstack/ai'
import { Hono } from 'hono'
import { createEngine } from 'tidemark'
import { tidemarkStream } from 'tidemark/tanstack'
import { answer } from '../servers/model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one.
const engine = createEngine({ closeOnSignals: ['SIGTERM', 'SIGINT'] })
const app = new Hono()

/** What `chat()` of TanStack AI gives, of a model that needs no key. @param {string} runId @param {AbortSignal} signal */
async function* chat(runId, signal) {
  const run = { runId, threadId: 'thread-1' }
  yield { type: EventType.RUN_STARTED, ...run }
  for await (const delta of answer(signal)) {
    yield { type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'message-1', delta }
  }
  yield { type: EventType.RUN_FINISHED, ...run }
}

app.post('/chat', (c) => {
  const stopped = new AbortController()
  const run = tidemarkStream(engine, c.req.raw, { onStop: (reason) => stopped.abort(reason) })
  return toServerSentEventsResponse(chat(run.runId, stopped.signal), { durability: { adapter: run } })
})

app.get('/chat', (c) => resumeServerSentEventsResponse({ adapter: tidemarkStream(engine, c.req.raw) }))

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) =>
  console.log(`listening on ${port}`),
)
