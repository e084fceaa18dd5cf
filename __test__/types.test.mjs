import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import test from 'node:test'
import { fileURLToPath } from 'node:url'

const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))

/** @param {string} project */
function compile(project) {
  const path = fileURLToPath(new URL(project, import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '--project', path], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stdout + stderr)
}

test('the public types accept what they should and refuse what they should', () => compile('types'))

test('code that was written against the types of the message-stream module compiles against ours', () => {
  compile('types/predecessor/tsconfig.json')
  compile('types/predecessor/tsconfig.tidemark.json')
})

test('an ES module gets every export of the CommonJS one', async () => {
  const required = await import('../dist/index.js')
  const imported = await import('../dist/index.mjs')
  for (const [name, value] of Object.entries(required.default)) assert.equal(imported[name], value, name)
  assert.equal(typeof imported.createEngine, 'function')
})
