// A Next.js application in TypeScript that installs the packed tarballs, is built, and runs.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pack } from '../../scripts/pack.mjs'
import { freePort } from './free-port.mjs'
import { reap, reapFolder } from './reaper.mjs'
import { deadline, until } from './wait.mjs'

const fixture = fileURLToPath(new URL('../fixtures/next-app', import.meta.url))

/** A folder outside of the checkout, so that nothing of it can be found, with the tarballs in it, by their packages' names. */
export async function packedFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-next-'))
  reapFolder(folder)
  const names = []
  for (const { name, file } of await pack()) {
    cpSync(file, join(folder, `${name}.tgz`))
    names.push(name)
  }
  return { folder, names }
}

/** The tested releases of Next.js: the manifest's, and the last of the previous major version. */
const NEXT_15 = '15.5.29'

/**
 * @typedef {object} App
 * @property {string} folder
 * @property {15 | 16} next
 * @property {boolean} [isUntyped] whether its types are not checked
 */

/**
 * @param {string} folder @param {15 | 16} next
 * @param {Record<string, string>} [dependencies] added to its own
 * @returns {App}
 */
export function copyApp(folder, next, dependencies) {
  cpSync(fixture, folder, { recursive: true })
  const file = join(folder, 'package.json')
  const manifest = JSON.parse(readFileSync(file, 'utf8'))
  Object.assign(manifest.dependencies, next === 15 ? { next: NEXT_15 } : {}, dependencies)
  writeFileSync(file, JSON.stringify(manifest))
  return { folder, next }
}

/** @param {App} app @param {'turbopack' | 'webpack'} bundler */
export function build({ folder, next, isUntyped }, bundler) {
  // The default of Next.js 15, which has no option for it.
  const chosen = next === 15 && bundler === 'webpack' ? [] : [`--${bundler}`]
  const extra = isUntyped ? { TYPES: 'unchecked' } : {}
  return runWith(extra, folder, 'npx', '--no-install', 'next', 'build', ...chosen)
}

/**
 * Builds it with both bundlers, and runs both builds.
 * @param {import('node:test').TestContext} t @param {App} app
 * @param {string} within where the standalone folder has the application: `''`, or its path in the workspace
 */
export async function buildAndRun(t, app, within) {
  for (const bundler of /** @type {const} */ (['webpack', 'turbopack'])) {
    await t.test(bundler, async (t) => {
      await build(app, bundler)
      await chat(await serve(t, join(app.folder, '.next', 'standalone', within, 'server.js')))
    })
  }
}

/** @param {string} cwd @param {string} command @param {string[]} args @param {NodeJS.ProcessEnv} [extra] */
function start(cwd, command, args, extra) {
  const { NODE_TEST_CONTEXT: _, NODE_ENV: __, ...env } = process.env
  const child = spawn(command, args, { cwd, env: { ...env, NEXT_TELEMETRY_DISABLED: '1', ...extra } })
  reap(child)
  const output = { text: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output.text += text
    })
  }
  return { child, output }
}

/** Runs a command to its end. @param {string} cwd @param {string} command @param {string[]} args */
export function run(cwd, command, ...args) {
  return runWith({}, cwd, command, ...args)
}

/** @param {NodeJS.ProcessEnv} extra @param {string} cwd @param {string} command @param {string[]} args */
async function runWith(extra, cwd, command, ...args) {
  const { child, output } = start(cwd, command, args, extra)
  const what = [command, ...args].join(' ')
  const code = await deadline(once(child, 'close'), 240_000, what)
  if (code[0] !== 0) throw new Error(`${what}: exit code ${code[0]}\n${output.text}`)
  return output.text
}

/** Runs a built application's server. @param {import('node:test').TestContext} t @param {string} script */
async function serve(t, script) {
  const port = await freePort()
  const extra = { PORT: String(port), HOSTNAME: '127.0.0.1' }
  const { child, output } = start(dirname(script), process.execPath, [script], extra)
  t.after(() => child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  await until(() => fetch(url).then(({ ok }) => ok), { timeout: 30_000, message: () => output.text })
  return url
}

/** Writes an answer and reads it back, all by HTTP: by hand, and by the routes of a chat. @param {string} url */
async function chat(url) {
  const written = await fetch(`${url}/api/words/1`, { method: 'POST', body: 'the answer is 42' })
  assert.deepEqual(await written.json(), { outcome: 'complete' })
  const text = await (await fetch(`${url}/api/words/1`)).text()
  assert.deepEqual(text.match(/(?<=^data: )\w+/gm), ['the', 'answer', 'is', '42'])

  const messages = [{ id: 'q', role: 'user', parts: [{ type: 'text', text: 'say it again' }] }]
  const headers = { 'x-user': 'ann' }
  const body = JSON.stringify({ id: 'c', messages })
  const answer = await fetch(`${url}/api/chat`, { method: 'POST', body, headers })
  assert.deepEqual((await answer.text()).match(/(?<="delta":")\w+/g), ['say', 'it', 'again'])
  const resumed = await fetch(`${url}/api/chat/c/stream?after=q`, { headers })
  assert.deepEqual((await resumed.text()).match(/(?<="delta":")[\w ]+/g), ['say it again'])
  assert.equal((await fetch(`${url}/api/chat/c/stream`)).status, 403)
  const stopped = await fetch(`${url}/api/chat/c/stream`, { method: 'DELETE', headers })
  assert.deepEqual(await stopped.json(), { result: 'ended' })
}
