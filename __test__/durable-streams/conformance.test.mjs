// The public conformance suite against `tidemark serve`.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { reap } from '../support/reaper.mjs'
import { startServe } from '../support/serving.mjs'
import { TestStore } from '../support/stores.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const config = join(root, '__test__/support/durable-streams/vitest.config.mjs')

/** Runs the suite; its tests by name. @param {string} address */
async function run(address) {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-conformance-'))
  try {
    const file = join(folder, 'results.json')
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    const args = [vitest, 'run', '--config', config, '--reporter=json', `--outputFile=${file}`]
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...env, CONFORMANCE_TEST_URL: address },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    reap(child)
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors += text
    })
    await new Promise((resolve) => child.once('close', resolve))
    const text = await readFile(file, 'utf8').catch(() => assert.fail(errors))
    /** @type {{ testResults: { assertionResults: { fullName: string, status: string, failureMessages: string[] }[] }[] }} */
    const { testResults } = JSON.parse(text)
    return testResults.flatMap(({ assertionResults }) => assertionResults)
  } finally {
    await rm(folder, { recursive: true })
  }
}

// Most of the time the suite waits.
describe('conformance', { concurrency: true }, () => {
  for (const kind of /** @type {const} */ (['memory', 'redis'])) {
    test(`Durable Streams: every test of the conformance suite passes [${kind}]`, {
      timeout: 240_000,
    }, async (t) => {
      const store = new TestStore(kind)
      await store.start()
      const url = kind === 'memory' ? 'memory:' : store.url
      const server = await startServe(['--url', url, '--prefix', store.prefix(), '--long-poll-ms', '2000'])
      const results = await run(server.address)
      const passed = results.filter(({ status }) => status === 'passed')
      const failed = results.filter(({ status }) => status === 'failed')
      t.diagnostic(`${passed.length} passed, ${failed.length} not`)
      assert.deepEqual(
        failed.map(({ fullName, failureMessages: [why = ''] }) => `${fullName}: ${why.split('\n')[0]}`),
        [],
      )
      assert.ok(passed.length >= 332)
      assert.equal(await server.stop(), 0, server.errors())
      assert.equal(server.errors().replace(/^trying to reach .*\n/m, ''), '')
      await store.checkRights()
    })
  }
})
