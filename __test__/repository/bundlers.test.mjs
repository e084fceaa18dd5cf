// A server that installs the packed tarballs, bundled the ways docs/bundlers.md names, runs; and the browser's part needs no
// native library.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import commonjs from '@rollup/plugin-commonjs'
import nodeResolve from '@rollup/plugin-node-resolve'
import { build } from 'esbuild'
import { rollup } from 'rollup'
import webpack from 'webpack'
import { packedFolder, run } from '../support/next-app.mjs'

const SERVER = `
import { createEngine } from 'tidemark'
const engine = createEngine({ url: 'memory:' })
const producer = await engine.produce('chat')
producer.write('bun')
producer.write('dled')
await producer.complete()
let text = ''
for await (const { data } of engine.subscribe('chat')) text += data
console.log(text)
await engine.close()
`
/** CommonJS has no await at the top. */
const COMMON = `import { createEngine } from 'tidemark'\nasync function main() {${SERVER.replace(/^\nimport.*$/m, '')}}\nmain()`
const BROWSER = `export { follow } from 'tidemark/client'\nexport { defineEvents } from 'tidemark/schema'`

describe('bundlers', () => {
  /** @type {string} */
  let folder
  before(async () => {
    const packed = await packedFolder()
    folder = packed.folder
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    const tarballs = packed.names.map((name) => `./${name}.tgz`)
    await run(folder, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', ...tarballs)
    writeFileSync(join(folder, 'server.mjs'), SERVER)
    writeFileSync(join(folder, 'common.mjs'), COMMON)
    writeFileSync(join(folder, 'browser.mjs'), BROWSER)
  })

  const node = { bundle: true, platform: 'node', logLevel: 'silent' }
  /** @type {[name: string, entry: string, out: string, options: object][]} */
  const bundles = [
    ['external, as ES module', 'server.mjs', 'external.mjs', { format: 'esm', external: ['tidemark'] }],
    ['external, as CommonJS', 'common.mjs', 'external.cjs', { format: 'cjs', external: ['tidemark'] }],
    ['bundled, as CommonJS', 'common.mjs', 'inside.cjs', { format: 'cjs', loader: { '.node': 'copy' } }],
  ]
  for (const [name, entry, out, options] of bundles) {
    test(`esbuild: ${name}`, async () => {
      const outfile = join(folder, out)
      await build({ ...node, ...options, absWorkingDir: folder, entryPoints: [entry], outfile })
      assert.equal(await printed(outfile), 'bundled\n')
    })
  }

  test('rollup: external', async () => {
    const bundle = await rollup({
      input: join(folder, 'server.mjs'),
      external: [/^tidemark(\/|$)/],
      plugins: [nodeResolve(), commonjs()],
    })
    const file = join(folder, 'rollup.mjs')
    await bundle.write({ file, format: 'es' })
    assert.equal(await printed(file), 'bundled\n')
  })

  /** @type {[name: string, entry: string, filename: string, options: import('webpack').Configuration][]} */
  const packs = [
    ['CommonJS', 'common.mjs', 'webpack.cjs', { externals: { tidemark: 'commonjs tidemark' } }],
    [
      'ES module',
      'server.mjs',
      'webpack.mjs',
      { externals: { tidemark: 'module tidemark' }, experiments: { outputModule: true } },
    ],
  ]
  for (const [name, entry, filename, options] of packs) {
    test(`webpack: external, as ${name}`, async () => {
      const target = /** @type {const} */ ('node20')
      const output = { path: folder, filename, ...(options.experiments ? { module: true } : {}) }
      const compiler = webpack({
        ...options,
        mode: 'production',
        target,
        context: folder,
        entry: `./${entry}`,
        output,
      })
      const stats = await promisify(compiler.run.bind(compiler))()
      assert.equal(stats?.hasErrors(), false, stats?.toString())
      assert.equal(await printed(join(folder, filename)), 'bundled\n')
    })
  }

  test('what is for the browser is bundled without anything native', async () => {
    const { outputFiles, metafile } = await build({
      absWorkingDir: folder,
      entryPoints: ['browser.mjs'],
      bundle: true,
      format: 'esm',
      platform: 'browser',
      write: false,
      metafile: true,
      logLevel: 'silent',
    })
    const inputs = Object.keys(metafile.inputs)
    assert.ok(inputs.some((path) => path.includes('/tidemark/dist/esm/')))
    assert.deepEqual(
      inputs.filter((path) => /native|\.node$/.test(path)),
      [],
    )
    assert.doesNotMatch(outputFiles[0]?.text ?? '', /require\(/)
  })
})

/** @param {string} file */
async function printed(file) {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return (await promisify(execFile)(process.execPath, [file], { env, timeout: 20_000 })).stdout
}
