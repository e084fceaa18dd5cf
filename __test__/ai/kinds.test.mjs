// `tidemark/ai`: parts that seldom occur, and what is no part, on connections that are cut.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { TidemarkChatTransport } from 'tidemark/ai'
import { chatRoutes } from 'tidemark/next'
import { alsoWithAi7, loadSdk, openChat, userMessage, VERSIONS } from '../support/ai.mjs'
import { serveChat } from '../support/chat-server.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'

const CHUNKS = [
  { type: 'start', messageMetadata: { model: 'x' } },
  { type: 'start-step' },
  // It is handed to `onData` and forgotten: it must not be handed over twice.
  { type: 'data-note', data: { n: 1 }, transient: true },
  { type: 'data-bar', id: 'b', data: { at: 1 } },
  { type: 'data-bar', data: { at: 'without an id' } },
  { type: 'text-start', id: '0' },
  { type: 'text-delta', id: '0', delta: 'One ' },
  { type: 'data-bar', id: 'b', data: { at: 2 } },
  { type: 'text-delta', id: '0', delta: 'two ' },
  { type: 'message-metadata', messageMetadata: { tokens: 1 } },
  { type: 'text-end', id: '0' },
  { type: 'source-url', sourceId: 's', url: 'https://example.org', title: 'S' },
  { type: 'source-document', sourceId: 'd', mediaType: 'text/plain', title: 'D' },
  { type: 'tool-input-start', toolCallId: 'a', toolName: 'any', dynamic: true },
  { type: 'tool-input-delta', toolCallId: 'a', inputTextDelta: '{"x":' },
  { type: 'data-note', data: { n: 2 }, transient: true },
  { type: 'tool-input-delta', toolCallId: 'a', inputTextDelta: '1}' },
  { type: 'tool-input-available', toolCallId: 'a', toolName: 'any', dynamic: true, input: { x: 1 } },
  { type: 'tool-output-available', toolCallId: 'a', dynamic: true, preliminary: true, output: 'half' },
  { type: 'tool-output-available', toolCallId: 'a', dynamic: true, output: 'full' },
  { type: 'tool-input-start', toolCallId: 'p', toolName: 'web', providerExecuted: true },
  { type: 'tool-input-available', toolCallId: 'p', toolName: 'web', providerExecuted: true, input: {} },
  { type: 'tool-output-error', toolCallId: 'p', providerExecuted: true, errorText: 'nothing found' },
  { type: 'tool-input-error', toolCallId: 'q', toolName: 'bad', input: { y: 1 }, errorText: 'malformed' },
  { type: 'finish-step' },
  { type: 'start-step' },
  // Ids of parts begin anew with each step, and parts may overlap.
  { type: 'reasoning-start', id: '0' },
  { type: 'reasoning-delta', id: '0', delta: 'Hm. ', providerMetadata: { p: { sign: 'a' } } },
  { type: 'reasoning-end', id: '0', providerMetadata: { p: { sign: 'b' } } },
  { type: 'text-start', id: '0' },
  { type: 'text-start', id: '1' },
  { type: 'text-delta', id: '1', delta: 'B1 ' },
  { type: 'text-delta', id: '0', delta: 'A1 ' },
  { type: 'text-delta', id: '1', delta: 'B2 ' },
  { type: 'text-end', id: '1' },
  { type: 'text-delta', id: '0', delta: 'A2 \u2028 🌊' },
  { type: 'text-end', id: '0' },
  { type: 'finish-step' },
  { type: 'finish', messageMetadata: { tokens: 9 } },
]

/** @param {{ messageId: string }} input */
async function* generate({ messageId }) {
  for (const chunk of CHUNKS) {
    yield chunk.type === 'start' ? { ...chunk, messageId } : chunk
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

eachStore('kinds of chunks', (store) => {
  const open = useEngines(store)
  for (const version of VERSIONS)
    test(`ai ${version}: cut after every k-th event, for each k, cleanly and not, they are what they are uncut`, async (t) => {
      const sdk = await loadSdk(version)
      const routes = chatRoutes({ engine: open(), authorize: () => 'ann', generate })
      const run = async (/** @type {import('../support/chat-server.mjs').Cut | undefined} */ cut) => {
        const { api, requests } = await serveChat(t, routes, () => cut)
        const [data, errors] = [/** @type {unknown[]} */ ([]), /** @type {string[]} */ ([])]
        const chat = openChat(sdk, {
          id: randomUUID(),
          transport: new TidemarkChatTransport({ api, maxRetryMs: 3 }),
          onData: (/** @type {unknown} */ part) => data.push(part),
          onError: (/** @type {unknown} */ error) => errors.push(String(error)),
        })
        await chat.sendMessage(userMessage('hello'))
        const { status, messages } = chat
        const { parts, metadata } = messages[1]
        const seen = { status, messages: messages.length, parts, metadata, data, errors }
        return { seen, requests: requests.length }
      }
      const { seen } = await run(undefined)
      assert.deepEqual([seen.status, seen.messages, seen.errors], ['ready', 2, []])
      assert.deepEqual(seen.metadata, { model: 'x', tokens: 9 })
      for (const how of /** @type {const} */ (['end', 'reset'])) {
        // The first event of a response that resumes is how long to wait.
        for (let events = 2; events < 10; events++) {
          const got = await run({ events, how })
          assert.deepEqual(got.seen, seen, `${how} after ${events} events`)
          assert.ok(got.requests > 3)
        }
      }
    })
})

alsoWithAi7(import.meta.url)
