// The reference server of Durable Streams, as a program: says where it listens, as `tidemark serve --json` does.

import { DurableStreamTestServer } from '@durable-streams/server'

const server = new DurableStreamTestServer({ port: 0, host: '127.0.0.1', longPollTimeout: 20_000 })
process.stdout.write(`${JSON.stringify({ address: await server.start() })}\n`)
