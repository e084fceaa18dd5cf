// `node scripts/portable.mjs [target…]`: builds the native addon as for a release, with `cargo zigbuild`: for glibc 2.17, so that it
// loads on every Linux that Node.js runs on, or for musl. Without targets: this machine's, for glibc.
//
// zig and cargo-zigbuild are taken from the PATH, else installed from PyPI into .cache.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { needRust } from './rust.mjs'
import { runMain } from './setup.mjs'
import { root, run, SetupError, say, which } from './steps.mjs'

/** The oldest glibc that is promised (docs/docker.md). */
const GLIBC = '2.17'
const ZIG = ['ziglang==0.17.1', 'cargo-zigbuild==0.24.1']
const venv = join(root, '.cache', 'zig')

/** Targets that can be built like this, and the names of their files. */
const TARGETS = /** @type {Record<string, string>} */ ({
  'x86_64-unknown-linux-gnu': 'linux-x64-gnu',
  'aarch64-unknown-linux-gnu': 'linux-arm64-gnu',
  'x86_64-unknown-linux-musl': 'linux-x64-musl',
  'aarch64-unknown-linux-musl': 'linux-arm64-musl',
})

await runMain(async () => {
  const chosen = process.argv.slice(2)
  if (chosen.length === 0) chosen.push(`${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-gnu`)
  for (const target of chosen)
    if (!TARGETS[target])
      throw new SetupError(`cannot build for ${target}; there are ${Object.keys(TARGETS).join(', ')}`)
  needRust()
  const env = { ...process.env, PATH: await pathWithZig() }
  for (const target of chosen) {
    if (which('rustup')) await run('rustup', ['target', 'add', target])
    const isMusl = target.endsWith('-musl')
    const args = ['zigbuild', '--release', '--lib', '--target', isMusl ? target : `${target}.${GLIBC}`]
    await run('cargo', args, { env })
    const file = `tidemark.${TARGETS[target]}.node`
    cpSync(join(root, 'target', target, 'release', 'libtidemark.so'), join(root, file))
    say(`${file} … made`)
  }
  return 0
})

/** @returns {Promise<string>} a PATH with zig and cargo-zigbuild in it */
async function pathWithZig() {
  const path = process.env.PATH ?? ''
  if (which('cargo-zigbuild') && (which('zig') || which('python-zig'))) return path
  const bin = join(venv, 'bin')
  if (!existsSync(join(bin, 'cargo-zigbuild'))) {
    mkdirSync(join(root, '.cache'), { recursive: true })
    const made = spawnSync('python3', ['-m', 'venv', venv], { stdio: ['ignore', 2, 2] })
    if (made.status !== 0)
      throw new SetupError(
        'zig and cargo-zigbuild are missing, and there is no python3 with venv to install them',
      )
    await run(join(bin, 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...ZIG])
  }
  return bin + delimiter + path
}
