// A reporter for `node --test`: the ten test files that took longest, once all are done.

import { basename, dirname } from 'node:path'

/** @param {AsyncIterable<{ type: string, data: any }>} events */
export default async function* slowest(events) {
  /** @type {[file: string, ms: number][]} */
  const files = []
  for await (const { type, data } of events) {
    const isFile = data.file !== undefined && data.name?.endsWith(basename(data.file))
    if (type !== 'test:complete' || !isFile) continue
    files.push([`${basename(dirname(data.file))}/${basename(data.file)}`, data.details.duration_ms])
  }
  files.sort(([, a], [, b]) => b - a)
  const lines = files.slice(0, 10).map(([name, ms]) => `${(ms / 1000).toFixed(1).padStart(8)} s  ${name}\n`)
  yield `\nThe slowest of ${files.length} files:\n${lines.join('')}`
}
