// The reference server of Durable Streams, where it is installed, as a program: says where it listens, as `tidemark serve --json` does.

const reference = '@durable-streams/server'
const { DurableStreamTestServer } = await import(reference)
const server = new DurableStreamTestServer({ port: 0, host: '127.0.0.1', longPollTimeout: 20_000 })
process.stdout.write(`${JSON.stringify({ address: await server.start() })}\n`)
