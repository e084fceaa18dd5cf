// Finds the Redis or Valkey server that the tests start, and installs one where a package manager can.

import { spawnSync } from 'node:child_process'
import { run, SetupError, say, which } from './steps.mjs'

const WANTED = 'Redis 6.2 or newer (or Valkey)'

/**
 * The server's program and version: `REDIS_SERVER` (a path, or a name on PATH), else what PATH has.
 * @returns {{ path: string, version: string } | undefined}
 */
export function findRedis() {
  const chosen = process.env.REDIS_SERVER
  for (const name of chosen ? [chosen] : ['redis-server', 'valkey-server']) {
    const path = /[\\/]/.test(name) ? name : which(name)
    const found = path && versionOf(path)
    if (found) return found
  }
  if (chosen) throw new SetupError(`REDIS_SERVER=${chosen} is not a server of ${WANTED}`)
  return undefined
}

/** @param {string} path */
function versionOf(path) {
  const output = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? ''
  const [, version, major, minor] = /v=((\d+)\.(\d+)\.\d+)/.exec(output) ?? []
  const suffices = Number(major) > 6 || (Number(major) === 6 && Number(minor) >= 2)
  return version && suffices ? { path, version } : undefined
}

/** The commands that install a server here; only the last one has to succeed. @returns {string[][]} */
export function redisInstallation() {
  const manager = MANAGERS.find(({ program }) => which(program))
  if (!manager) throw new SetupError(missing('no package manager that can install it was found'))
  if (manager.program === 'brew' || process.getuid?.() === 0) return manager.commands
  if (!which('sudo') || spawnSync('sudo', ['-n', 'true']).status !== 0) {
    const byHand = manager.commands.map((command) => `sudo ${command.join(' ')}`).join(' && ')
    throw new SetupError(missing(`this user may not install it; run \`${byHand}\``))
  }
  // Environment variables do not pass sudo by default, so they are set behind it.
  return manager.commands.map((command) => [
    'sudo',
    '-n',
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    ...command,
  ])
}

/** Installs the server. */
export async function installRedis() {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const commands = redisInstallation()
  for (const [index, [program = '', ...args]] of commands.entries()) {
    try {
      await run(program, args, { env })
    } catch (error) {
      // Refreshing the package lists may fail (a lock, a source that is away) where the old ones suffice.
      if (index === commands.length - 1) throw error
      say(`${/** @type {Error} */ (error).message}; going on without`)
    }
  }
  if (!findRedis())
    throw new SetupError(missing('what the package manager installed is older or not on PATH'))
}

const MANAGERS = [
  {
    program: 'apt-get',
    commands: [
      ['apt-get', 'update', '-q'],
      [
        'apt-get',
        'install',
        '-y',
        '-q',
        '-o',
        'DPkg::Lock::Timeout=120',
        '--no-install-recommends',
        'redis-server',
      ],
    ],
  },
  { program: 'dnf', commands: [['dnf', 'install', '-y', 'redis']] },
  { program: 'apk', commands: [['apk', 'add', '--no-cache', 'redis']] },
  { program: 'brew', commands: [['brew', 'install', 'redis']] },
]

/** @param {string} why */
const missing = (why) =>
  `The tests need ${WANTED} on PATH, and ${why}. ` +
  'Install it, or set REDIS_SERVER to its program (see https://redis.io/docs/latest/operate/oss_and_stack/install/).'
