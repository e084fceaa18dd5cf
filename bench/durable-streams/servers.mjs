// The servers that are measured, each as a process of its own, and requests to them.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { createRequire } from 'node:module'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../__test__/support/free-port.mjs'
import { startRedis } from '../../__test__/support/redis-server.mjs'
import { until } from '../../__test__/support/wait.mjs'
import { say } from '../../scripts/steps.mjs'

export const JSON_TYPE = { 'Content-Type': 'application/json' }
const SERVE = ['serve', '--port', '0', '--json']
const PROFILE = process.env.CPU_PROF ? ['--cpu-prof', '--cpu-prof-dir', process.env.CPU_PROF] : []
/** A delta of a model in its envelope, with the time at which it was sent. */
export const message = () =>
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
    /** Gives its threads precedence over other programs, where that is allowed. */
    async prefer() {
      for (const thread of await readdir(`/proc/${child.pid}/task`)) {
        try {
          setPriority(Number(thread), -10)
        } catch {
          // Not everybody may do that.
        }
      }
    },
    async rss() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
    },
    /** CPU µs of the process, and of its main thread. */
    async cpu() {
      const threads = await readdir(`/proc/${child.pid}/task`)
      const times = threads.map(async (thread) => {
        const text = await readFile(`/proc/${child.pid}/task/${thread}/schedstat`, 'utf8')
        return Number(text.split(' ')[0]) / 1000
      })
      const all = (await Promise.all(times)).reduce((sum, time) => sum + time, 0)
      return { all, main: (await times[threads.indexOf(`${child.pid}`)]) ?? Number.NaN }
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
export function ask(url, { method = 'GET', headers = {}, body, signal, onData } = {}) {
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

/** @typedef {Awaited<ReturnType<typeof start>>} Server */

/** The names of the subjects that are wanted and there. */
export function wanted() {
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
  return Object.keys(subjects).filter(
    (name) =>
      (hasReference || !name.startsWith('reference')) &&
      (hasCrate || !name.startsWith('crate')) &&
      (process.env.SUBJECTS ?? '').split(',').some((wanted) => name.startsWith(wanted.trim())),
  )
}

/**
 * Runs a subject with a Redis and a folder of its own.
 * @template T @param {string} name @param {(server: Server) => Promise<T>} use
 */
export async function serving(name, use) {
  const redis = await startRedis()
  const folder = await mkdtemp(join(tmpdir(), 'durable-streams-'))
  try {
    const command = await subjects[name]?.({ redis: redis.url, folder })
    if (!command) throw new Error(`no subject ${name}`)
    const server = await start(command)
    try {
      return await use(server)
    } finally {
      await server.stop()
    }
  } finally {
    await redis.close()
    await rm(folder, { recursive: true, force: true })
  }
}
