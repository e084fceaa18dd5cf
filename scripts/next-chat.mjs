// Makes `examples/next-chat` ready to be started: its own packages, Tidemark as a user would install it, and the build.

import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findNode22 } from './node22.mjs'
import { pack } from './pack.mjs'
import { setup } from './setup.mjs'
import { hashOf, isStamped, root, run, runSteps, stamp } from './steps.mjs'

const EXAMPLE = join('examples', 'next-chat')
/** The example's folder. */
export const example = join(root, EXAMPLE)
const NEXT = join('node_modules', 'next', 'dist', 'bin', 'next')
const sources = ['app', 'lib', 'next.config.ts', 'tsconfig.json'].map((name) => join(EXAMPLE, name))
const lock = join(EXAMPLE, 'package-lock.json')

/** The command that starts one instance: program, arguments and folder. @param {number} port */
export function nextServer(port) {
  const program = /** @type {string} */ (findNode22())
  return { program, args: [NEXT, 'start', '--port', String(port), '--hostname', '127.0.0.1'], cwd: example }
}

/** Builds it unless it is up to date. */
export async function prepareNextChat() {
  await setup(['node22'])
  const tarballs = (await pack()).map(({ file }) => file)
  const packages = hashOf([lock, ...tarballs.map((file) => file.slice(root.length + 1))])
  const built = hashOf([lock, ...sources]) + packages
  const isInstalled = () => existsSync(join(example, NEXT)) && isStamped('next-chat-packages', packages)
  await runSteps([
    {
      name: 'packages of the example',
      pending: () => (isInstalled() ? undefined : 'npm ci, and npm install of the packed tarballs'),
      run: async () => {
        const quiet = ['--prefix', example, '--no-audit', '--no-fund', '--loglevel=error']
        await run('npm', ['ci', ...quiet])
        await run('npm', ['install', '--no-save', '--no-package-lock', ...quiet, ...tarballs])
        stamp('next-chat-packages', packages)
      },
    },
    {
      name: 'build of the example',
      pending: () => (isStamped('next-chat-build', built) ? undefined : 'next build'),
      run: async () => {
        rmSync(join(example, '.next'), { recursive: true, force: true })
        const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }
        const program = /** @type {string} */ (findNode22())
        await run(program, [join(example, NEXT), 'build', example], { env })
        stamp('next-chat-build', built)
      },
    },
  ])
}
