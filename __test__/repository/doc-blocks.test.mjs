// Every program in README and docs compiles as it stands, strictly, against the packed tarball; those that can be run are.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { basename, dirname, join } from 'node:path'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { blocksOf, examples, pages, writePage } from '../../scripts/doc-blocks.mjs'
import { unpackedFolder } from '../support/unpacked.mjs'

const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url))
const PACKAGES = [
  '@types',
  '@ai-sdk',
  'ai',
  'express',
  'hono',
  '@hono',
  '@trpc',
  'react',
  'csstype',
  'vue',
  '@vue',
  'svelte',
  'zod',
  '@opentelemetry',
  '@tanstack',
  'assistant-stream',
  'undici-types',
]

const BUNDLE = /** @type {const} */ ({
  bundle: true,
  format: 'esm',
  platform: 'node',
  packages: 'external',
  logLevel: 'silent',
})

const found = pages.map((page) => ({ page, blocks: blocksOf(page) })).filter(({ blocks }) => blocks.length)
const hovers = examples()
found.push({ page: 'index.d.ts', blocks: hovers })

/** What a user of the package calls. */
const CALLS = [
  ...['createEngine', 'produce', 'pipe', 'subscribe', 'stop', 'respond', 'send', 'consume', 'finished'],
  ...[
    'deadLetters',
    'ack',
    'acknowledge',
    'status',
    'streams',
    'delete',
    'cleanup',
    'metrics',
    'connect',
    'close',
  ],
  ...['write', 'append'],
]

test('every call of the engine has an example in its hover', () => {
  for (const call of CALLS)
    assert.ok(
      hovers.some(({ pasted }) => new RegExp(`\\b${call}\\(`).test(pasted)),
      call,
    )
})

describe('what is in README and docs to be pasted', { concurrency: 2 }, () => {
  /** @type {string} */
  let folder
  /** @type {Map<string, string[]>} */
  const projects = new Map()
  before(async () => {
    folder = await unpackedFolder(PACKAGES)
    for (const { page, blocks } of found)
      projects.set(page, writePage(join(folder, basename(page, '.md')), blocks))
  })

  for (const { page, blocks } of found) {
    test(`${page}: ${blocks.length} programs compile`, async () => {
      for (const project of projects.get(page) ?? []) {
        const { stdout } = await promisify(execFile)(process.execPath, [tsc, '--project', project], {
          cwd: dirname(project),
        }).catch((error) => error)
        assert.equal(
          stdout,
          '',
          `${page}, lines ${blocks.map(({ file, line }) => `${line}: ${file}`).join(', ')}`,
        )
      }
    })

    for (const { file, line } of blocks.filter(({ isRun }) => isRun)) {
      test(`${page}: the program in line ${line} runs`, async () => {
        const outfile = join(folder, `${basename(page, '.md')}-${line}.mjs`)
        const entry = join(folder, basename(page, '.md'), file)
        await build({ ...BUNDLE, entryPoints: [entry], outfile })
        const { NODE_TEST_CONTEXT: _, REDIS_URL: __, TIDEMARK_URL: ___, KV_URL: ____, ...env } = process.env
        await promisify(execFile)(process.execPath, [outfile], { cwd: folder, env, timeout: 30_000 })
      })
    }

    test(`${page}: one column in each block`, () => {
      for (const { line, pasted } of blocks)
        for (const text of pasted.split('\n'))
          assert.doesNotMatch(text, /\S {4,}\S/, `${page}, block in line ${line}: ${text}`)
    })
  }
})
