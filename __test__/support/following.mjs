// Readers of `tidemark/client` in Node.js, and servers that answer them as a test wants.

import { follow } from 'tidemark/client'
import { serve } from './event-source.mjs'
import { BUSY_MS, deadline } from './wait.mjs'

/** Pauses that a test can wait for. */
export const QUICK = { minRetryMs: 5, maxRetryMs: 20 }
/** A generation that no engine has made. */
export const UNKNOWN = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

/** Reads a loop in the background, as `checkHistory` takes it. */
export class Reader {
  /** @type {import('tidemark/client').FollowedChunk[]} */
  chunks = []
  /** @type {string | undefined} */
  outcome
  /** @type {any} */
  error

  /** @param {ReturnType<typeof follow>} loop @param {string} [name] */
  constructor(loop, name = 'the client') {
    this.loop = loop
    this.name = name
    this.done = this.#read()
  }

  async end() {
    await deadline(this.done, BUSY_MS, `${this.name} ends`)
    return this
  }

  async #read() {
    try {
      for await (const chunk of this.loop) this.chunks.push(chunk)
      this.outcome = this.loop.outcome ?? 'left'
    } catch (error) {
      this.error = error
      this.outcome = this.loop.outcome ?? 'threw'
    }
  }
}

/** @param {string} url @param {import('tidemark/client').FollowOptions} [options] */
export const read = (url, options) => new Reader(follow(url, { ...QUICK, ...options }))

/**
 * A server of prepared answers: one for each request, the last one for all that follow.
 * @param {((request: import('node:http').IncomingMessage) => Response)[]} answers
 */
export async function scripted(...answers) {
  /** @type {string[]} */
  const asked = []
  const { url } = await serve(async (request) => {
    asked.push(request.url ?? '')
    const answer = answers[Math.min(asked.length, answers.length) - 1]
    if (answer === undefined) throw new Error('no answer')
    return answer(request)
  })
  return { url, asked }
}

/** The answer of these events. @param {string} text */
export const events = (text) => () => new Response(text, { headers: { 'content-type': 'text/event-stream' } })

/** The event of a chunk. @param {number} seq */
export const chunk = (seq) => `id: ${UNKNOWN}.${seq}\ndata: ${seq}\n\n`

/** Makes the pauses what they are at most. @param {import('node:test').TestContext} t */
export const longestPauses = (t) => t.mock.method(Math, 'random', () => 1)

/** When requests came. */
export class Times {
  /** @type {number[]} */
  at = []

  note() {
    return this.at.push(performance.now())
  }

  /** Milliseconds between one request and the next, from 0 on. @param {number} index */
  after(index) {
    return Number(this.at[index + 1]) - Number(this.at[index])
  }
}
