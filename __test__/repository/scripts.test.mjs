// What `npm test`, `npm run demo` and `npm run example` do to the machine they run on.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort } from '../support/free-port.mjs'
import { reap, reapFolder } from '../support/reaper.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { deadline, until } from '../support/wait.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * @param {string} program
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
function start(program, args, env) {
  const child = spawn(program, args, { cwd: root, env })
  reap(child)
  const run = { child, output: '', ended: once(child, 'close') }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      run.output += text
    })
  }
  return run
}

describe('packages of the system', { skip: process.platform !== 'linux' && 'for apt-get' }, () => {
  /** A machine without Redis, whose package manager only notes what it is told. */
  function machine() {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-machine-'))
    reapFolder(folder)
    const log = join(folder, 'log')
    const program = (/** @type {string} */ name, /** @type {string} */ script) => {
      writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`)
      chmodSync(join(folder, name), 0o755)
    }
    program(
      'apt-get',
      `echo "$@" >>'${log}'; printf '#!/bin/sh\\necho v=7.0.0\\n' >'${folder}/redis-server'; /bin/chmod +x '${folder}/redis-server'`,
    )
    program('sudo', `shift; [ "$1" = true ] || { shift 2; exec "$@"; }`)
    const { CI, REDIS_SERVER, NODE_TEST_CONTEXT, ...inherited } = process.env
    const env = { ...inherited, PATH: folder }
    const isTouched = () => existsSync(log) && readFileSync(log, 'utf8').includes('redis-server')
    return { env, isTouched }
  }

  const SETUP = ['scripts/setup.mjs', 'redis']

  test('none is installed unasked', async () => {
    const { env, isTouched } = machine()
    const run = start(process.execPath, SETUP, env)
    const [code] = await deadline(run.ended, 60_000, 'the setup ends')
    assert.equal(code, 1)
    assert.match(
      run.output,
      /not installed unasked; run `.*apt-get install .*redis-server`, or allow it with --yes or CI=1/,
    )
    assert.ok(!isTouched())
  })

  for (const [name, more, ci] of /** @type {const} */ ([
    ['--yes', ['--yes'], ''],
    ['CI', [], 'true'],
  ])) {
    test(`${name} allows it`, async () => {
      const { env, isTouched } = machine()
      const run = start(process.execPath, [...SETUP, ...more], { ...env, CI: ci })
      const [code] = await deadline(run.ended, 60_000, 'the setup ends')
      assert.equal(code, 0, run.output)
      assert.ok(isTouched())
    })
  }

  for (const [answer, isInstalled] of /** @type {const} */ ([
    ['y', true],
    ['n', false],
    ['', false],
  ])) {
    test(`on a terminal "${answer}" is ${isInstalled ? 'a' : 'no'} yes`, async (t) => {
      if (!existsSync('/usr/bin/script')) return t.skip('needs the script program of util-linux')
      const { env, isTouched } = machine()
      const command = `'${process.execPath}' ${SETUP.join(' ')}`
      const run = start('/usr/bin/script', ['-qec', command, '/dev/null'], { ...env, SHELL: '/bin/sh' })
      await until(() => run.output.includes('? [y/N] '), { timeout: 60_000, message: () => run.output })
      run.child.stdin?.write(`${answer}\r`)
      const [code] = await deadline(run.ended, 60_000, `the setup ends: ${run.output}`)
      assert.equal(code, isInstalled ? 0 : 1, run.output)
      assert.equal(isTouched(), isInstalled)
    })
  }
})

test('npm run demo says whom it tries to reach before one wonders', async () => {
  const env = {
    ...process.env,
    TIDEMARK_URL: '',
    REDIS_URL: 'redis://bob:sesame@127.0.0.1:1',
    PORT: String(await freePort()),
  }
  const run = start(process.execPath, ['examples/demo/main.mjs', '--headless'], env)
  // Before it gives up, which it says too.
  await until(() => run.output === 'trying to reach 127.0.0.1:1 …\n', { message: () => run.output })
  const [code] = await deadline(run.ended, 60_000, 'it gives up')
  assert.equal(code, 1)
  assert.doesNotMatch(run.output, /sesame/)
})

describe('npm run example', () => {
  for (const [what, offset, env] of /** @type {const} */ ([
    ['its port', 0, {}],
    ['a port of its two servers', 2, { REDIS_URL: 'redis://127.0.0.1:1' }],
  ])) {
    test(`says at once that ${what} is taken, and leaves nothing behind`, async () => {
      const port = await freePort()
      const taken = createServer().listen(port + offset, '127.0.0.1')
      await once(taken, 'listening')
      const run = start(process.execPath, ['scripts/example.mjs'], {
        ...process.env,
        REDIS_URL: '',
        ...env,
        PORT: String(port),
      })
      const [code] = await deadline(run.ended, 60_000, 'it ends')
      taken.close()
      assert.deepEqual([code, run.output], [1, `port ${port + offset} is in use; give another one as PORT\n`])
    })
  }

  test('prints its address last, when the servers answer, and ends them with it', async () => {
    const port = await freePort()
    const env = { ...process.env, PORT: String(port), REDIS_URL: (await sharedRedis()).url }
    const run = start(process.execPath, ['scripts/example.mjs'], env)
    const last = `\nThe chat is at http://127.0.0.1:${port}\n`
    await until(() => run.output.includes(last), { timeout: 150_000, message: () => run.output })
    assert.ok((await fetch(`http://127.0.0.1:${port}/api/chats`)).ok)
    assert.ok(run.output.endsWith(last), run.output)
    const pids = [...run.output.matchAll(/kill -9 (\d+)/g)].map(([, pid]) => Number(pid))
    assert.equal(pids.length, 2)
    run.child.kill('SIGINT')
    await deadline(run.ended, 60_000, 'Ctrl-C')
    await until(() => pids.every((pid) => !isAlive(pid)))
  })
})

/** @param {number} pid */
function isAlive(pid) {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
