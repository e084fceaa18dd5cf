// `node bench/durable-streams/cpu.mjs`, after a build: CPU of a server for an append and for an answered long poll, in batches of the servers in
// turn. The servers have precedence (where that is allowed), so that a busy machine changes little.
//
// BATCHES=9; PARTS='append' or 'poll': that one alone; SUBJECTS, OTHER and CPU_PROF as in run.mjs.

import { setTimeout as sleep } from 'node:timers/promises'
import { runMain } from '../../scripts/setup.mjs'
import { markdownTable, spread } from '../lib/statistics.mjs'
import { ask, JSON_TYPE, message, serving, wanted } from './servers.mjs'

const BATCHES = Number(process.env.BATCHES ?? 9)
const BATCH = 2000
const WRITERS = 32
const STREAMS = 4
const READERS = 50

/** @typedef {import('./servers.mjs').Server} Server */
/** @typedef {Record<string, number[]>} Results */

/** @param {Server} server @param {(count: number) => void} answered @param {() => boolean} isOver */
async function follow({ at }, answered, isOver) {
  let offset = 'now'
  while (!isOver()) {
    const { headers, text } = await ask(`${at('polled')}?offset=${offset}&live=long-poll`)
    if (text !== '') answered(1)
    offset = String(headers['stream-next-offset'])
  }
}

/** @param {Server} server */
async function appends({ at }) {
  let left = BATCH
  const write = async (/** @type {number} */ writer) => {
    for (; left > 0; left--) {
      const init = { method: 'POST', headers: JSON_TYPE, body: message() }
      const { status } = await ask(at(`append-${writer % STREAMS}`), init)
      if (status >= 300) throw new Error(`an append was answered with ${status}`)
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)))
  return BATCH
}

/** @param {Server} server */
async function polls(server) {
  let [count, isOver] = [0, false]
  const readers = Array.from({ length: READERS }, () =>
    follow(
      server,
      (more) => {
        count += more
      },
      () => isOver,
    ),
  )
  const append = () => ask(server.at('polled'), { method: 'POST', headers: JSON_TYPE, body: message() })
  for (const start = count; count - start < BATCH; await sleep(20)) await append()
  isOver = true
  await append()
  await Promise.all(readers)
  return count
}

const PARTS = { 'an append': appends, 'an answered poll': polls }
const parts = Object.entries(PARTS).filter(([name]) => name.includes(process.env.PARTS ?? ''))

/** Starts all subjects, the last one first, and measures when all are there. @param {string[]} names @param {Map<string, Server>} servers @param {() => Promise<void>} measure */
async function together(names, servers, measure) {
  const [name, ...rest] = names
  if (name === undefined) return measure()
  await serving(name, async (server) => {
    await server.prefer()
    servers.set(name, server)
    await together(rest, servers, measure)
  })
}

await runMain(async () => {
  const names = wanted().filter((name) => !name.startsWith('crate'))
  /** @type {Map<string, Server>} */
  const servers = new Map()
  /** @type {Map<string, Results>} */
  const results = new Map(names.map((name) => [name, {}]))
  await together(names, servers, async () => {
    for (const { at } of servers.values()) {
      for (const id of ['polled', ...Array.from({ length: STREAMS }, (_, index) => `append-${index}`)]) {
        await ask(at(id), { method: 'PUT', headers: JSON_TYPE })
      }
    }
    // The first batch warms up.
    for (let batch = 0; batch <= BATCHES; batch++) {
      for (const [part, run] of parts) {
        for (const name of names) {
          const server = /** @type {Server} */ (servers.get(name))
          const before = await server.cpu()
          const count = await run(server)
          const after = await server.cpu()
          if (batch === 0) continue
          const result = results.get(name) ?? {}
          for (const [what, time] of Object.entries({
            'main thread': after.main - before.main,
            'the process': after.all - before.all,
          })) {
            const measure = `${part}, ${what}`
            result[measure] = [...(result[measure] ?? []), time / count]
          }
        }
      }
    }
  })
  const measures = Object.keys(results.get(names[0] ?? '') ?? {})
  const rows = measures.map((measure) => [
    measure,
    ...names.map((name) => spread(results.get(name)?.[measure] ?? [], 0)),
  ])
  process.stdout.write(`${markdownTable(['CPU µs', ...names], rows)}\n`)
})
