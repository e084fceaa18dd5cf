// The rooms of ts/ and their doors, which open one way: an import against the arrows, or in a circle, is refused.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Each room, and those that it may enter beside itself. What is at the root of ts/ are the entry points, which may enter all. */
const DOORS = /** @type {Record<string, string[]>} */ ({
  util: [],
  errors: ['util'],
  options: ['errors', 'util'],
  native: ['options', 'errors', 'util'],
  http: ['native', 'options', 'errors', 'util'],
  core: ['http', 'native', 'options', 'errors', 'util'],
  schema: ['errors', 'util'],
  messages: [],
  client: ['util'],
  ai: ['client', 'messages', 'util'],
  react: ['ai', 'client', 'util'],
  next: ['core', 'http', 'messages', 'options', 'errors', 'util'],
  'message-stream': ['core', 'schema', 'native', 'options', 'errors', 'util'],
  'resumable-stream': ['core', 'options', 'errors', 'util'],
  'durable-streams': ['core', 'http', 'native', 'options', 'errors', 'util'],
  tanstack: ['core', 'options', 'errors', 'util'],
  'assistant-ui': ['core', 'options', 'errors', 'util'],
  inspector: ['core', 'http', 'options', 'errors', 'util'],
  cli: ['durable-streams', 'inspector', 'core', 'http', 'native', 'options', 'errors', 'util'],
})

/** The imports of each file of ts/. @returns {Map<string, string[]>} */
function imports() {
  const files = readdirSync(join(root, 'ts'), { recursive: true, encoding: 'utf8' })
    .map((name) => join('ts', name).replaceAll('\\', '/'))
    .filter((name) => /\.m?ts$/.test(name))
  const resolved = (/** @type {string} */ from, /** @type {string} */ to) => {
    const path = join(dirname(from), to)
      .replaceAll('\\', '/')
      .replace(/\.m?js$/, '')
    return files.find(
      (file) => file.replace(/\.m?ts$/, '') === path && (file.endsWith('.ts') || to.endsWith('.mjs')),
    )
  }
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(root, file), 'utf8')
      const found = [...text.matchAll(/\b(?:from|import|require\()\s*\(?'(\.[^']+)'/g)].map(
        ([, to = '']) => to,
      )
      return [file, found.flatMap((to) => resolved(file, to) ?? []).filter((to) => to !== file)]
    }),
  )
}

/** What is against the rules, in words. @param {Map<string, string[]>} graph */
function offences(graph) {
  const room = (/** @type {string} */ file) => file.split('/').slice(1, -1)[0]
  const offences = []
  for (const [file, targets] of graph) {
    const [from, doors] = [room(file), DOORS[room(file) ?? '']]
    if (from !== undefined && doors === undefined) offences.push(`${file}: ${from} is no room`)
    for (const to of targets) {
      if (from === undefined || room(to) === from || doors?.includes(room(to) ?? '')) continue
      offences.push(`${file} imports ${to}: ${from} may enter ${doors?.join(', ') || 'no other room'}`)
    }
    // A circle is found from each of its files.
    const seen = new Set(targets)
    for (const next of seen) for (const further of graph.get(next) ?? []) seen.add(further)
    if (seen.has(file))
      offences.push(`${file} imports itself, by way of ${targets.filter((to) => seen.has(to)).join(', ')}`)
  }
  return offences
}

test('the doors of ts/ open one way, and no imports run in a circle', () => {
  const graph = imports()
  assert.ok(graph.size > 90, 'the files were found')
  assert.ok((graph.get('ts/core/engine.ts')?.length ?? 0) > 10, 'so were their imports')
  assert.deepEqual(offences(graph), [])
})

test('an import against the arrows and a circle are refused', () => {
  assert.deepEqual(
    offences(
      new Map([
        ['ts/util/fifo.ts', ['ts/core/engine.ts']],
        ['ts/core/engine.ts', []],
      ]),
    ),
    ['ts/util/fifo.ts imports ts/core/engine.ts: util may enter no other room'],
  )
  const circle = new Map([
    ['ts/core/a.ts', ['ts/core/b.ts']],
    ['ts/core/b.ts', ['ts/core/a.ts']],
  ])
  assert.equal(offences(circle).length, 2)
  assert.equal(offences(new Map([['ts/cellar/a.ts', []]])).length, 1)
})
