import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'

const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url))
const types = fileURLToPath(new URL('../types', import.meta.url))

/** @param {string} project within the folder of the types */
function compile(project) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '--project', join(types, project)], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout + stderr)
}

test('the public types accept what they should and refuse what they should', () => compile('.'))

// assistant-ui's own types are for browsers too.
test('our store is what assistant-ui takes', () => compile('assistant-ui/tsconfig.json'))

test('code that was written against the types of the message-stream module compiles against ours', () => {
  compile('predecessor/tsconfig.json')
  compile('predecessor/tsconfig.tidemark.json')
})

test('the program that uses npm resumable-stream compiles with the drop-in in its place', (t) => {
  const source = readFileSync(join(types, 'resumable-stream.ts'), 'utf8')
  const replaced = source.replaceAll("'resumable-stream", "'tidemark/resumable-stream")
  assert.notEqual(replaced, source)
  const folder = mkdtempSync(join(types, 'drop-in-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'resumable-stream.ts'), replaced)
  const project = { extends: '../tsconfig.json', include: ['*.ts'] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(project))
  compile(folder.slice(types.length))
})

/** The optional packages, by the only entry point whose types may import them. @type {Record<string, string>} */
const PEERS = {
  'assistant-ui': 'assistant-stream',
  opentelemetry: '@opentelemetry/api',
  react: 'react',
  tanstack: '@tanstack/ai',
}

const IMPORT = /(?:\b(?:from|import) |\b(?:import|require)\(|<reference types=)["']([^."'][^"']*)["']/g

/** The modules that types import, apart from files beside them. @param {string} text */
function modulesOf(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '')
  return [...code.matchAll(IMPORT)].map(([, module = '']) => module)
}

test('the published types import nothing that an installation need not have', () => {
  const every = `/** import 'no' */ import 'a'; export * from "b"; type C = import("c").C; import d = require('d')
import type { x } from './x'
/// <reference types="e" />`
  assert.deepEqual(modulesOf(every), ['a', 'b', 'c', 'd', 'e'])
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const { name, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.deepEqual(Object.values(PEERS).sort(), Object.keys(peerDependencies).sort())
  const files = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.d\.m?ts$/.test(file))
    .map((file) => join('dist', file))
  for (const file of ['index.d.ts', 'index.d.mts', ...files]) {
    const [, entry = ''] = /^dist[/\\]([^/\\.]+)/.exec(file) ?? []
    const allowed = [name, PEERS[entry]]
    for (const module of modulesOf(readFileSync(join(root, file), 'utf8'))) {
      const own = /^(@[^/]+\/)?[^/]+/.exec(module)?.[0]
      assert.ok(module.startsWith('node:') || allowed.includes(own), `${file} imports ${module}`)
    }
  }
})

test('an ES module gets every export of the CommonJS one', async () => {
  for (const [entry, name] of /** @type {const} */ ([
    ['index', 'createEngine'],
    ['tanstack', 'tidemarkStream'],
    ['assistant-ui', 'assistantUiStore'],
    ['workflow', 'workflowStreamer'],
    ['resumable-stream', 'createResumableStreamContext'],
    ['resumable-stream/generic', 'createResumableStreamContext'],
  ])) {
    const required = await import(`../../dist/${entry}.js`)
    const imported = await import(`../../dist/${entry}.mjs`)
    for (const [name, value] of Object.entries(required.default))
      assert.equal(imported[name], value, `${entry}: ${name}`)
    assert.equal(typeof imported[name], 'function')
  }
})
