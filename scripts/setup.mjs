// Makes a fresh checkout ready: npm packages, native addon, TypeScript, and, for the tests, a Redis server and browsers.
//
//   node scripts/setup.mjs [npm] [native] [typescript] [redis] [chromium] [firefox] [node22] [workflow] [--dry-run] [--yes]
//
// Without names: the first three. Each step is skipped while its inputs are unchanged. System packages (Redis,
// Chromium, Firefox) are installed after a question, or with --yes, or where CI is set.

import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromiumPackage, firefoxPackage } from './browsers.mjs'
import { YES } from './consent.mjs'
import { findNode22, installNode22, node22Installation } from './node22.mjs'
import { findRedis, redisPackage } from './redis.mjs'
import { needRust } from './rust.mjs'
import { hashOf, isMain, isStamped, root, run, runSteps, SetupError, say, stamp } from './steps.mjs'
import { findWorkflowClient, installWorkflowClient, workflowClientInstallation } from './workflow-client.mjs'

/** @typedef {'npm' | 'native' | 'typescript' | 'redis' | 'chromium' | 'firefox' | 'node22' | 'workflow'} StepName */

const nativeOutput = () => [
  ...readdirSync(root).filter((name) => /^tidemark\..+\.node$/.test(name)),
  ...['native.cjs', 'native.d.ts'].filter((name) => existsSync(join(root, name))),
]

/** @type {Record<StepName, import('./steps.mjs').Step>} */
const steps = {
  npm: hashed('npm packages', ['package-lock.json'], {
    exists: () => existsSync(join(root, 'node_modules')),
    reason: () => 'npm ci',
    run: () => run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']),
  }),
  native: hashed('native addon', ['src', 'Cargo.toml', 'Cargo.lock', 'build.rs'], {
    exists: () => nativeOutput().length >= 3,
    // CI builds it on another machine.
    isTaken: () => process.env.TIDEMARK_PREBUILT === '1',
    reason: () =>
      `cargo build${existsSync(join(root, 'target', 'release')) ? '' : ' (the first one takes some minutes)'}`,
    run: async () => {
      needRust()
      for (const file of nativeOutput()) rmSync(join(root, file))
      await run('npm', ['run', '--silent', 'build:native'])
    },
  }),
  typescript: hashed(
    'TypeScript',
    [
      'ts',
      'tsconfig.json',
      'tsconfig.build.json',
      'tsconfig.browser.json',
      'index.d.ts',
      'index.d.mts',
      'native.d.ts',
      'package-lock.json',
    ],
    {
      exists: () => existsSync(join(root, 'dist')),
      reason: () => 'tsc',
      run: async () => {
        rmSync(join(root, 'dist'), { recursive: true, force: true })
        for (const project of ['tsconfig.build.json', 'tsconfig.browser.json']) {
          await run(join('node_modules', '.bin', 'tsc'), ['--project', project])
        }
        // The inspector's page is not compiled.
        cpSync(join(root, 'ts', 'inspector', 'page'), join(root, 'dist', 'inspector', 'page'), {
          recursive: true,
        })
        // Browser code exists as ES modules too; all other .js files of the package are CommonJS.
        writeFileSync(join(root, 'dist', 'esm', 'package.json'), '{ "type": "module" }\n')
      },
    },
  ),
  redis: {
    name: 'Redis server for the tests',
    pending: () => (findRedis() ? undefined : redisPackage.plan()),
    run: () => redisPackage.install(),
  },
  node22: {
    name: 'Node.js 22 for ai 7',
    pending: () => (findNode22() ? undefined : node22Installation),
    run: installNode22,
  },
  workflow: {
    name: 'WorkflowChatTransport',
    pending: () => (findWorkflowClient() ? undefined : workflowClientInstallation),
    run: installWorkflowClient,
  },
  chromium: chromiumPackage.optional('Chromium for the browser tests'),
  firefox: firefoxPackage.optional('Firefox for some of them'),
}

/**
 * A step that is due when its output is missing or its inputs have another hash than at its last success.
 * @param {string} name
 * @param {string[]} inputs
 * @param {{ exists: () => boolean, isTaken?: () => boolean, reason: () => string, run: () => Promise<unknown> }} work `isTaken`
 *   takes the output that is there, whatever it was made of
 * @returns {import('./steps.mjs').Step}
 */
function hashed(name, inputs, work) {
  const key = name.toLowerCase().replaceAll(' ', '-')
  return {
    name,
    pending: () =>
      work.exists() && (work.isTaken?.() || isStamped(key, hashOf(inputs))) ? undefined : work.reason(),
    run: async () => {
      // Hashed first: a file edited during the run makes the step due again.
      const hash = hashOf(inputs)
      await work.run()
      stamp(key, hash)
    },
  }
}

/**
 * Brings the named parts up to date; takes well under a second when they are.
 * @param {StepName[]} [names]
 * @param {{ dryRun?: boolean }} [options]
 */
export async function setup(names = ['npm', 'native', 'typescript'], options = {}) {
  await runSteps(
    names.map((name) => steps[name]),
    options,
  )
}

/**
 * Runs a script's main function; a {@link SetupError} becomes one sentence and exit code 1.
 * @param {() => Promise<number | undefined>} main gives the exit code
 */
export async function runMain(main) {
  try {
    process.exitCode = (await main()) ?? 0
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    say(error.message)
    process.exitCode = 1
  }
}

if (isMain(import.meta.url)) {
  await runMain(async () => {
    const names = process.argv.slice(2).filter((arg) => arg !== '--dry-run' && arg !== YES)
    const unknown = names.find((name) => !Object.hasOwn(steps, name))
    if (unknown) throw new SetupError(`unknown step ${unknown}; there are ${Object.keys(steps).join(', ')}`)
    const dryRun = process.argv.includes('--dry-run')
    await setup(names.length > 0 ? /** @type {StepName[]} */ (names) : undefined, { dryRun })
    return 0
  })
}
