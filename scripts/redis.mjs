// Finds the Redis or Valkey server that the tests start, and installs one where a package manager can.

import { spawnSync } from 'node:child_process'
import { SetupError, which } from './steps.mjs'
import { SystemPackage } from './system-package.mjs'

const WANTED = 'Redis 6.2 or newer (or Valkey)'

export const redisPackage = new SystemPackage(
  findRedis,
  { 'apt-get': 'redis-server', dnf: 'redis', apk: 'redis', brew: 'redis' },
  (why) =>
    `The tests need ${WANTED} on PATH, and ${why}. ` +
    'Install it, or set REDIS_SERVER to its program (see https://redis.io/docs/latest/operate/oss_and_stack/install/).',
)

/**
 * The server's program and version: `REDIS_SERVER` (a path, or a name on PATH), else what PATH has.
 * @returns {{ path: string, version: string } | undefined}
 */
export function findRedis() {
  const chosen = process.env.REDIS_SERVER
  for (const name of chosen ? [chosen] : ['redis-server', 'valkey-server']) {
    const path = which(name)
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
