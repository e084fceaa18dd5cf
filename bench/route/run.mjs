// `node bench/route/run.mjs`: what it costs to make an AI SDK route resumable. One process calls the route and reads its
// response, as a server does for its clients; the model is a timer. Rounds are interleaved, each run is a process of its own,
// and what is told is the CPU of that process above the plain route's, for each token.

import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startRedis } from '../../__test__/support/redis-server.mjs'
import { Cpu } from '../lib/measure.mjs'
import { markdownTable, median, spread } from '../lib/statistics.mjs'

const PLAIN = 'plain'
const PEER = 'resumable-stream'
const WAYS = [PLAIN, PEER, 'consumeSseStream', 'chatRoutes']
const ROUNDS = Number(process.env.ROUNDS ?? 5)
/** So many answers at a time, each of so many tokens, one every few milliseconds. */
const ANSWERS = Number(process.env.ANSWERS ?? 20)
const TOKENS = Number(process.env.TOKENS ?? 300)
const TOKEN_MS = Number(process.env.TOKEN_MS ?? 10)
const WARM_UP_TOKENS = 60

/** @typedef {{ mainUs: number, processUs: number }} Cost of a token */

async function main() {
  /** @type {Map<string, Cost[]>} */
  const costs = new Map(WAYS.map((way) => [way, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of round % 2 ? WAYS.toReversed() : WAYS) {
      const cost = await run(way)
      costs.get(way)?.push(cost)
      console.error(`round ${round + 1}/${ROUNDS}  ${way}: ${cost.processUs.toFixed(1)} µs a token`)
    }
  }
  const of = (/** @type {string} */ way, /** @type {keyof Cost} */ name) =>
    (costs.get(way) ?? []).map((cost) => cost[name])
  const above = (/** @type {string} */ way, /** @type {keyof Cost} */ name) =>
    of(way, name).map((cost, round) => cost - (of(PLAIN, name)[round] ?? Number.NaN))
  const peer = above(PEER, 'processUs')
  const rows = WAYS.map((way) => {
    const ratios = above(way, 'processUs').map((cost, round) => cost / (peer[round] ?? Number.NaN))
    return [
      way,
      spread(of(way, 'processUs'), 1),
      spread(above(way, 'processUs'), 1),
      spread(above(way, 'mainUs'), 1),
      way === PLAIN ? '–' : median(ratios).toFixed(2),
    ]
  })
  const head = ['route', 'process, µs/token', 'above the plain one', 'of that, main thread', `× ${PEER}`]
  console.log(markdownTable(head, rows))
}

/** @param {string} way @returns {Promise<Cost>} */
async function run(way) {
  const redis = await startRedis()
  const child = fork(fileURLToPath(import.meta.url), [way, way === PEER ? redis.adminUrl : redis.url], {
    execArgv: process.env.PROF ? process.env.PROF.split(' ') : [],
  })
  try {
    return await new Promise((resolve, reject) => {
      child.once('message', (cost) => resolve(/** @type {Cost} */ (cost)))
      child.once('exit', (code) => reject(new Error(`${way} ended with ${code}`)))
    })
  } finally {
    if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve))
    await redis.close()
  }
}

async function measure() {
  const [way = '', url = ''] = process.argv.slice(2)
  const answer = await routeOf(way, url)
  await all(answer, WARM_UP_TOKENS)
  const cpu = new Cpu()
  await all(answer, TOKENS)
  // What is stored after the client has been told everything belongs to it.
  await sleep(100)
  const { mainUs, processUs } = cpu.used()
  const tokens = ANSWERS * TOKENS
  await new Promise((resolve) =>
    process.send?.({ mainUs: mainUs / tokens, processUs: processUs / tokens }, resolve),
  )
  process.exit()
}

/** @param {(tokens: number) => Promise<Response>} answer @param {number} tokens */
const all = (answer, tokens) =>
  Promise.all(
    Array.from({ length: ANSWERS }, async (_, index) => {
      await sleep((index * TOKEN_MS) / ANSWERS)
      const response = await answer(tokens)
      if (!response.ok || response.body === null)
        throw new Error(`${response.status}: ${await response.text()}`)
      const decoder = new TextDecoder()
      let text = ''
      for await (const piece of response.body) text += decoder.decode(piece, { stream: true })
      const got = text.split('"text-delta"').length - 1
      if (got !== tokens || !text.endsWith('data: [DONE]\n\n')) throw new Error(`${got} of ${tokens} tokens`)
    }),
  )

/** @param {string} way @param {string} url @returns {Promise<(tokens: number) => Promise<Response>>} */
async function routeOf(way, url) {
  const { createUIMessageStreamResponse } = await import('ai')
  if (way === PLAIN) return async (tokens) => createUIMessageStreamResponse({ stream: chunksOf(tokens) })
  if (way === PEER) {
    const [{ createResumableStreamContext }, { default: Redis }] = await Promise.all([
      import('resumable-stream/ioredis'),
      import('ioredis'),
    ])
    const context = createResumableStreamContext({
      waitUntil: () => {},
      publisher: new Redis(url),
      subscriber: new Redis(url),
    })
    return async (tokens) =>
      createUIMessageStreamResponse({
        stream: chunksOf(tokens),
        async consumeSseStream({ stream }) {
          await context.createNewResumableStream(randomUUID(), () => stream)
        },
      })
  }
  const { createEngine } = await import('../../dist/index.mjs')
  const { chatRoutes, consumeSseStream } = await import('../../dist/next.mjs')
  const engine = createEngine({ url })
  if (way === 'consumeSseStream')
    return async (tokens) =>
      createUIMessageStreamResponse({
        stream: chunksOf(tokens),
        consumeSseStream: consumeSseStream(engine, randomUUID(), {
          owner: 'ann',
          controller: new AbortController(),
        }),
      })
  const { POST } = chatRoutes({
    engine,
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
}

/** What `toUIMessageStream()` gives of an answer. @param {number} tokens @returns {ReadableStream<any>} */
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

if (process.send) await measure()
else await main()
