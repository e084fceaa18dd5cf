// The same application in a pnpm workspace, where nothing is hoisted, configured by `withTidemark`.

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { chat, copyApp, packedFolder, run, serve } from './support/next-app.mjs'

test('a pnpm workspace, and the standalone server runs', async (t) => {
  const { folder, names } = await packedFolder()
  const workspace = join(folder, 'pnpm')
  const app = join(workspace, 'apps', 'web')
  copyApp(app)
  const [name = '', platform = ''] = names
  const manifest = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8'))
  manifest.dependencies[name] = `file:../../../${name}.tgz`
  writeFileSync(join(app, 'package.json'), JSON.stringify(manifest))
  // What a registry would give for the optional dependency.
  const overrides = { [platform]: `file:../${platform}.tgz` }
  writeFileSync(join(workspace, 'package.json'), JSON.stringify({ private: true, pnpm: { overrides } }))
  writeFileSync(join(workspace, 'pnpm-workspace.yaml'), 'packages:\n  - apps/*\n')
  const config =
    "import { withTidemark } from 'tidemark/next'\nexport default withTidemark({ output: 'standalone' })\n"
  writeFileSync(join(app, 'next.config.mjs'), config)
  await run(workspace, 'npx', '--yes', 'pnpm@10.34.9', 'install')
  await run(app, 'npx', '--no-install', 'next', 'build')
  await chat(await serve(t, join(app, '.next', 'standalone', 'apps', 'web', 'server.js')))

  await t.test('on the Edge runtime the error says what to do', async () => {
    const route = join(app, 'app', 'api', 'chat', '[id]', 'route.js')
    writeFileSync(route, `export const runtime = 'edge'\n${readFileSync(route, 'utf8')}`)
    await assert.rejects(run(app, 'npx', '--no-install', 'next', 'build'), /needs the Node\.js runtime/)
  })
})
