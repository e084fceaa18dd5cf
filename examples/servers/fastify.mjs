// Fastify 5.   node examples/servers/fastify.mjs

import fastify from 'fastify'
import { createEngine } from 'tidemark'
import { answer } from './model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one. Told to end, it tells its readers first.
const engine = createEngine({ closeOnSignals: ['SIGTERM', 'SIGINT'] })
const app = fastify()

app.post('/chats/:id', async (request, reply) => {
  // The answer continues whether or not anybody reads it; this response does not read it.
  await engine.pipe(request.params.id, answer).cancel()
  reply.code(202)
})

// A client that leaves is no error, and stops nothing.
app.get('/chats/:id/stream', async (request, reply) => {
  reply.hijack()
  await engine.send(request.raw, reply.raw, request.params.id)
})

app.delete('/chats/:id', (request) => engine.stop(request.params.id))

await app.listen({ port: Number(process.env.PORT ?? 3000) })
console.log(`listening on ${app.server.address().port}`)
