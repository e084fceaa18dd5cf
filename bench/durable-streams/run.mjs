// `node bench/durable-streams/run.mjs`, after a build: `tidemark serve` against the protocol's reference server, each as a process of its own, over
// HTTP: appends, catching up, live fan-out by long poll and by server-sent events, and what a subscriber holds. Interleaved rounds.
//
// ROUNDS=3 SECONDS=3; SUBJECTS='tidemark,reference': those whose names begin so; PARTS='appends,longPoll': those of PARTS below;
// OTHER=<folder>: another built checkout as a subject too; CPU_PROF=<folder>: profiles of the servers that are of Node.js.

import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { runMain } from '../../scripts/setup.mjs'
import { say } from '../../scripts/steps.mjs'
import { markdownTable, spread } from '../lib/statistics.mjs'
import { ask, JSON_TYPE, message, serving, wanted } from './servers.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const SECONDS = Number(process.env.SECONDS ?? 3)
/** Appends under way at once, and the number of streams that they are spread over. */
const WRITERS = 32
const STREAMS = 4
const READERS = 100
/** To the one stream that all readers follow. */
const APPENDS_A_SECOND = 50
const SUBSCRIBERS = 1000

/** @param {number[]} values @param {number} part */
const quantile = (values, part) =>
  values.sort((one, other) => one - other)[Math.floor(values.length * part)] ?? Number.NaN

/** @typedef {import('./servers.mjs').Server} Server */

/** @param {Server} server */
async function appends({ at, cpu }) {
  const ids = Array.from({ length: STREAMS }, (_, index) => `append-${index}`)
  for (const id of ids) await ask(at(id), { method: 'PUT', headers: JSON_TYPE })
  /** @type {number[]} */
  const times = []
  const before = (await cpu()).all
  const end = performance.now() + SECONDS * 1000
  const write = async (/** @type {number} */ writer) => {
    while (performance.now() < end) {
      const begun = performance.now()
      const { status } = await ask(at(ids[writer % STREAMS] ?? ''), {
        method: 'POST',
        headers: JSON_TYPE,
        body: message(),
      })
      if (status >= 300) throw new Error(`an append was answered with ${status}`)
      times.push(performance.now() - begun)
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)))
  return {
    'appends/s': times.length / SECONDS,
    'append p99 ms': quantile(times, 0.99),
    'CPU µs an append': ((await cpu()).all - before) / times.length,
  }
}

/** @param {Server} server */
async function catchUp({ at }) {
  await ask(at('long'), { method: 'PUT', headers: JSON_TYPE })
  for (let batch = 0; batch < 20; batch++) {
    const body = `[${Array.from({ length: 500 }, message).join(',')}]`
    await ask(at('long'), { method: 'POST', headers: JSON_TYPE, body })
  }
  let bytes = 0
  /** @type {number[]} */
  const times = []
  const end = performance.now() + SECONDS * 1000
  const read = async () => {
    while (performance.now() < end) {
      const begun = performance.now()
      for (let offset = '-1', isOver = false; !isOver; ) {
        const { headers, text } = await ask(`${at('long')}?offset=${offset}`)
        bytes += text.length
        offset = String(headers['stream-next-offset'])
        isOver = headers['stream-up-to-date'] === 'true'
      }
      times.push(performance.now() - begun)
    }
  }
  await Promise.all(Array.from({ length: 4 }, read))
  return { 'catch-up MB/s': bytes / SECONDS / 1e6, 'catch-up p99 ms': quantile(times, 0.99) }
}

/** @param {Server} server @param {'long-poll' | 'sse'} live */
async function fanOut({ at }, live) {
  const url = at(`live-${live}`)
  const made = await ask(url, { method: 'PUT', headers: JSON_TYPE })
  /** @type {number[]} */
  const times = []
  const note = (/** @type {string} */ text) => {
    const now = performance.now()
    for (const [, sent] of text.matchAll(/"at":([\d.]+)/g)) times.push(now - Number(sent))
  }
  const over = new AbortController()
  setMaxListeners(0, over.signal)
  const follow = async () => {
    let offset = String(made.headers['stream-next-offset'])
    while (!over.signal.aborted) {
      const asked = `${url}?offset=${offset}&live=${live}`
      if (live === 'sse') await ask(asked, { signal: over.signal, onData: note })
      else {
        const { headers, text } = await ask(asked, { signal: over.signal })
        note(text)
        offset = String(headers['stream-next-offset'])
      }
    }
  }
  const readers = Array.from({ length: READERS }, () => follow().catch(() => {}))
  await sleep(500)
  let sent = 0
  for (const begun = performance.now(); performance.now() < begun + SECONDS * 1000; sent++) {
    await ask(url, { method: 'POST', headers: JSON_TYPE, body: message() })
    await sleep(Math.max(0, begun + ((sent + 1) * 1000) / APPENDS_A_SECOND - performance.now()))
  }
  await sleep(300)
  over.abort()
  await Promise.all(readers)
  return {
    [`${live} delivered %`]: (100 * times.length) / (sent * READERS),
    [`${live} p50 ms`]: quantile(times, 0.5),
    [`${live} p99 ms`]: quantile(times, 0.99),
  }
}

/** @param {Server} server */
async function memory({ at, rss }) {
  const ids = Array.from({ length: 100 }, (_, index) => `held-${index}`)
  for (const id of ids) await ask(at(id), { method: 'PUT', headers: JSON_TYPE, body: `[${message()}]` })
  const before = await rss()
  const over = new AbortController()
  setMaxListeners(0, over.signal)
  let begun = 0
  const held = Array.from({ length: SUBSCRIBERS }, (_, index) => {
    let isCounted = false
    const onData = () => {
      if (!isCounted) begun++
      isCounted = true
    }
    return ask(`${at(ids[index % 100] ?? '')}?offset=-1&live=sse`, { signal: over.signal, onData }).catch(
      () => {},
    )
  })
  while (begun < SUBSCRIBERS) await sleep(50)
  await sleep(1000)
  const after = await rss()
  over.abort()
  await Promise.all(held)
  return { 'KiB a subscriber': ((after - before) * 1024) / SUBSCRIBERS }
}

/** @type {Record<string, (server: Server) => Promise<Record<string, number>>>} */
const PARTS = {
  appends,
  catchUp,
  longPoll: (server) => fanOut(server, 'long-poll'),
  sse: (server) => fanOut(server, 'sse'),
  memory,
}
const parts = process.env.PARTS?.split(',') ?? Object.keys(PARTS)

await runMain(async () => {
  const names = wanted()
  /** @type {Map<string, Record<string, number>[]>} */
  const results = new Map(names.map((name) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) {
      const result = await serving(name, async (server) => {
        /** @type {Record<string, number>} */
        const result = {}
        for (const part of parts) Object.assign(result, await PARTS[part]?.(server))
        return result
      })
      results.get(name)?.push(result)
      say(`round ${round + 1}, ${name}: ${JSON.stringify(result)}`)
    }
  }
  const measures = Object.keys(results.get(names[0] ?? '')?.[0] ?? {})
  const rows = measures.map((measure) => [
    measure,
    ...names.map((name) =>
      spread(
        (results.get(name) ?? []).map((result) => result[measure]),
        1,
      ),
    ),
  ])
  process.stdout.write(`${markdownTable(['', ...names], rows)}\n`)
})
