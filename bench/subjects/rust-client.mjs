// The ceiling outside of Node.js: bench/rust-client, built when it is first asked for.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { needRust } from '../../scripts/rust.mjs'
import { root, SetupError } from '../../scripts/steps.mjs'
import { LeftOut } from '../lib/left-out.mjs'

/** @type {Promise<string> | undefined} */
let program

/** Its path; it is built once. */
export function rustClient() {
  program ??= build()
  return program
}

async function build() {
  try {
    needRust()
  } catch (error) {
    if (error instanceof SetupError) throw new LeftOut(error.message)
    throw error
  }
  const args = ['build', '--release', '--no-default-features', '--bench', 'rust-client']
  const { stdout } = await promisify(execFile)(
    'cargo',
    [...args, '--message-format=json-render-diagnostics'],
    {
      cwd: root,
      maxBuffer: 1 << 28,
    },
  )
  const artifacts = stdout.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))
  const path = artifacts.find(({ target, executable }) => target?.name === 'rust-client' && executable)
  if (!path) throw new Error('cargo names no program')
  return /** @type {string} */ (path.executable)
}
