// A Next.js application that installs the packed tarballs, is built, and runs.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync } from 'node:fs'
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

/** @param {string} folder */
export function copyApp(folder) {
  cpSync(fixture, folder, { recursive: true })
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
export async function run(cwd, command, ...args) {
  const { child, output } = start(cwd, command, args)
  const what = [command, ...args].join(' ')
  const code = await deadline(once(child, 'close'), 150_000, what)
  if (code[0] !== 0) throw new Error(`${what}: exit code ${code[0]}\n${output.text}`)
  return output.text
}

/** Runs a built application's server. @param {import('node:test').TestContext} t @param {string} script */
export async function serve(t, script) {
  const port = await freePort()
  const extra = { PORT: String(port), HOSTNAME: '127.0.0.1' }
  const { child, output } = start(dirname(script), process.execPath, [script], extra)
  t.after(() => child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  await until(() => fetch(url).then(({ ok }) => ok), { timeout: 30_000, message: () => output.text })
  return url
}

/** Writes an answer and reads it back, all by HTTP. @param {string} url */
export async function chat(url) {
  const written = await fetch(`${url}/api/chat/1`, { method: 'POST', body: 'the answer is 42' })
  assert.deepEqual(await written.json(), { outcome: 'complete' })
  const text = await (await fetch(`${url}/api/chat/1`)).text()
  assert.deepEqual(text.match(/(?<=^data: )\w+/gm), ['the', 'answer', 'is', '42'])
}
