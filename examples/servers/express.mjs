// Express 5.   node examples/servers/express.mjs

import express from 'express'
import { createEngine } from 'tidemark'
import { answer } from './model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one. Told to end, it tells its readers first.
const engine = createEngine({ closeOnSignals: ['SIGTERM', 'SIGINT'] })
const app = express()

app.post('/chats/:id', async (req, res) => {
  // The answer continues whether or not anybody reads it; this response does not read it.
  await engine.pipe(req.params.id, answer).cancel()
  res.status(202).end()
})

// A client that leaves is no error, and stops nothing.
app.get('/chats/:id/stream', (req, res) => engine.send(req, res, req.params.id))

app.delete('/chats/:id', async (req, res) => res.send(await engine.stop(req.params.id)))

const server = app.listen(Number(process.env.PORT ?? 3000), () =>
  console.log(`listening on ${server.address().port}`),
)
