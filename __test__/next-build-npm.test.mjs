// A Next.js application in an npm project that installs the packed tarballs, built by both of Next's bundlers, and run.

import { join } from 'node:path'
import test from 'node:test'
import { chat, copyApp, packedFolder, run, serve } from './support/next-app.mjs'

test('an npm project: Turbopack and webpack, and the standalone server runs', async (t) => {
  const { folder, names } = await packedFolder()
  const app = join(folder, 'npm')
  copyApp(app)
  const tarballs = names.map((name) => `../${name}.tgz`)
  await run(app, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', ...tarballs)
  for (const bundler of ['--turbopack', '--webpack']) {
    await t.test(bundler, async (t) => {
      await run(app, 'npx', '--no-install', 'next', 'build', bundler)
      await chat(await serve(t, join(app, '.next', 'standalone', 'server.js')))
    })
  }
})
