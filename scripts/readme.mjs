// `node scripts/readme.mjs`: makes README's links to files of the repository absolute, as npm's page needs them, with the address
// in package.json. If the repository moves, change it there and run this.
//
//   node scripts/readme.mjs --released   also replaces the instructions for tarballs by the line for npm, for a release

import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMain, root } from './steps.mjs'

const RELEASED = '```sh\nnpm install tidemark\n```'

/** The repository's address, without a slash at its end. */
export function repository() {
  const { repository } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return repository.url.replace(/^git\+/, '').replace(/\.git$/, '')
}

/**
 * @param {string} text README's
 * @param {{ isReleased?: boolean }} [options]
 */
export function readme(text, { isReleased = false } = {}) {
  const base = repository()
  const linked = text
    // Links that were made absolute before, maybe with another address.
    .replace(/\]\(https:\/\/github\.com\/[\w-]+\/tidemark\/(?:blob|tree|raw)\/main\//g, '](')
    .replace(/(git clone )https:\/\/github\.com\/[\w-]+\/tidemark\b/g, `$1${base}`)
    .replace(/\]\((?!#|[a-z]+:)([^)\s#]+)(#[^)\s]*)?\)/g, (_, path, anchor = '') => {
      const isFolder = statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory()
      const kind = isFolder ? 'tree' : /\.(gif|png|webp)$/.test(path) ? 'raw' : 'blob'
      return `](${base}/${kind}/main/${path}${anchor})`
    })
  if (!isReleased) return linked
  return linked.replace(/<!-- install:[\s\S]*?<!-- \/install -->/, RELEASED)
}

if (isMain(import.meta.url)) {
  const file = join(root, 'README.md')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, readme(text, { isReleased: process.argv.includes('--released') }))
}
