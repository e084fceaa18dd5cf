// The command line as a process of its own, for its tests.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'tidemark'
import { reap } from './reaper.mjs'
import { sharedRedis, TestStore } from './stores.mjs'
import { deadline } from './wait.mjs'

const root = new URL('../../', import.meta.url)
const { bin, version } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'))

export { version }

/** The path of the program. */
export const main = fileURLToPath(new URL(bin.tidemark, root))

/** The variables of this process without those that change what the command line does. @param {Record<string, string>} env */
export function environment(env) {
  // Node.js takes `CI` for a terminal without colours.
  const { TIDEMARK_URL, REDIS_URL, KV_URL, NODE_TEST_CONTEXT, FORCE_COLOR, CI, ...inherited } = process.env
  return { ...inherited, ...env }
}

/**
 * Starts the command line.
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
export function start(args, env = {}) {
  const child = spawn(process.execPath, [main, ...args], { env: environment(env) })
  reap(child)
  const run = { child, stdout: '', stderr: '', ended: once(child, 'close') }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    run.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    run.stderr += text
  })
  return run
}

/**
 * Runs it to its end.
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
export async function cli(args, env) {
  const run = start(args, env)
  const [code] = await deadline(run.ended, 20_000, `tidemark ${args.join(' ')} ends`)
  assert.doesNotMatch(run.stdout + run.stderr, /\n {4}at /, 'nobody is shown a stack')
  return { code, stdout: run.stdout, stderr: run.stderr }
}

/** The values of `--json`: one a line. @param {string} stdout @returns {any[]} */
export const lines = (stdout) =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

/**
 * An engine of its own prefix on the test file's Redis server, and the command line for the same streams.
 * @param {import('node:test').TestContext} t
 */
export async function scene(t) {
  const redis = await sharedRedis()
  const prefix = new TestStore('redis').prefix()
  const engine = createEngine({ url: redis.url, keyPrefix: prefix })
  t.after(() => engine.close())
  const env = { TIDEMARK_URL: redis.url }
  const own = ['--prefix', prefix]
  return {
    engine,
    redis,
    prefix,
    /** @param {string[]} args */
    run: (...args) => cli([...args, ...own], env),
    /** @param {string[]} args */
    start: (...args) => start([...args, ...own], env),
  }
}
