// The releases of React that the hooks are for, and pages that are bundled with them.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** Beside the project's own React: npm has no place for two of them, each with its `react-dom`. */
const folder = join(root, '.cache', 'react-18')

/** @returns {string | undefined} where the packages of a release are; undefined where it cannot be had */
export function reactPackages(/** @type {18 | 19} */ version) {
  if (version === 19) return join(root, 'node_modules')
  const modules = join(folder, 'node_modules')
  if (existsSync(modules)) return modules
  // Other test files look for them at the same time: they appear as a whole.
  const own = `${folder}-${process.pid}`
  mkdirSync(own, { recursive: true })
  writeFileSync(join(own, 'package.json'), '{ "private": true }\n')
  const packages = ['react@18.3.1', 'react-dom@18.3.1']
  const flags = ['--no-audit', '--no-fund', '--no-save', '--loglevel=error']
  const { status } = spawnSync('npm', ['install', '--prefix', own, ...flags, ...packages])
  try {
    if (status === 0) renameSync(own, folder)
  } catch {
    // Another file was quicker.
  }
  rmSync(own, { recursive: true, force: true })
  return existsSync(modules) ? modules : undefined
}

/**
 * A module and what it imports as one script, for a page or for a server.
 * @param {string} file @param {string} modules where React is
 * @param {{ platform?: 'browser' | 'node', plugins?: import('esbuild').Plugin[],
 *   alias?: Record<string, string> }} [options] `alias`: other packages in place of those that are imported
 */
export async function bundle(file, modules, { platform = 'browser', plugins = [], alias = {} } = {}) {
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    format: 'esm',
    platform,
    define: { 'process.env.NODE_ENV': '"development"' },
    alias: {
      react: join(modules, 'react'),
      'react-dom': join(modules, 'react-dom'),
      ...alias,
      'tidemark/ai/saved': join(root, 'dist', 'esm', 'ai', 'saved.js'),
      'tidemark/ai': join(root, 'dist', 'esm', 'ai.js'),
      'tidemark/react': join(root, 'dist', 'esm', 'react.js'),
      'tidemark/client': join(root, 'dist', 'esm', 'client.js'),
    },
    banner: platform === 'node' ? { js: NEEDS_REQUIRE } : {},
    plugins,
    write: false,
  })
  return outputFiles?.[0]?.text ?? ''
}

/** CommonJS modules may require Node's own modules. */
const NEEDS_REQUIRE =
  "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire('/');"
