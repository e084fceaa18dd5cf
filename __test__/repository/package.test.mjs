// What is published, as npm, its readers' tools and old compilers see it.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { pack } from '../../scripts/pack.mjs'
import { readme } from '../../scripts/readme.mjs'
import { root } from '../../scripts/steps.mjs'
import { neededGlibc } from '../support/elf.mjs'
import { unpackedFolder } from '../support/unpacked.mjs'

describe('the package', () => {
  /** @type {Buffer<ArrayBuffer>} */
  let tarball
  /** @type {any} of the tarball */
  let manifest
  /** @type {string} */
  let folder
  before(async () => {
    tarball = readFileSync(/** @type {{ file: string }} */ ((await pack())[0]).file)
    folder = await unpackedFolder(['@opentelemetry/api', '@types/node'])
    manifest = JSON.parse(readFileSync(join(folder, 'node_modules/tidemark/package.json'), 'utf8'))
  })

  test('publint has nothing to say', async () => {
    const { buffer, byteOffset, byteLength } = tarball
    const data = buffer.slice(byteOffset, byteOffset + byteLength)
    const { messages } = await publint({ pack: { tarball: data }, level: 'suggestion', strict: true })
    assert.deepEqual(messages, [])
  })

  test('its types are right under every way of resolving modules', async () => {
    const result = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball)))
    assert.ok('problems' in result, 'there are types')
    assert.deepEqual(result.problems, [])
  })

  // The compiler that the checkout has no longer knows this way, which many projects still use.
  test('a project under moduleResolution node finds every entry point', () => {
    const nested = createRequire(createRequire(import.meta.url).resolve('@arethetypeswrong/core'))
    const entries = Object.keys(manifest.exports).filter((path) => path !== './package.json')
    const imports = entries.map(
      (path, index) =>
        `import * as entry${index} from 'tidemark${path.slice(1)}'\nexport const value${index} = entry${index}`,
    )
    assert.ok(imports.length >= 10)
    writeFileSync(join(folder, 'node10.ts'), `${imports.join('\n')}\n`)
    const options =
      '--moduleResolution node10 --module commonjs --target es2022 --strict --noEmit --types node'
    const { status, stdout } = spawnSync(
      process.execPath,
      [nested.resolve('typescript/bin/tsc'), ...options.split(' '), '--skipLibCheck', 'node10.ts'],
      { cwd: folder, encoding: 'utf8' },
    )
    assert.equal(status, 0, stdout)
  })

  test('an installation brings none of the packages that it has adapters to, and every adapter loads without', () => {
    const peers = Object.keys(manifest.peerDependencies)
    assert.ok(peers.includes('@tanstack/ai') && peers.includes('assistant-stream'))
    for (const peer of peers) assert.equal(manifest.peerDependenciesMeta[peer]?.optional, true, peer)
    assert.deepEqual(Object.keys(manifest.dependencies ?? {}), [])
    const require = createRequire(join(folder, 'program.js'))
    for (const name of ['@tanstack/ai', 'assistant-stream', '@workflow/world'])
      assert.throws(() => require.resolve(name), `${name} is not there`)
    for (const [entry, name] of /** @type {const} */ ([
      ['tanstack', 'tidemarkStream'],
      ['assistant-ui', 'assistantUiStore'],
      ['workflow', 'workflowStreamer'],
    ])) {
      assert.equal(typeof require(`tidemark/${entry}`)[name], 'function')
    }
  })

  test('it says whose it is, and npm has nothing to mend in it', () => {
    const url = /^git\+(https:\/\/github\.com\/[\w-]+\/[\w-]+)\.git$/.exec(manifest.repository.url)?.[1]
    assert.ok(url, manifest.repository.url)
    assert.equal(manifest.homepage, `${url}#readme`)
    assert.equal(manifest.bugs.url, `${url}/issues`)
    assert.ok(manifest.author)
    // What is compiled names it too, in errors.
    for (const file of filesOf(join(folder, 'node_modules/tidemark/dist')))
      for (const [link] of readFileSync(file, 'utf8').matchAll(/https:\/\/github\.com\/[\w-]+\/tidemark\b/g))
        assert.equal(link, url, file)
    assert.equal(manifest.sideEffects, false)
    assert.ok(existsSync(join(folder, 'node_modules/tidemark', manifest.bin.tidemark)))
    assert.equal(Object.keys(manifest.optionalDependencies).length, manifest.napi.targets.length)
    // What npm would mend, with a warning, when this is published.
    const home = join(folder, 'node_modules/tidemark')
    spawnSync('npm', ['pkg', 'fix'], { cwd: home, shell: process.platform === 'win32' })
    assert.deepEqual(JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')), manifest)
  })

  test('README is as its script makes it, and what it links to is there', () => {
    const text = readFileSync(join(root, 'README.md'), 'utf8')
    assert.equal(text, readme(text), 'run `node scripts/readme.mjs`')
    const base = `${manifest.homepage.replace('#readme', '')}/`
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => /** @type {string} */ (link))
    assert.ok(links.length > 20)
    for (const link of links.filter((link) => link.startsWith(base))) {
      const path = link.slice(base.length).replace(/^(blob|tree|raw)\/[\w.-]+\//, '')
      const [file = '', anchor] = path.split('#')
      assert.ok(existsSync(join(root, file)), link)
      if (anchor) assert.ok(anchors(file).includes(anchor), link)
    }
    for (const link of links) assert.match(link, /^(https:\/\/|#)/, 'npm shows no relative links')
  })

  test('a release puts the line for npm in the place of how to install tarballs, and changes nothing else', () => {
    const text = readFileSync(join(root, 'README.md'), 'utf8')
    const released = readme(text, { isReleased: true })
    assert.match(released, /^## Install\n\n```sh\nnpm install tidemark\n```\n\nNode\.js 20/m)
    assert.doesNotMatch(released, /git clone|not on npm|\.tgz/)
    assert.equal(readme(released, { isReleased: true }), released)
    assert.ok(text.length - released.length < 700)
  })

  test('links from page to page lead somewhere', () => {
    const pages = [
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      'SECURITY.md',
      ...readdirSync(join(root, 'docs'))
        .filter((name) => name.endsWith('.md'))
        .map((name) => `docs/${name}`),
    ]
    for (const page of pages) {
      const text = withoutCode(readFileSync(join(root, page), 'utf8'))
      for (const [, link = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(link)) continue
        const [path, anchor] = link.split('#')
        const file = path ? join(page, '..', path) : page
        assert.ok(existsSync(join(root, file)), `${page}: ${link}`)
        if (anchor && file.endsWith('.md')) assert.ok(anchors(file).includes(anchor), `${page}: ${link}`)
      }
    }
  })

  test('every row of a table has as many cells as its head', () => {
    const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
    for (const page of ['README.md', ...pages.map((name) => `docs/${name}`)]) {
      const lines = withoutCode(readFileSync(join(root, page), 'utf8')).split('\n')
      let columns = 0
      for (const [index, line] of lines.entries()) {
        if (!line.startsWith('|')) columns = 0
        else if (columns === 0) columns = cells(line)
        else assert.equal(cells(line), columns, `${page}: ${index + 1}: ${line}`)
      }
    }
  })
})

/** @param {string} folder */
const filesOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))

/** How many cells a row has; GitHub ends a cell at every `|` that has no backslash, code or not. @param {string} line */
const cells = (line) => line.replaceAll('\\|', '').split('|').length

/** @param {string} text */
const withoutCode = (text) => text.replace(/^```[\s\S]*?^```$/gm, '')

/** What GitHub makes of a page's headings. @param {string} file */
function anchors(file) {
  if (!file.endsWith('.md')) return []
  const headings = [...withoutCode(readFileSync(join(root, file), 'utf8')).matchAll(/^#+ (.*)$/gm)]
  return headings.map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  )
}

// The oldest glibc that a release promises (docs/docker.md): CentOS 7, Amazon Linux 2, Ubuntu 14.04 and everything since.
test('the native addon for glibc needs 2.17 at most', (t) => {
  const binary = readdirSync(root).find((name) => /^tidemark\.linux-.*-gnu\.node$/.test(name))
  if (!binary) return t.skip('no addon for glibc here')
  const needed = neededGlibc(readFileSync(join(root, binary)))
  assert.match(needed, /^2\.\d+/)
  const isPortable = Number(needed.split('.')[1]) <= 17
  if (!isPortable && process.env.TIDEMARK_PORTABLE !== '1')
    return t.skip(`needs ${needed}: built for this machine; releases are built by scripts/portable.mjs`)
  assert.ok(isPortable, `needs ${needed}`)
})
