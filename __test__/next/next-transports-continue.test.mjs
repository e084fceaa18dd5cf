// A message that is continued over the SDK's other transports: a tab that is loaded meanwhile has what the first one has.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, test } from 'node:test'
import { chatSocket } from 'tidemark/next'
import { WebSocket, WebSocketServer } from 'ws'
import { findWorkflowClient } from '../../scripts/workflow-client.mjs'
import { alsoWithAi7, userMessage, VERSIONS } from '../support/ai.mjs'
import { says, stored, toolsOf, useContinuedChat } from '../support/continuing.mjs'
import { gate } from '../support/gate.mjs'
import { eachStore } from '../support/stores.mjs'
import { deadline, until } from '../support/wait.mjs'

/** A socket for each tab. @param {import('node:test').TestContext} t @param {any} routes @param {any} sdk */
async function overSockets(t, routes, sdk) {
  const server = createServer()
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', chatSocket(routes, { validate: sdk.safeValidateWebSocketChatTransportRequest }))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
  })
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  const url = `ws://127.0.0.1:${port}/api/chat`
  return () => new sdk.WebSocketChatTransport({ url, webSocket: WebSocket })
}

/** Requests by the chat's id. @param {typeof fetch} fetch */
async function byRuns(fetch) {
  const client = findWorkflowClient()
  assert.ok(client, 'node scripts/setup.mjs workflow')
  const { WorkflowChatTransport } = await import(client)
  const prepareSendMessagesRequest = (/** @type {any} */ { id, messages, trigger, messageId }) => ({
    body: { id, messages, trigger, messageId },
  })
  return () =>
    Object.assign(new WorkflowChatTransport({ fetch, prepareSendMessagesRequest }), {
      resumeStreamIsReplay: true,
    })
}

/** What was there before the tab's answer has come. @param {any[]} messages @param {string} tool */
function before(messages, tool) {
  const [asked, { parts, ...message }] = stored(messages)
  const count = parts.findIndex((/** @type {any} */ { type }) => type === `tool-${tool}`) + 1
  const own = parts.slice(0, count)
  if (tool === 'mail') Object.assign(own.at(-1), { state: 'approval-responded', output: undefined })
  return stored([asked, { ...message, parts: own }])
}

eachStore('next-transports-continue', (store) => {
  if (!VERSIONS.includes(7)) return
  describe('ai 7', () => {
    const { scene, serve, tab } = useContinuedChat(store, 7)
    for (const name of ['WebSocketChatTransport', 'WorkflowChatTransport']) {
      for (const tool of ['mail', 'locate']) {
        test(`${name}: ${tool}`, async (t) => {
          const { open: pass, opened } = gate()
          const script = [[{ tool, input: { to: 'bob' } }], ['Sent ', opened, 'it.']]
          const isOfRuns = name === 'WorkflowChatTransport'
          const { routes, fetch } = serve(script, { workflowRuns: isOfRuns })
          const transport = isOfRuns ? await byRuns(fetch) : await overSockets(t, routes, scene.sdk)
          const first = tab({ fetch }, [], {}, { transport: transport() })
          await first.sendMessage(userMessage('mail bob'))
          const [{ toolCallId, approval }] = toolsOf(first)
          if (tool === 'mail') await first.addToolApprovalResponse({ id: approval.id, approved: true })
          else await first.addToolOutput({ tool, toolCallId, output: { at: 'sea' } })
          await until(() => says(first, 'Sent '))
          const second = tab({ fetch }, before(first.messages, tool), {}, { transport: transport() })
          const resumed = second.resumeStream()
          await until(() => says(second, 'Sent '))
          pass()
          await deadline(resumed, 20_000, 'the second tab has all')
          await until(() => first.status === 'ready')
          assert.equal(second.status, 'ready', String(second.error))
          assert.deepEqual(stored(second.messages), stored(first.messages))
        })
      }
    }
  })
})

alsoWithAi7(import.meta.url)
