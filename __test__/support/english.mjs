// What a chat backend sends: the AI SDK's text deltas, one token each, of English that people wrote: this project's own.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COMMENT = /^\s*\/\/[/!]? (.*)$/gm

/** @param {string} folder @param {string} ending */
function files(folder, ending) {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).sort()
  return names
    .filter((name) => name.endsWith(ending))
    .map((name) => readFileSync(join(ROOT, folder, name), 'utf8'))
}

function tokens() {
  const guides = ['README.md', 'CONTRIBUTING.md'].map((name) => readFileSync(join(ROOT, name), 'utf8'))
  const comments = files('src', '.rs').map((source) =>
    [...source.matchAll(COMMENT)].map(([, line]) => line).join('\n'),
  )
  const text = [...guides, ...files('docs', '.md'), ...comments].join('\n')
  return text.match(/\s*[\p{L}\p{N}_']+|\s*[^\s\p{L}\p{N}]+/gu) ?? []
}

/** So many chunks, about 55 bytes each. @param {number} count */
export function englishChunks(count) {
  const found = tokens()
  if (found.length < count) throw new RangeError(`there are only ${found.length} tokens`)
  return found
    .slice(0, count)
    .map((delta) => JSON.stringify({ type: 'text-delta', id: 'txt-0123456', delta }))
}
