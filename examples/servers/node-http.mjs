// Plain node:http.   node examples/servers/node-http.mjs

import { createServer } from 'node:http'
import { createEngine } from 'tidemark'
import { answer } from './model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one. Told to end, it tells its readers first.
const engine = createEngine({ closeOnSignals: ['SIGTERM', 'SIGINT'] })

const server = createServer(async (req, res) => {
  const [, id, stream] = /^\/chats\/([^/?]+)(\/stream)?/.exec(req.url ?? '') ?? []
  try {
    if (id && req.method === 'POST') {
      // The answer continues whether or not anybody reads it; this response does not read it.
      await engine.pipe(id, answer).cancel()
      res.writeHead(202).end()
    } else if (id && stream && req.method === 'GET') {
      // A client that leaves is no error, and stops nothing.
      await engine.send(req, res, id)
    } else if (id && req.method === 'DELETE') {
      res.end(await engine.stop(id))
    } else {
      res.writeHead(404).end()
    }
  } catch (error) {
    console.error(error)
    res.headersSent ? res.destroy() : res.writeHead(500).end()
  }
})
server.listen(Number(process.env.PORT ?? 3000), () => console.log(`listening on ${server.address().port}`))
