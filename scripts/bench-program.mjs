// Builds the programs of bench/ that are written in Rust.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { root, SetupError } from './steps.mjs'

/**
 * Builds a program without the binding, and gives its path.
 * @param {string} name of a `[[bench]]` in Cargo.toml @param {string[]} [options] more of `cargo build`
 * @returns {Promise<string>}
 */
export async function buildBench(name, options = []) {
  const args = ['build', '--no-default-features', '--bench', name, ...options]
  args.push('--message-format=json-render-diagnostics')
  const { stdout } = await promisify(execFile)('cargo', args, { cwd: root, maxBuffer: 1 << 28 }).catch(
    (error) => {
      throw new SetupError(`cargo ${args.join(' ')} failed:\n${error.stderr}`)
    },
  )
  const artifacts = stdout.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))
  const program = artifacts.find(({ target, executable }) => target?.name === name && executable)?.executable
  if (!program) throw new SetupError('cargo names no program')
  return program
}
