// A process that calls a route of the AI SDK and reads its responses, as a server does for its clients; the model is a timer.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cpu, now } from '../lib/measure.mjs'
import { answerWords, task } from '../lib/worker.mjs'

const TOKEN_MS = 10
const WARM_UP_TOKENS = 60
/** What a subject does within this time after a response's end still counts: it stores the answer. */
const AFTERWARDS_MS = 100

const { way, url, answers, tokens } = task()

/** @typedef {(tokens: number) => Promise<Response>} Route */

/** @type {Record<string, () => Promise<Route>>} */
const routes = {
  async plain() {
    const { createUIMessageStreamResponse } = await import('ai')
    return async (tokens) => createUIMessageStreamResponse({ stream: chunksOf(tokens) })
  },
  async 'resumable-stream'() {
    const [{ createUIMessageStreamResponse }, { contextOf }] = await Promise.all([
      import('ai'),
      import('../subjects/resumable-stream.mjs'),
    ])
    const context = await contextOf(url)
    return async (tokens) =>
      createUIMessageStreamResponse({
        stream: chunksOf(tokens),
        async consumeSseStream({ stream }) {
          await context.createNewResumableStream(randomUUID(), () => stream)
        },
      })
  },
  async consumeSseStream() {
    const [{ createUIMessageStreamResponse }, { createEngine }, { consumeSseStream }] = await Promise.all([
      import('ai'),
      import('tidemark'),
      import('tidemark/next'),
    ])
    const engine = createEngine({ url })
    return async (tokens) =>
      createUIMessageStreamResponse({
        stream: chunksOf(tokens),
        consumeSseStream: consumeSseStream(engine, randomUUID(), {
          owner: 'ann',
          controller: new AbortController(),
        }),
      })
  },
  async chatRoutes() {
    const [{ createEngine }, { chatRoutes }] = await Promise.all([
      import('tidemark'),
      import('tidemark/next'),
    ])
    const { POST } = chatRoutes({
      engine: createEngine({ url }),
      authorize: () => 'ann',
      generate: ({ body }) => chunksOf(Number(body.tokens)),
    })
    const messages = [{ id: 'q', role: 'user', parts: [{ type: 'text', text: 'Say something.' }] }]
    return (tokens) =>
      POST(
        new Request('http://localhost/', {
          method: 'POST',
          body: JSON.stringify({ id: randomUUID(), messages, tokens }),
        }),
      )
  },
}

/** The result of `toUIMessageStream()` for an answer. @param {number} tokens @returns {ReadableStream<any>} */
function chunksOf(tokens) {
  let sent = 0
  return new ReadableStream({
    start(controller) {
      controller.enqueue({ type: 'start' })
      controller.enqueue({ type: 'start-step' })
      controller.enqueue({ type: 'text-start', id: '1' })
      const timer = setInterval(() => {
        if (sent++ < tokens) return controller.enqueue({ type: 'text-delta', id: '1', delta: 'token ' })
        clearInterval(timer)
        controller.enqueue({ type: 'text-end', id: '1' })
        controller.enqueue({ type: 'finish-step' })
        controller.enqueue({ type: 'finish', finishReason: 'stop' })
        controller.close()
      }, TOKEN_MS)
    },
  })
}

/** Makes several answers at once; returns how many were whole. @param {Route} route @param {number} tokens */
async function ask(route, tokens) {
  const whole = await Promise.all(
    Array.from({ length: answers }, async (_, index) => {
      await sleep((index * TOKEN_MS) / answers)
      const response = await route(tokens)
      if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)
      const decoder = new TextDecoder()
      let text = ''
      const body = /** @type {AsyncIterable<Uint8Array>} */ (/** @type {unknown} */ (response.body))
      for await (const piece of body) text += decoder.decode(piece, { stream: true })
      return text.split('"text-delta"').length - 1 === tokens && text.endsWith('data: [DONE]\n\n')
    }),
  )
  return whole.filter(Boolean).length
}

const make = routes[way]
if (!make) throw new Error(`no route ${way}`)
const route = await make()
answerWords({
  async warmUp() {
    await ask(route, WARM_UP_TOKENS)
    return 'warm'
  },
  async answer() {
    const [cpu, begin] = [new Cpu(), now()]
    const whole = await ask(route, tokens)
    await sleep(AFTERWARDS_MS)
    return { ...cpu.used(), wallMs: now() - begin, whole }
  },
})
process.send?.('ready')
