// Finds a Node.js of version 22 or newer, for what needs one (`ai` 7), and installs one from npm where there is none.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { installApart, root, SetupError } from './steps.mjs'

/** The package's bin would shadow `node` for npm's own scripts, so it is not among the dependencies. */
const PACKAGE = 'node@22.23.3'
const folder = join(root, '.cache', 'node22')

/** @returns {string | undefined} the program's path: `NODE22`, this very Node.js, or what was installed before */
export function findNode22() {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath
  const places = [process.env.NODE22, join(folder, 'node_modules', 'node', 'bin', 'node')]
  return places.find((path) => path && existsSync(path) && spawnSync(path, ['--version']).status === 0)
}

export const node22Installation = `npm install ${PACKAGE} (in .cache)`

export async function installNode22() {
  await installApart(folder, PACKAGE)
  if (!findNode22())
    throw new SetupError('Node.js 22 was installed but does not run; set NODE22 to its program')
}
