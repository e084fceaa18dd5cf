// The packed tarballs unpacked where an installation would put them, beside the packages that the checkout has: quicker than an
// installation, and just as independent of the sources.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pack } from '../../scripts/pack.mjs'
import { root } from '../../scripts/steps.mjs'
import { reapFolder } from './reaper.mjs'

/**
 * A folder outside of the checkout; programs in it find `tidemark` as published, and what else is named.
 * @param {string[]} [others] packages of the checkout, linked beside it
 */
export async function unpackedFolder(others = []) {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-unpacked-'))
  reapFolder(folder)
  for (const { name, file } of await pack()) {
    const target = join(folder, 'node_modules', name)
    mkdirSync(target, { recursive: true })
    execFileSync('tar', ['-xzf', file, '-C', target, '--strip-components=1'])
  }
  for (const name of others) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), link, 'junction')
  }
  return folder
}

/** All packages of the checkout that have types of their own, by their names. @param {string} [scope] */
export function typeRoots(scope = '@types') {
  return readdirSync(join(root, 'node_modules', scope)).map((name) => `${scope}/${name}`)
}
