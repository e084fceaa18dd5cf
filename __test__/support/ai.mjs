// The AI SDK in the versions that `tidemark/next` is tested with, and a model of no intelligence at all.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findNode22 } from '../../scripts/node22.mjs'

/** @typedef {5 | 6 | 7} Version */

/** Version 7 needs Node.js 22. With `TIDEMARK_AI`, only this version. @type {Version[]} */
export const VERSIONS = process.env.TIDEMARK_AI
  ? [/** @type {Version} */ (Number(process.env.TIDEMARK_AI))]
  : Number(process.versions.node.split('.')[0]) >= 22
    ? [5, 6, 7]
    : [5, 6]

/** What the language model interface of a version is called. */
const SPECIFICATION = { 5: 'v2', 6: 'v3', 7: 'v4' }

/** @param {Version} version @returns {Promise<any>} the module */
export const loadSdk = (version) => import(version === 7 ? 'ai' : `ai-${version}`)

/** Registers a test that runs this file again where `ai` 7 runs, if that is not here. @param {string} file its URL */
export function alsoWithAi7(file) {
  test('all of this with ai 7, on a Node.js that it runs on', { skip: VERSIONS.includes(7) }, async () => {
    const program = findNode22()
    assert.ok(program, 'node scripts/setup.mjs node22')
    // `node --test` sets a variable that would make the child use the test runner's protocol.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const args = ['--test', '--test-reporter=tap', fileURLToPath(file)]
    const { stdout } = await promisify(execFile)(program, args, { env: { ...env, TIDEMARK_AI: '7' } })
    assert.match(stdout, /# Subtest: ai 7/)
    assert.match(stdout, /# fail 0/)
  })
}

/** How a model call went. */
export class Call {
  /** Words that it has said. */
  said = 0
  /** Whether its signal was aborted. */
  aborted = false
  /** @type {(() => void)[]} */
  #waiting = []
  #allowed = Number.POSITIVE_INFINITY

  /** Says no more than so many words until told otherwise. @param {number} words */
  allow(words) {
    this.#allowed = words
    for (const resume of this.#waiting.splice(0)) resume()
  }

  async permission() {
    while (this.said >= this.#allowed && !this.aborted) {
      await new Promise((/** @type {(value?: unknown) => void} */ resolve) => this.#waiting.push(resolve))
    }
    this.said += 1
  }
}

/**
 * A model with one part of reasoning and then these words.
 * @param {Version} version
 * @param {readonly string[]} words
 * @param {{ pauseAfter?: number, deaf?: boolean, breaksWith?: Error, calls?: string }} [options] `pauseAfter`: waits there
 *   for {@link Call.allow}; `deaf`: ignores its signal; `breaksWith`: its stream fails after the words; `calls`: a tool
 */
export function wordModel(version, words, { pauseAfter, deaf = false, breaksWith, calls: tool } = {}) {
  /** @type {Call[]} */
  const calls = []
  const model = {
    specificationVersion: SPECIFICATION[version],
    provider: 'test',
    modelId: 'words',
    supportedUrls: {},
    /** @param {{ abortSignal?: AbortSignal }} options */
    async doStream({ abortSignal }) {
      const call = new Call()
      calls.push(call)
      if (pauseAfter !== undefined) call.allow(pauseAfter)
      async function* parts() {
        yield { type: 'stream-start', warnings: [] }
        yield { type: 'reasoning-start', id: 'r' }
        yield { type: 'reasoning-delta', id: 'r', delta: 'Let me see. ' }
        yield { type: 'reasoning-end', id: 'r' }
        yield { type: 'text-start', id: 't' }
        for (const delta of words) {
          await call.permission()
          if (call.aborted && !deaf) throw abortSignal?.reason
          yield { type: 'text-delta', id: 't', delta }
        }
        yield { type: 'text-end', id: 't' }
        if (breaksWith) throw breaksWith
        if (tool) yield { type: 'tool-call', toolCallId: 'c', toolName: tool, input: '{}' }
        yield finishOf(version, 'stop')
      }
      abortSignal?.addEventListener('abort', () => {
        call.aborted = true
        if (!deaf) call.allow(call.said)
      })
      return { stream: ReadableStream.from(parts()) }
    },
  }
  return { model, calls }
}

/** How a model says that it is done. @param {Version} version @param {string} reason */
function finishOf(version, reason) {
  const none = { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0, text: 0, reasoning: 0 }
  return version === 5
    ? { type: 'finish', finishReason: reason, usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 } }
    : {
        type: 'finish',
        finishReason: { unified: reason, raw: undefined },
        usage: { inputTokens: none, outputTokens: none },
      }
}

/**
 * A model whose calls are written down, one after the other: words to say, calls of tools as `{ tool, input }`, and promises
 * to wait for.
 * @param {Version} version
 * @param {readonly (string | Promise<unknown> | { tool: string, input: object })[][]} script
 */
export function scriptedModel(version, script) {
  let turn = 0
  const model = {
    specificationVersion: SPECIFICATION[version],
    provider: 'test',
    modelId: 'script',
    supportedUrls: {},
    async doStream() {
      const call = turn++
      async function* parts() {
        yield { type: 'stream-start', warnings: [] }
        let reason = 'stop'
        for (const [index, item] of (script[call] ?? ['no more']).entries()) {
          const id = `${call}-${index}`
          if (item instanceof Promise) await item
          else if (typeof item === 'string') {
            yield { type: 'text-start', id }
            for (const delta of item.split(/(?<= )/)) yield { type: 'text-delta', id, delta }
            yield { type: 'text-end', id }
          } else {
            reason = 'tool-calls'
            const input = JSON.stringify(item.input)
            yield { type: 'tool-input-start', id, toolName: item.tool }
            yield { type: 'tool-input-delta', id, delta: input }
            yield { type: 'tool-input-end', id }
            yield { type: 'tool-call', toolCallId: id, toolName: item.tool, input }
          }
        }
        yield finishOf(version, reason)
      }
      return { stream: ReadableStream.from(parts()) }
    },
  }
  return { model, calls: () => turn }
}

/**
 * The SDK's own chat, as `useChat` holds it, with a plain state.
 * @param {any} sdk
 * @param {{ fetch?: typeof globalThis.fetch, id: string, messages?: any[], transport?: object, [option: string]: any }} options
 * @returns {any}
 */
export function openChat(sdk, { fetch, messages = [], transport, ...options }) {
  const state = {
    status: 'ready',
    error: undefined,
    messages: structuredClone(messages),
    pushMessage(/** @type {any} */ message) {
      state.messages = [...state.messages, message]
    },
    popMessage() {
      state.messages = state.messages.slice(0, -1)
    },
    replaceMessage(/** @type {number} */ index, /** @type {any} */ message) {
      state.messages = state.messages.with(index, structuredClone(message))
    },
    snapshot: structuredClone,
  }
  /** @type {any} */
  const Chat = class extends sdk.AbstractChat {}
  const isTransport = transport !== undefined && 'sendMessages' in transport
  return new Chat({
    ...options,
    state,
    transport: isTransport ? transport : new sdk.DefaultChatTransport({ fetch, ...transport }),
  })
}

/**
 * What a browser's `fetch` is to routes: the paths that the SDK asks by itself.
 * @param {import('tidemark/next').ChatRoutes} routes
 * @returns {typeof fetch}
 */
export function fetchOf({ POST, GET, DELETE }) {
  return async (input, init = {}) => {
    const request = new Request(new URL(String(input), 'http://localhost'), /** @type {any} */ (init))
    const id = /^\/api\/chat\/([^/]+)/.exec(new URL(request.url).pathname)?.[1]
    if (request.method === 'POST') return POST(request)
    const context = { params: { id: decodeURIComponent(id ?? '') } }
    return request.method === 'GET' ? GET(request, context) : DELETE(request, context)
  }
}

/** A message as `useChat` sends it. @param {string} text @param {string} [id] */
export const userMessage = (text, id = `user-${text}`) => ({
  id,
  role: 'user',
  parts: [{ type: 'text', text }],
})

/**
 * The messages that a client makes of a response, one for each update, as `useChat` does.
 * @param {any} sdk
 * @param {Response} response
 */
export async function readMessage(sdk, response) {
  const reader = new MessageReader(sdk, response)
  return reader.end()
}

/** A client that follows a response in the background. */
export class MessageReader {
  /** @type {any} the message so far */
  message
  /** The error of the stream's `error` chunk. @type {Error | undefined} */
  error
  /** The chunks, in order. @type {any[]} */
  chunks = []
  #done

  /** @param {any} sdk @param {Response} response */
  constructor(sdk, response) {
    if (!response.ok || !response.body) throw new Error(`status ${response.status}`)
    const events = sdk.parseJsonEventStream({ stream: response.body, schema: sdk.uiMessageChunkSchema })
    const chunks = events.pipeThrough(
      new TransformStream({
        transform: (chunk, controller) => {
          if (!chunk.success) throw chunk.error
          this.chunks.push(chunk.value)
          controller.enqueue(chunk.value)
        },
      }),
    )
    this.#done = this.#read(sdk, chunks)
  }

  /** All text of the message so far. */
  get text() {
    return textOf(this.message)
  }

  /** Waits for the response's end. */
  async end() {
    await this.#done
    return this
  }

  /** @param {any} sdk @param {ReadableStream} stream */
  async #read(sdk, stream) {
    const onError = (/** @type {any} */ error) => {
      this.error = error
    }
    for await (const message of sdk.readUIMessageStream({ stream, onError })) this.message = message
  }
}

/** @param {any} message */
export function textOf(message) {
  const parts = message?.parts ?? []
  return parts
    .filter((/** @type {any} */ part) => part.type === 'text')
    .map((/** @type {any} */ part) => part.text)
    .join('')
}

/**
 * The chunks of a plain answer. Each word waits for `step`.
 * @param {readonly string[]} words @param {() => Promise<unknown>} step @param {readonly object[]} [end] what follows its text
 */
export const wordAnswer = (words, step, end = [{ type: 'finish' }]) =>
  async function* generate(/** @type {any} */ { messageId }) {
    yield { type: 'start', messageId }
    yield { type: 'text-start', id: 't' }
    for (const delta of words) {
      await step()
      yield { type: 'text-delta', id: 't', delta }
    }
    yield { type: 'text-end', id: 't' }
    yield* end
  }
