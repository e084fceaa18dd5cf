// Public suites of other projects, which are written for vitest.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { reap } from './reaper.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Runs a suite to its end. `failed` has the first line of each failure.
 * @param {string} config vitest's, in this folder
 * @param {NodeJS.ProcessEnv} env
 * @param {readonly string[]} [only] the names of the tests to run; default all
 */
export async function runVitest(config, env, only = []) {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-vitest-'))
  try {
    const file = join(folder, 'results.json')
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    const path = join(root, '__test__/support', config)
    const args = [vitest, 'run', '--config', path, '--reporter=json', `--outputFile=${file}`]
    if (only.length > 0) args.push('--testNamePattern', only.map(exactly).join('|'))
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...inherited, ...env },
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
    const results = testResults.flatMap(({ assertionResults }) => assertionResults)
    const passed = results.filter(({ status }) => status === 'passed').map(({ fullName }) => fullName)
    const failed = results
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages: [why = ''] }) => ({ name: fullName, why: `${why.split('\n')[0]}` }))
    return { passed, failed, errors }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** @param {string} name */
const exactly = (name) => `^${name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`
