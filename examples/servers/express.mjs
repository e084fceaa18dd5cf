// Express 5.   node examples/servers/express.mjs

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import express from 'express'
import { createEngine } from 'tidemark'
import { answer } from './model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one. Told to end, it tells its readers first.
const engine = createEngine({ closeOnSignals: ['SIGTERM', 'SIGINT'] })
const app = express()

app.post('/chats/:id', async (req, res) => {
  // The answer goes on whoever listens; `cancel` says that this response does not.
  await engine.pipe(req.params.id, answer).cancel()
  res.status(202).end()
})

app.get('/chats/:id/stream', async (req, res) => {
  const response = await engine.respond(req, req.params.id)
  res.writeHead(response.status, Object.fromEntries(response.headers))
  // A client that leaves is no error, and stops nothing.
  await pipeline(Readable.fromWeb(response.body), res).catch(() => {})
})

app.delete('/chats/:id', async (req, res) => res.send(await engine.stop(req.params.id)))

const server = app.listen(Number(process.env.PORT ?? 3000), () =>
  console.log(`listening on ${server.address().port}`),
)
