// docs/errors.md, which each error names, is that of the table that the code uses.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as tidemark from 'tidemark'
import { DOCS, ERROR_CODES, TABLE } from '../../dist/errors/errors.js'
import { PLATFORMS } from '../../dist/errors/platform.js'
import { errorsFile, isCurrent } from '../../scripts/errors.mjs'

const page = readFileSync(errorsFile, 'utf8')
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

test('the page is current', () => assert.ok(isCurrent(), 'run: node scripts/errors.mjs'))

test('it has a section for each code, in order, with causes and cures', () => {
  assert.deepEqual(page.match(/(?<=^## )ERR_\w+$/gm), ERROR_CODES)
  for (const section of page.split(/^## /m).slice(1))
    assert.match(section, /\n\| [^|]+ \| [^|]+ \|\n/, section)
})

test('the classes that it names are exported', () => {
  for (const [, type] of TABLE) {
    assert.ok(type.name in tidemark, type.name)
    assert.match(page, new RegExp(`^\`${type.name}\``, 'm'))
  }
})

test('errors link to the page of the repository that the manifest names', () => {
  const { homepage = 'https://github.com/tidemark-dev/tidemark#readme' } = manifest
  assert.equal(DOCS, homepage.replace(/#readme$/, '/blob/main/docs/errors.md'))
})

test('the platforms that an error lists are those that are built', () => {
  /** @type {Record<string, string>} */
  const words = { x86_64: 'x64', aarch64: 'arm64', apple: 'darwin', pc: 'win32', unknown: 'linux' }
  const nameOf = (/** @type {string} */ target) => {
    const [processor = '', vendor = ''] = target.split('-')
    return `${words[vendor]}-${words[processor]}`
  }
  assert.deepEqual([...new Set(manifest.napi.targets.map(nameOf))].sort(), [...PLATFORMS].sort())
})
