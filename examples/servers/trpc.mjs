// tRPC 11: an answer as a subscription, which its client resumes by itself.   node examples/servers/trpc.mjs

import { initTRPC, tracked } from '@trpc/server'
import { createHTTPServer } from '@trpc/server/adapters/standalone'
import { createEngine } from 'tidemark'
import { z } from 'zod'
import { answer } from './model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one. Told to end, it tells its readers first.
const engine = createEngine({ closeOnSignals: ['SIGTERM', 'SIGINT'] })
const t = initTRPC.create({
  // An error's own words may name the store's server; they are for the log.
  errorFormatter: ({ shape, error }) =>
    error.code === 'INTERNAL_SERVER_ERROR'
      ? { ...shape, message: 'internal error', data: { ...shape.data, stack: undefined } }
      : shape,
})
const chat = z.object({ id: z.string() })

const router = t.router({
  start: t.procedure.input(chat).mutation(async ({ input }) => {
    // The answer continues whether or not anybody reads it; here, nobody does.
    await engine.pipe(input.id, answer).cancel()
  }),

  // The client sends the id of the last event it has seen when it comes back.
  follow: t.procedure
    .input(chat.extend({ lastEventId: z.string().nullish() }))
    .subscription(async function* ({ input, signal }) {
      for await (const chunk of engine.subscribe(input.id, { from: input.lastEventId ?? 'start', signal }))
        yield tracked(chunk.cursor, chunk.text())
    }),

  stop: t.procedure.input(chat).mutation(({ input }) => engine.stop(input.id)),
})

/** @typedef {typeof router} Router for the client's types */

const server = createHTTPServer({
  router,
  maxBodySize: 64 * 1024,
  onError: ({ error }) => console.error(error),
})
server.listen(Number(process.env.PORT ?? 3000), () => console.log(`listening on ${server.address().port}`))
