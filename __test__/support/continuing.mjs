// Chats of the AI SDK whose last message is continued: a server whose model follows a script, and tabs of a browser.

import { randomUUID } from 'node:crypto'
import { beforeEach } from 'node:test'
import { chatRoutes } from 'tidemark/next'
import { fetchOf, loadSdk, openChat, scriptedModel } from './ai.mjs'
import { useEngines } from './streams.mjs'

const SCHEMA = { type: 'object', properties: { to: { type: 'string' } } }

/** Messages as they are stored. @param {any} messages @returns {any} */
export const stored = (messages) => JSON.parse(JSON.stringify(messages))

/** The calls of tools in a chat's last message. @param {any} chat @returns {any[]} */
export const toolsOf = (chat) =>
  chat.messages
    .at(-1)
    .parts.filter((/** @type {any} */ { type }) => type.startsWith('tool-') || type === 'dynamic-tool')

/** @param {any} chat @param {string} words */
export const says = (chat, words) => JSON.stringify(chat.messages).includes(words)

/**
 * For a suite: each test has a chat, and a key prefix, of its own.
 * @param {import('./stores.mjs').TestStore} store
 * @param {import('./ai.mjs').Version} version
 */
export function useContinuedChat(store, version) {
  const open = useEngines(store)
  /** The chat's id, its servers' key prefix, and the SDK. */
  const scene = { id: '', keyPrefix: '', sdk: /** @type {any} */ (undefined) }
  beforeEach(async () => {
    scene.id = randomUUID()
    scene.keyPrefix = store.prefix()
    scene.sdk = await loadSdk(version)
  })

  /** Tools: `mail` is run by the server once the user agrees, `locate` by the browser. */
  const tools = () => ({
    mail: scene.sdk.tool({
      inputSchema: scene.sdk.jsonSchema(SCHEMA),
      ...(version > 5 && { needsApproval: true }),
      execute: (/** @type {any} */ { to }) => ({ sent: to }),
    }),
    locate: scene.sdk.tool({ inputSchema: scene.sdk.jsonSchema(SCHEMA) }),
  })

  /**
   * Routes of a server, whose model follows the script. The model's prompt is of no interest to it.
   * @param {Parameters<typeof scriptedModel>[1]} script
   * @param {any} [options] of `chatRoutes`
   */
  function serve(script, { engine = open({ keyPrefix: scene.keyPrefix }), ...options } = {}) {
    const { model, calls } = scriptedModel(version, script)
    const history = new Map()
    const routes = chatRoutes({
      engine,
      authorize: () => 'ann',
      generate: async (/** @type {any} */ { chatId, messages, signal }) => {
        // Of a client that sends the last message alone, the server has the others.
        const known = history.get(chatId) ?? new Map()
        for (const message of messages) known.set(message.id, message)
        history.set(chatId, known)
        return scene.sdk.streamText({
          model,
          tools: tools(),
          messages: await scene.sdk.convertToModelMessages([...known.values()]),
          abortSignal: signal,
          onError() {},
        })
      },
      ...options,
    })
    return { engine, routes, calls, fetch: fetchOf(routes) }
  }

  const isAnswered = (/** @type {any} */ { messages }) =>
    scene.sdk.lastAssistantMessageIsCompleteWithToolCalls({ messages }) ||
    (version > 5 && scene.sdk.lastAssistantMessageIsCompleteWithApprovalResponses({ messages }))

  /**
   * A tab of the browser that has these messages.
   * @param {{ fetch: any }} server
   * @param {any[]} messages
   * @param {any} [transport] its options; `after` is the message after which it resumes
   * @param {object} [options] of the chat
   */
  const tab = (server, messages, { after, ...transport } = {}, options) =>
    openChat(scene.sdk, {
      id: scene.id,
      fetch: server.fetch,
      messages,
      sendAutomaticallyWhen: isAnswered,
      transport: {
        ...transport,
        ...(after && {
          prepareReconnectToStreamRequest: () => ({ api: `/api/chat/${scene.id}/stream?after=${after}` }),
        }),
      },
      ...options,
    })

  /** What can be told of messages again: before version 7, not what was said to an approval. @param {any[]} messages */
  const told = (messages) =>
    stored(messages).map((/** @type {any} */ { parts, ...message }) => ({
      ...message,
      parts: parts.map((/** @type {any} */ { approval, ...part }) =>
        version === 7 && approval ? { ...part, approval } : part,
      ),
    }))

  return { scene, open, tools, serve, tab, told }
}
