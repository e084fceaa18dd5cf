// What an application ships of an entry point.

import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/**
 * The entry point's code for browsers, bundled and minified, and its size when compressed.
 * @param {string} name that of its file in `dist/esm`
 */
export async function bundled(name) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../../dist/esm/${name}.js`, import.meta.url))],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
  })
  const code = outputFiles.map(({ text }) => text).join('')
  return { code, size: gzipSync(code, { level: 9 }).length }
}
