// What an application ships of an entry point.

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/**
 * The entry point's code for browsers, bundled and minified, and its size when compressed.
 * @param {string} name that of its file in `dist/esm`
 * @param {{ names?: string[] }} [options] what an application imports of it; default all
 */
export async function bundled(name, { names = ['*'] } = {}) {
  const file = fileURLToPath(new URL(`../../dist/esm/${name}.js`, import.meta.url))
  const { outputFiles } = await build({
    stdin: {
      contents: `export ${names[0] === '*' ? '*' : `{ ${names} }`} from ${JSON.stringify(file)}`,
      resolveDir: dirname(file),
    },
    external: ['react'],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
  })
  const code = outputFiles.map(({ text }) => text).join('')
  return { code, size: gzipSync(code, { level: 9 }).length }
}
