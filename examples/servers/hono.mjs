// Hono.   node examples/servers/hono.mjs

import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createEngine } from 'tidemark'
import { answer } from './model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one. Told to end, it tells its readers first.
const engine = createEngine({ closeOnSignals: ['SIGTERM', 'SIGINT'] })
const app = new Hono()

app.post('/chats/:id', async (c) => {
  // The answer continues whether or not anybody reads it; this response does not read it.
  await engine.pipe(c.req.param('id'), answer).cancel()
  return c.body(null, 202)
})

app.get('/chats/:id/stream', (c) => engine.respond(c.req.raw, c.req.param('id')))

app.delete('/chats/:id', async (c) => c.text(await engine.stop(c.req.param('id'))))

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) =>
  console.log(`listening on ${port}`),
)
