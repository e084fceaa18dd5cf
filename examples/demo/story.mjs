// The demo without a browser: readers that leave, come back, come late, and a stop, told line by line and checked.

import { randomUUID } from 'node:crypto'
import { serve } from './server.mjs'

/** So much of a longer text is played: the story is about readers, not about length. */
export const MAX_PARTS = 2000

/** A token may take its time, everything else is local. */
const PATIENCE_MS = 10_000

/**
 * @param {object} options
 * @param {import('../../index.js').Engine} options.engine
 * @param {import('./source.mjs').Source} options.source
 * @param {number | undefined} options.rate
 * @param {string | undefined} options.redis its name
 * @returns {Promise<boolean>} whether every reader saw exactly what was written
 */
export async function tell({ engine, source, rate: wanted, redis }) {
  const { parts, isWhole } = await take(source.parts(), MAX_PARTS)
  const rate = wanted ?? Math.max(250, parts.length / 3)
  /** @type {Map<string, string[]>} */
  const written = new Map()
  const server = await serve({
    engine,
    source: { ...source, parts: () => each(parts) },
    rate,
    ports: [0],
    host: '127.0.0.1',
    store: redis === undefined ? 'memory' : 'Redis',
    say,
    onWrite: (id, data) => void (written.get(id) ?? written.set(id, []).get(id))?.push(data),
  })
  const patience = PATIENCE_MS + 60_000 / rate
  const reader = (/** @type {string} */ name, /** @type {string} */ id) =>
    new Reader(name, server.url, id, patience)

  const store = redis === undefined ? 'in memory' : `on Redis at ${redis}`
  say(`Tidemark demo, ${store}. The server and its readers talk over ${server.url}`)
  say(
    `The text: ${isWhole ? '' : `the first ${parts.length} parts of `}${source.name}; ` +
      `${parts.length} chunks, about ${Math.round(rate)} tokens/s\n`,
  )
  const streams = [`demo-${randomUUID().slice(0, 8)}`, `demo-${randomUUID().slice(0, 8)}`]
  try {
    say('1  One answer, three readers')
    const first = await readers(streams[0])
    say('\n2  Another answer, stopped in the middle')
    const second = await stopped(streams[1])
    say('')
    return checkReaders([...first, ...second], written)
  } finally {
    for (const id of streams) await engine.delete(id)
    await server.close()
  }

  async function readers(/** @type {string} */ id) {
    const [anna, ben, cleo] = ['Anna', 'Ben', 'Cleo'].map((name) => reader(name, id))
    const third = Math.ceil(parts.length / 3)
    await post(`${server.url}/start?id=${id}`)
    const ends = [anna.follow()]
    progress(anna, ends[0], parts.length)
    const bens = ben.follow()
    await ben.until(third)
    ben.leave()
    await bens
    say(`   Ben    leaves after seq ${ben.seq}, and keeps the cursor ${ben.cursor}`)
    await anna.until(third * 2)
    say(`   Ben    comes back with it; the answer has reached seq ${anna.seq}`)
    ends.push(ben.follow())
    say('   Cleo   joins only now, from the start')
    ends.push(cleo.follow())
    await Promise.all(ends)
    for (const one of [anna, ben, cleo]) say(one.summary())
    return [anna, ben, cleo]
  }

  async function stopped(/** @type {string} */ id) {
    const [dora, emil] = ['Dora', 'Emil'].map((name) => reader(name, id))
    await post(`${server.url}/start?id=${id}`)
    const end = dora.follow()
    progress(dora, end, parts.length)
    await dora.until(Math.ceil(parts.length * 0.4))
    const { result } = await post(`${server.url}/stop?id=${id}`)
    say(
      result === 'stopping'
        ? `   Stop   pressed when Dora had seen seq ${dora.seq} of ${parts.length}`
        : '   Stop   came when the answer was over already: try a lower --rate',
    )
    await end
    await emil.follow()
    for (const one of [dora, emil]) {
      say(one.summary(one === emil ? '; came after the end' : ''))
      if (result === 'stopping' && one.outcome === 'complete') one.problem ??= 'the stop was lost'
    }
    return [dora, emil]
  }
}

/** One reader of a stream: follows it over HTTP, may leave, and continues from its cursor. */
class Reader {
  /** @type {{ seq: number, data: string }[]} */
  seen = []
  cursor = ''
  times = 0
  /** @type {string | undefined} */
  outcome
  /** @type {string | undefined} */
  problem
  #leaving = new AbortController()
  /** @type {{ seq: number, resolve: () => void } | undefined} */
  #awaited

  /**
   * @param {string} name
   * @param {string} url
   * @param {string} id
   * @param {number} patience in milliseconds
   */
  constructor(name, url, id, patience) {
    this.name = name
    this.id = id
    this.patience = patience
    this.url = `${url}/stream/${encodeURIComponent(id)}`
  }

  get seq() {
    return this.seen.at(-1)?.seq ?? 0
  }

  /** Resolves when it has left or the stream has ended. */
  async follow() {
    this.times++
    this.#leaving = new AbortController()
    const query = this.cursor && `?cursor=${encodeURIComponent(this.cursor)}`
    try {
      const response = await fetch(this.url + query, { signal: this.#leaving.signal })
      for await (const { event, data, id } of eventsOf(response, this.patience)) {
        if (event === 'chunk') {
          this.seen.push(data)
          this.cursor = id
          if (this.#awaited && this.seq >= this.#awaited.seq) this.#awaited.resolve()
          // What the server had on the way when it left was not seen.
          if (this.#leaving.signal.aborted) return
        } else if (event === 'problem') {
          this.problem = data.message
        } else if (event === 'end') {
          this.outcome = data.outcome ?? data.reason
        }
      }
    } catch (error) {
      if (!this.#leaving.signal.aborted) this.problem = error.message
    } finally {
      this.#awaited?.resolve()
    }
  }

  leave() {
    this.#leaving.abort()
  }

  /** Resolves when it has seen this seq, or its stream is over. */
  until(/** @type {number} */ seq) {
    if (this.seq >= seq || this.outcome !== undefined || this.problem) return Promise.resolve()
    return new Promise((resolve) => {
      this.#awaited = { seq, resolve: () => resolve(undefined) }
    })
  }

  summary(more = '') {
    const { seen, name, times, outcome = 'no end' } = this
    const visits = times > 1 ? ` in ${times} visits` : ''
    return `   ${name.padEnd(6)} saw ${seen.length} chunks${visits}, seq ${seen[0]?.seq ?? '–'} to ${this.seq}: ${outcome}${more}`
  }

  /** What is wrong with what it saw, or undefined. */
  differsFrom(/** @type {string[]} */ log) {
    for (const [index, { seq, data }] of this.seen.entries()) {
      const due = index + 1
      if (seq !== due) return `chunk ${due} has seq ${seq}: ${seq < due ? 'a duplicate' : 'a gap'}`
      if (due > log.length) return `seq ${seq} was never written: ${data}`
      if (data !== log[index]) return `seq ${seq} should be ${log[index]} but is ${data}`
    }
    if (this.seen.length < log.length) return `seq ${this.seq + 1} to ${log.length} are missing`
    return this.problem ?? (this.outcome === undefined ? 'the end of the stream is missing' : undefined)
  }
}

/**
 * The events of a response. No event within `patience` is an error.
 * @param {Response} response
 * @param {number} patience in milliseconds
 */
async function* eventsOf(response, patience) {
  if (!response.ok) throw new Error(`the server answered ${response.status}: ${await response.text()}`)
  const input = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let isLate = false
  for (;;) {
    const timer = setTimeout(() => {
      isLate = true
      input.cancel()
    }, patience)
    const { done, value } = await input.read().finally(() => clearTimeout(timer))
    if (isLate) throw new Error(`nothing came for ${Math.round(patience / 1000)} s`)
    if (done) return
    const blocks = (rest + decoder.decode(value, { stream: true })).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s)))
      if (fields.data) yield { event: fields.event, id: fields.id, data: JSON.parse(fields.data) }
    }
  }
}

/**
 * @param {Reader[]} all
 * @param {Map<string, string[]>} written
 */
function checkReaders(all, written) {
  const wrong = all.flatMap((reader) => {
    const difference = reader.differsFrom(written.get(reader.id) ?? [])
    return difference === undefined ? [] : [`   ${reader.name} (${reader.id}): ${difference}`]
  })
  if (wrong.length > 0) {
    say(['Check  FAILED: not every reader saw what was written', ...wrong].join('\n'))
    return false
  }
  const counts = [...written.values()].map((log) => log.length).join(' and ')
  say(
    `Check  passed: ${all.length} readers saw exactly the ${counts} chunks that were written, each once, in order`,
  )
  return true
}

/** In a terminal, how far a reader has come, below what was said, until `end`. */
function progress(
  /** @type {Reader} */ reader,
  /** @type {Promise<unknown>} */ end,
  /** @type {number} */ total,
) {
  if (!process.stdout.isTTY) return
  const timer = setInterval(() => {
    const full = Math.round((24 * reader.seq) / total)
    const bar = '█'.repeat(full) + '░'.repeat(24 - full)
    process.stdout.write(`${CLEAR}   ${bar} ${reader.name} at seq ${reader.seq} of ${total}`)
  }, 50)
  end.then(() => {
    clearInterval(timer)
    process.stdout.write(CLEAR)
  })
}

const CLEAR = '\r\x1b[K'

/** @returns {Promise<any>} */
async function post(/** @type {string} */ url) {
  const response = await fetch(url, { method: 'POST' })
  const body = await response.json()
  if (!response.ok) throw new Error(`POST ${url}: ${body.message}`)
  return body
}

/**
 * @template T
 * @param {AsyncIterable<T>} source
 * @param {number} limit
 */
async function take(source, limit) {
  /** @type {T[]} */
  const parts = []
  for await (const part of source) {
    if (parts.length === limit) return { parts, isWhole: false }
    parts.push(part)
  }
  return { parts, isWhole: true }
}

/** @template T */
async function* each(/** @type {T[]} */ items) {
  yield* items
}

function say(/** @type {string} */ line) {
  console.log(process.stdout.isTTY ? CLEAR + line : line)
}
