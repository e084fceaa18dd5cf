// The projects that a Next.js application with Tidemark is built in.

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build, buildAndRun, copyApp, packedFolder, run } from './next-app.mjs'

/** An npm project. @param {import('node:test').TestContext} t @param {15 | 16} next */
export async function npmProject(t, next) {
  const { folder, names } = await packedFolder()
  const app = copyApp(join(folder, 'npm'), next)
  const tarballs = names.map((name) => `../${name}.tgz`)
  await run(app.folder, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', ...tarballs)
  await buildAndRun(t, app, '')
}

/** A pnpm workspace, where nothing is hoisted. @param {import('node:test').TestContext} t @param {15 | 16} next */
export async function pnpmWorkspace(t, next) {
  const { folder, names } = await packedFolder()
  const workspace = join(folder, 'pnpm')
  const [name = '', platform = ''] = names
  mkdirSync(workspace)
  const within = join('apps', 'web')
  const app = copyApp(join(workspace, within), next, { [name]: `file:../../../${name}.tgz` })
  // The optional dependency, which would come from a registry.
  const overrides = { [platform]: `file:../${platform}.tgz` }
  writeFileSync(join(workspace, 'package.json'), JSON.stringify({ private: true, pnpm: { overrides } }))
  writeFileSync(join(workspace, 'pnpm-workspace.yaml'), 'packages:\n  - apps/*\n')
  await run(workspace, 'npx', '--yes', 'pnpm@10.34.9', 'install')
  // The build with npm checks the same types, which takes a third of the time.
  await buildAndRun(t, { ...app, isUntyped: true }, within)
  return app
}

/** @param {import('./next-app.mjs').App} app */
export async function failsOnTheEdge(app) {
  const route = join(app.folder, 'app', 'api', 'words', '[id]', 'route.ts')
  writeFileSync(route, `export const runtime = 'edge'\n${readFileSync(route, 'utf8')}`)
  await assert.rejects(build(app, 'turbopack'), /needs the Node\.js runtime/)
}
