// assistant-ui: answers whose readers come back, on any server.   node examples/adapters/assistant-ui.mjs
//
//   curl -N -X POST localhost:3000/chats/1      asks, and follows; so does whoever asks again meanwhile
//   curl -N localhost:3000/chats/1              follows the answer from its beginning
//   curl -X DELETE localhost:3000/chats/1       forgets it

import { serve } from '@hono/node-server'
import { createResumableStreamContext } from 'assistant-stream/resumable'
import { Hono } from 'hono'
import { createEngine } from 'tidemark'
import { assistantUiStore } from 'tidemark/assistant-ui'
import { answer } from '../servers/model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one.
const engine = createEngine({ closeOnSignals: ['SIGTERM', 'SIGINT'] })
const context = createResumableStreamContext({ store: assistantUiStore(engine, { ttl: '1h' }) })
const app = new Hono()

/** In an application it is `createResumableAssistantStreamResponse` that makes this, and the response. */
const words = () =>
  ReadableStream.from(answer(new AbortController().signal)).pipeThrough(new TextEncoderStream())

app.post('/chats/:id', async (c) => c.body(await context.run(c.req.param('id'), words)))

app.get('/chats/:id', async (c) => {
  const stream = await context.resume(c.req.param('id'))
  return stream ? c.body(stream) : c.notFound()
})

app.delete('/chats/:id', async (c) => {
  await context.delete(c.req.param('id'))
  return c.body(null, 204)
})

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) =>
  console.log(`listening on ${port}`),
)
