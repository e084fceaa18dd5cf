// `npm test`: sets up what is missing, then runs the Rust tests and the JavaScript tests.
//
//   npm test                        everything
//   npm test -- engine sse          the JavaScript test files whose room or name contains one of these
//   npm test -- --test-name-pattern='G4'   options starting with --test go to `node --test`
//   npm test -- --yes               without asking before a system package (Redis, a browser) is installed; CI=1 does the same
//   npm run soak                    the long fault tests, instead of all others

import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { YES } from './consent.mjs'
import { launch } from './launch.mjs'
import { prepareNextChat } from './next-chat.mjs'
import { findNode22 } from './node22.mjs'
import { findRedis } from './redis.mjs'
import { needRust } from './rust.mjs'
import { runMain, setup } from './setup.mjs'
import { root, run, SetupError, say, seconds } from './steps.mjs'

/** For one test file; the builds of Next.js take the longest. */
const FILE_TIMEOUT_MS = 300_000
/** The result of each test, and then the slowest files. */
const REPORTERS = ['spec', './scripts/slowest.mjs'].flatMap((reporter) => [
  `--test-reporter=${reporter}`,
  '--test-reporter-destination=stdout',
])
/** A million streams, about 800 a second, and the waits between them. */
const SOAK_TIMEOUT_MS = 60 * 60_000

await runMain(async () => {
  const args = process.argv.slice(2).filter((arg) => arg !== YES)
  const soak = args.includes('--soak')
  const options = args.filter((arg) => arg.startsWith('--') && arg !== '--soak')
  const filters = args.filter((arg) => !arg.startsWith('--'))

  const files = testFiles(soak, filters)
  const needsBrowser = files.some((file) => file.includes('browser'))
  await setup([
    'npm',
    'native',
    'typescript',
    'redis',
    'node22',
    ...(files.some((file) => /next-workflow|examples.adapters/.test(file))
      ? /** @type {const} */ (['workflow'])
      : []),
    ...(needsBrowser ? /** @type {const} */ (['chromium']) : []),
    ...(files.some((file) => file.includes('firefox')) ? /** @type {const} */ (['firefox']) : []),
  ])
  if (files.some((file) => file.includes('next-chat'))) await prepareNextChat()
  process.env.REDIS_SERVER = findRedis()?.path
  process.env.NODE22 = findNode22()

  let rustFailed = false
  if (soak || filters.length > 0) {
    say('\nRust tests … left out')
  } else {
    say('\nRust tests: cargo test --no-default-features')
    const start = performance.now()
    needRust()
    rustFailed = await run('cargo', ['test', '--no-default-features']).then(
      () => false,
      () => true,
    )
    say(`Rust tests … ${rustFailed ? 'FAILED after ' : ''}${seconds(start)}`)
  }

  say(`\nJavaScript tests: ${files.length} files`)
  const concurrency = soak ? 1 : Math.max(2, availableParallelism())
  const code = await launch([
    '--test',
    ...(options.some((option) => option.startsWith('--test-reporter')) ? [] : REPORTERS),
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${soak ? SOAK_TIMEOUT_MS : FILE_TIMEOUT_MS}`,
    ...options,
    ...files,
  ])
  if (rustFailed) say('\nThe Rust tests FAILED, see above.')
  return code || Number(rustFailed)
})

/**
 * The test files in the rooms of __test__ (those of the soak only with `soak`) whose room or name contains one of the filters.
 * @param {boolean} soak
 * @param {string[]} filters
 */
function testFiles(soak, filters) {
  const files = readdirSync(join(root, '__test__'), { withFileTypes: true })
    .filter((room) => room.isDirectory() && (room.name === 'soak') === soak)
    .flatMap((room) => readdirSync(join(root, '__test__', room.name)).map((name) => `${room.name}/${name}`))
    .filter((name) => name.endsWith('.test.mjs'))
    .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)))
    .sort()
  if (files.length === 0) {
    throw new SetupError(`no file in __test__ matches ${filters.join(', ') || '*/*.test.mjs'}`)
  }
  return files.map((name) => `__test__/${name}`)
}
