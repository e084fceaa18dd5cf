// `node bench/durable-streams/run.mjs`, after a build: `tidemark serve` against the protocol's reference server, each as a process of its own, over
// HTTP: appends, catching up, live fan-out by long poll and by server-sent events, and what a subscriber holds. Interleaved rounds.
//
// ROUNDS=3 SECONDS=3; SUBJECTS='tidemark,reference': those whose names begin so; PARTS='appends,longPoll': those of PARTS below;
// OTHER=<folder>: another built checkout as a subject too; CPU_PROF=<folder>: profiles of the servers that are of Node.js.

import { spawn, spawnSync } from 'node:child_process'
import { once, setMaxListeners } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../__test__/support/free-port.mjs'
import { startRedis } from '../../__test__/support/redis-server.mjs'
import { until } from '../../__test__/support/wait.mjs'
import { runMain } from '../../scripts/setup.mjs'
import { say } from '../../scripts/steps.mjs'
import { markdownTable, spread } from '../lib/statistics.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const SECONDS = Number(process.env.SECONDS ?? 3)
/** Appends under way at once, and the number of streams that they are spread over. */
const WRITERS = 32
const STREAMS = 4
const READERS = 100
/** To the one stream that all readers follow. */
const APPENDS_A_SECOND = 50
const SUBSCRIBERS = 1000
const JSON_TYPE = { 'Content-Type': 'application/json' }
const SERVE = ['serve', '--port', '0', '--json']
const PROFILE = process.env.CPU_PROF ? ['--cpu-prof', '--cpu-prof-dir', process.env.CPU_PROF] : []
/** A delta of a model in its envelope, with the time at which it was sent. */
const message = () =>
  JSON.stringify({
    at: performance.now(),
    type: 'text-delta',
    id: '1',
    delta: 'something',
    pad: 'x'.repeat(20),
  })

const serve = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const reference = fileURLToPath(new URL('./reference.mjs', import.meta.url))

/** The server of the crate `durable-streams`, which keeps everything in files. */
const crate = process.env.DURABLE_STREAMS_SERVER ?? 'durable-streams-server'

/** @typedef {{ command: string, args: string[], port?: number }} Command where `port` is not given, the server prints its address */

/** @type {Record<string, (given: { redis: string, folder: string }) => Command | Promise<Command>>} */
const subjects = {
  ...(process.env.OTHER && {
    'other, memory': () => node(join(process.env.OTHER ?? '', 'dist/cli/main.js'), ...SERVE),
    'other, Redis': ({ redis }) =>
      node(join(process.env.OTHER ?? '', 'dist/cli/main.js'), ...SERVE, '--url', redis),
  }),
  'reference, memory': () => node(reference),
  'tidemark, memory': () => node(serve, ...SERVE),
  'tidemark, Redis': ({ redis }) => node(serve, ...SERVE, '--url', redis),
  'crate, files': ({ folder }) => ofCrate(folder, 'memory'),
  'crate, files, synced': ({ folder }) => ofCrate(folder, 'wal'),
}

/** @param {string[]} args @returns {Command} */
const node = (...args) => ({ command: process.execPath, args: [...PROFILE, ...args] })

/** @param {string} folder @param {string} durability */
async function ofCrate(folder, durability) {
  const port = await freePort()
  return {
    command: crate,
    args: ['--port', `${port}`, '--data-dir', folder, '--durability', durability],
    port,
  }
}

/** @param {Command} command */
async function start({ command, args, port }) {
  const child = spawn(command, args, { stdio: ['ignore', port ? 'ignore' : 'pipe', 'inherit'] })
  const address = port ? `http://127.0.0.1:${port}` : await printed(child)
  const at = (/** @type {string} */ id) => `${address}/v1/stream/${id}`
  const answers = () =>
    ask(at('nothing')).then(
      () => true,
      () => false,
    )
  await until(answers, { message: `${command} answers` })
  return {
    at,
    async rss() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
    },
    async cpu() {
      const [, times = ''] = (await readFile(`/proc/${child.pid}/stat`, 'utf8')).split(') ')
      const [user, system] = times.split(' ').slice(11, 13).map(Number)
      return 10_000 * ((user ?? 0) + (system ?? 0))
    },
    async stop() {
      child.kill(PROFILE.length > 0 ? 'SIGTERM' : 'SIGKILL')
      await once(child, 'exit')
    },
  }
}

/** @param {import('node:child_process').ChildProcess} child */
async function printed({ stdout }) {
  if (!stdout) throw new Error('nothing is printed')
  const [line] = await once(stdout.setEncoding('utf8'), 'data')
  return String(JSON.parse(line).address)
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })

/**
 * Sends a request; `onData` is given the body as it comes.
 * @param {string} url @param {{ method?: string, headers?: Record<string, string>, body?: string, signal?: AbortSignal, onData?: (text: string) => void }} [init]
 * @returns {Promise<{ status: number, headers: import('node:http').IncomingHttpHeaders, text: string }>}
 */
function ask(url, { method = 'GET', headers = {}, body, signal, onData } = {}) {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent, ...(signal && { signal }) }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        if (onData) onData(part)
        else text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** @param {number[]} values @param {number} part */
const quantile = (values, part) =>
  values.sort((one, other) => one - other)[Math.floor(values.length * part)] ?? Number.NaN

/** @typedef {Awaited<ReturnType<typeof start>>} Server */

/** @param {Server} server */
async function appends({ at, cpu }) {
  const ids = Array.from({ length: STREAMS }, (_, index) => `append-${index}`)
  for (const id of ids) await ask(at(id), { method: 'PUT', headers: JSON_TYPE })
  /** @type {number[]} */
  const times = []
  const before = await cpu()
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
    'CPU µs an append': ((await cpu()) - before) / times.length,
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
  const hasReference = (() => {
    try {
      return createRequire(import.meta.url).resolve('@durable-streams/server') !== ''
    } catch {
      return false
    }
  })()
  const hasCrate = spawnSync(crate, ['--help']).error === undefined
  if (!hasReference) say('without the reference server: @durable-streams/server is not installed')
  if (!hasCrate) say('without the server of the crate durable-streams: there is no durable-streams-server')
  const names = Object.keys(subjects).filter(
    (name) =>
      (hasReference || !name.startsWith('reference')) &&
      (hasCrate || !name.startsWith('crate')) &&
      (process.env.SUBJECTS ?? '').split(',').some((wanted) => name.startsWith(wanted.trim())),
  )
  /** @type {Map<string, Record<string, number>[]>} */
  const results = new Map(names.map((name) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) {
      const redis = await startRedis()
      const folder = await mkdtemp(join(tmpdir(), 'durable-streams-'))
      const command = await subjects[name]?.({ redis: redis.url, folder })
      if (!command) throw new Error(`no subject ${name}`)
      const server = await start(command)
      try {
        /** @type {Record<string, number>} */
        const result = {}
        for (const part of parts) Object.assign(result, await PARTS[part]?.(server))
        results.get(name)?.push(result)
        say(`round ${round + 1}, ${name}: ${JSON.stringify(result)}`)
      } finally {
        await server.stop()
        await redis.close()
        await rm(folder, { recursive: true, force: true })
      }
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
