// The AI SDK in the versions that `tidemark/next` is tested with, and a model of no intelligence at all.

/** @typedef {5 | 6 | 7} Version */

/** Version 7 needs Node.js 22; `TIDEMARK_AI` is the only one. @type {Version[]} */
export const VERSIONS = process.env.TIDEMARK_AI
  ? [/** @type {Version} */ (Number(process.env.TIDEMARK_AI))]
  : Number(process.versions.node.split('.')[0]) >= 22
    ? [5, 6, 7]
    : [5, 6]

/** What the language model interface of a version is called. */
const SPECIFICATION = { 5: 'v2', 6: 'v3', 7: 'v4' }

/** @param {Version} version @returns {Promise<any>} the module */
export const loadSdk = (version) => import(version === 7 ? 'ai' : `ai-${version}`)

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
 * A model that thinks once and then says these words.
 * @param {Version} version
 * @param {readonly string[]} words
 * @param {{ pauseAfter?: number, deaf?: boolean, breaksWith?: Error, calls?: string }} [options] `pauseAfter`: waits there
 *   for {@link Call.allow}; `deaf`: does not heed its signal; `breaksWith`: its stream fails after the words; `calls`: a tool
 */
export function wordModel(version, words, { pauseAfter, deaf = false, breaksWith, calls: tool } = {}) {
  /** @type {Call[]} */
  const calls = []
  const isOld = version === 5
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
        const none = { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0, text: 0, reasoning: 0 }
        yield {
          type: 'finish',
          finishReason: isOld ? 'stop' : { unified: 'stop', raw: undefined },
          usage: isOld
            ? { inputTokens: 0, outputTokens: 0, totalTokens: 0 }
            : { inputTokens: none, outputTokens: none },
        }
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
  /** What the stream's `error` chunk said. @type {Error | undefined} */
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
