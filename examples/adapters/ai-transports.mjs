// The transports that AI SDK 7 brings itself, on one server: an answer over a socket, and one by its run; each client loses its connection
// in the middle.   node examples/adapters/ai-transports.mjs   (Node.js 22)
//
// `WebSocketChatTransport` is one of `ai`, `WorkflowChatTransport` one of @ai-sdk/workflow, which you install yourself to see it.

import { randomUUID } from 'node:crypto'
import { serve } from '@hono/node-server'
import { safeValidateWebSocketChatTransportRequest, WebSocketChatTransport } from 'ai'
import { Hono } from 'hono'
import { createEngine } from 'tidemark'
import { chatRoutes, chatSocket } from 'tidemark/next'
import { WebSocket, WebSocketServer } from 'ws'
import { answer } from '../servers/model.mjs'

// TIDEMARK_URL or REDIS_URL; memory without one.
const engine = createEngine()
// Everybody is the same user here: an application looks at the request.
const routes = chatRoutes({ engine, authorize: () => 'ann', generate, workflowRuns: true })

/** What `streamText` gives, of a model that needs no key. @param {{ messageId: string, signal: AbortSignal }} asked */
async function* generate({ messageId, signal }) {
  yield { type: 'start', messageId }
  yield { type: 'text-start', id: 'text' }
  for await (const delta of answer(signal)) yield { type: 'text-delta', id: 'text', delta }
  yield { type: 'text-end', id: 'text' }
  yield { type: 'finish' }
}

const app = new Hono()
app.post('/api/chat', (c) => routes.POST(c.req.raw))
app.get('/api/chat/:id/stream', (c) => routes.GET(c.req.raw, { params: { id: c.req.param('id') } }))
const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 0), hostname: '127.0.0.1' })
await new Promise((resolve) => server.once('listening', resolve))
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
const api = `http://127.0.0.1:${port}/api/chat`
const sockets = new WebSocketServer({ server, path: '/api/chat', maxPayload: 16 << 20 })
sockets.on('connection', chatSocket(routes, { validate: safeValidateWebSocketChatTransportRequest }))

/** @param {string} chatId @returns {any} */
const question = (chatId) => ({
  chatId,
  trigger: 'submit-message',
  messages: [{ id: randomUUID(), role: 'user', parts: [{ type: 'text', text: 'What do rivers do?' }] }],
})

/** The text of an answer; `eachWord` is called with what there is so far. @param {ReadableStream<any>} stream @param {(text: string) => void} [eachWord] */
async function textOf(stream, eachWord) {
  let text = ''
  for await (const { type, delta } of stream) {
    if (type !== 'text-delta') continue
    text += delta
    eachWord?.(text)
  }
  return text
}

async function overSocket() {
  const id = randomUUID()
  const transport = new WebSocketChatTransport({ url: api, webSocket: /** @type {any} */ (WebSocket) })
  let seen = ''
  const asked = await transport.sendMessages(question(id))
  const whole = await textOf(asked, (text) => {
    seen = text
    if (text.length > 20) for (const socket of sockets.clients) socket.terminate()
  }).catch(async () => {
    // `useChat({ resume: true })` does this when its page is loaded.
    const resumed = await transport.reconnectToStream({ chatId: id })
    return resumed === null ? '' : textOf(resumed)
  })
  console.log(`WebSocketChatTransport: ${seen}| the socket is gone, and on a new one: ${whole}`)
  transport.close()
}

/** @param {any} WorkflowChatTransport */
async function byRun(WorkflowChatTransport) {
  const id = randomUUID()
  let requests = 0
  const transport = new WorkflowChatTransport({
    api,
    prepareSendMessagesRequest: (/** @type {any} */ { messages }) => ({ body: { id, messages } }),
    // The first response ends after some chunks.
    fetch: async (/** @type {string} */ url, /** @type {RequestInit} */ init) => {
      const response = await fetch(url, init)
      return requests++ === 0 ? cut(response, 8) : response
    },
  })
  const whole = await textOf(await transport.sendMessages(question(id)))
  console.log(`WorkflowChatTransport: ${requests} requests, one answer: ${whole}`)
}

/** @param {Response} response @param {number} reads */
function cut({ body, status, headers }, reads) {
  async function* begin() {
    let count = 0
    for await (const bytes of /** @type {ReadableStream<Uint8Array>} */ (body)) {
      yield bytes
      if (++count === reads) return
    }
  }
  return new Response(ReadableStream.from(begin()), { status, headers })
}

await overSocket()
const client = process.env.WORKFLOW_CLIENT ?? '@ai-sdk/workflow/client'
const workflow = await import(client).catch(() => undefined)
if (workflow === undefined) console.log('WorkflowChatTransport: npm install @ai-sdk/workflow')
else await byRun(workflow.WorkflowChatTransport)
sockets.close()
server.close()
await engine.close()
