// `tidemark serve`, as a program of its own.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { reap } from './reaper.mjs'
import { deadline } from './wait.mjs'

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/**
 * Starts a server on a free port. It ends with this process at the latest.
 * @param {string[]} args @param {Record<string, string>} [env]
 */
export async function startServe(args, env = {}) {
  const child = spawn(process.execPath, [program, 'serve', '--port', '0', '--json', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  reap(child)
  let output = ''
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const address = await deadline(
    new Promise((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text) => {
        output += text
        if (output.includes('\n')) resolve(JSON.parse(output).address)
      })
      ended.then((code) => reject(new Error(`serve ended with ${code}: ${errors}`)))
    }),
    20_000,
    'tidemark serve listens',
  )
  return {
    address: /** @type {string} */ (address),
    errors: () => errors,
    /** @param {NodeJS.Signals} [signal] */
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return /** @type {Promise<number | null>} */ (deadline(ended, 20_000, 'tidemark serve ends'))
    },
  }
}
