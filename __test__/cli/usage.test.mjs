// How the command line is used: its help, its mistakes, and what it says without a store.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import suggest from '../../dist/util/suggestion.js'
import { cli, lines, main, start, version } from '../support/cli.mjs'
import { until } from '../support/wait.mjs'

const COMMANDS = [
  'ls',
  'top',
  'ui',
  'show',
  'tail',
  'stop',
  'rm',
  'cleanup',
  'stats',
  'groups',
  'dead',
  'doctor',
]

test('it says how it is used, each command too', async () => {
  assert.match(await readFile(main, 'utf8'), /^#!\/usr\/bin\/env node\n/)
  const all = await cli(['--help'])
  assert.equal(all.code, 0)
  for (const command of COMMANDS) {
    assert.match(all.stdout, new RegExp(`^ {2}${command} `, 'm'))
    const own = await cli([command, '--help'])
    assert.equal(own.code, 0)
    assert.match(own.stdout, new RegExp(`^Usage: tidemark ${command} `, 'm'))
    assert.match(own.stdout, /--url <url>/)
    if (command === 'ls') assert.equal((await cli(['help', command])).stdout, own.stdout)
  }
  assert.equal((await cli([])).stdout, all.stdout)
  assert.equal((await cli(['--version'])).stdout.trim(), version)
  const guide = await readFile(new URL('../../docs/cli.md', import.meta.url), 'utf8')
  for (const command of COMMANDS) assert.match(guide, new RegExp(`\`tidemark ${command}`))
})

test('a wrong command line ends with 2 and says what is wrong', async () => {
  /** @type {[args: string[], says: RegExp][]} */
  const table = [
    [['list'], /no command list; see tidemark --help/],
    [['lss'], /no command lss; did you mean ls\?/],
    [['ls', '--url', 'memory:', '--stat=active'], /no option --stat; did you mean --state\?/],
    [['ls', '--prefx', 'x'], /no option --prefx; did you mean --prefix\?; see tidemark ls --help/],
    [['ls', '-x'], /no option -x; see tidemark ls --help/],
    [['ls', '--url', 'memory:', '--sort', 'chunk'], /--sort is one of .*; did you mean chunks\?/],
    [['top', '--url', 'memory:', '--interval', '1ms'], /--interval: must be/],
    [['dead', '--url', 'memory:'], /<group>/],
    [['dead', '--url', 'memory:', 'g', '--retry', '--drop'], /exclude each other; see tidemark dead --help/],
    [['--json'], /command is missing/],
    [['ls', '--bad'], /--bad/],
    [['ls', 'stream'], /no arguments/],
    [['show'], /<stream>/],
    [['show', 'a', 'b'], /<stream>/],
    [['stop'], /<stream>/],
    [['ls'], /TIDEMARK_URL/],
    [['ls', '--url', 'http://host'], /--url: must begin with redis:/],
    [['ls', '--url', 'memory:', '--state', 'live'], /--state is one of/],
    [['ls', '--url', 'memory:', '-n', '0'], /--limit takes/],
    [['cleanup', '--url', 'memory:', '--older-than', '1w'], /--older-than: must be/],
    [['cleanup', '--url', 'memory:', '--outcome', 'active'], /--outcomes\[0\]: must be/],
    [['stats', '--url', 'memory:', '--sample', '65'], /at most 64/],
    [['tail', 'a', '--url', 'memory:', '-f', '--from', 'x'], /--from: must be/],
    [['tail', 'a', '--url', 'memory:', '--from', 'now', '-n', '1'], /exclude each other/],
  ]
  await Promise.all(
    table.map(async ([args, says]) => {
      const { code, stdout, stderr } = await cli(args)
      assert.deepEqual([code, stdout], [2, ''], args.join(' '))
      assert.match(stderr, says)
      assert.match(stderr, /; see tidemark (?:[a-z]+ )?--help\n$/)
    }),
  )
})

test('on memory there is nothing, and the doctor says what that means', async () => {
  const memory = ['--url', 'memory:']
  const [ls, show, tail, rm, stop, cleanup, doctor, stats] = await Promise.all(
    [
      ['ls'],
      ['show', 'a'],
      ['tail', 'a'],
      ['rm', 'a'],
      ['stop', 'a', '--json'],
      ['cleanup', '--json'],
      ['doctor', '--json'],
      ['stats', '--json'],
    ].map((args) => cli([...memory, ...args])),
  )
  const nowhere = 'under the prefix tidemark (--prefix)'
  assert.deepEqual([ls?.code, ls?.stdout, ls?.stderr], [0, '', `No streams ${nowhere}.\n`])
  for (const run of [show, tail, rm]) {
    assert.equal(run?.code, 3)
    assert.ok(`${run?.stdout}${run?.stderr}`.includes(nowhere), 'what was looked through is named')
  }
  assert.deepEqual(lines(stop?.stdout ?? ''), [{ streamId: 'a', result: 'kept' }])
  assert.equal(lines(cleanup?.stdout ?? '')[0]?.removed, 0)
  assert.equal(lines(stats?.stdout ?? '')[0]?.streams, 0)
  assert.equal(doctor?.code, 0, doctor?.stderr)
  const findings = new Map(lines(doctor?.stdout ?? '').map((finding) => [finding.check, finding]))
  assert.equal(findings.get('store')?.status, 'warning')
  assert.match(findings.get('store')?.advice, /TIDEMARK_URL/)
  for (const check of ['Node.js', 'native library', 'connection', 'scripts', 'pub/sub', 'stop']) {
    assert.equal(findings.get(check)?.status, 'ok', check)
  }
  assert.equal((await cli(['doctor'])).code, 0, 'it needs no URL')
})

test('a store that is away ends with 4; a password is never printed', async () => {
  const url = 'redis://bob:sesame@127.0.0.1:1/2'
  const doctor = cli(['doctor', '--json', '--url', url])
  /** @type {[args: string[], env: Record<string, string>, code: number][]} */
  const table = [
    [['ls', '--url', url], {}, 4],
    [['show', 'a'], { TIDEMARK_URL: url }, 4],
    [['doctor'], { REDIS_URL: url }, 1],
    [['ls', '--url', 'redis://:sesame@'], {}, 2],
    [['ls', '--url', 'rediss://:sesame@h/x'], {}, 2],
    [['ls'], { KV_URL: 'sesame://sesame@h' }, 2],
    [['--url', url], {}, 2],
    [['ls', '--uri', url], {}, 2],
  ]
  await Promise.all(
    table.map(async ([args, env, expected]) => {
      const { code, stdout, stderr } = await cli(args, env)
      assert.equal(code, expected, `${args}: ${stderr}`)
      assert.doesNotMatch(stdout + stderr, /:sesame|sesame@/)
    }),
  )
  const findings = lines((await doctor).stdout)
  assert.equal(findings.at(-1)?.check, 'connection')
  assert.deepEqual([findings.at(-1)?.status, findings.at(-2)?.found], ['failure', 'redis://127.0.0.1:1/2'])
})

test('a server that does not answer is named before one loses patience', async () => {
  const run = start(['ls', '--url', 'redis://bob:sesame@127.0.0.1:1/2'])
  await until(() => run.stderr === 'trying to reach 127.0.0.1:1 …\n')
  assert.equal(run.child.exitCode, null, 'before the failure')
  run.child.kill()
})

test('what was probably meant is said, and nothing where nothing is near', () => {
  /** @type {[word: string, known: string[], meant: string | undefined][]} */
  const words = [
    ['tial', COMMANDS, 'tail'],
    ['TAIL', COMMANDS, 'tail'],
    ['clean', COMMANDS, 'cleanup'],
    ['stat', COMMANDS, 'stats'],
    ['list', COMMANDS, undefined],
    ['x', COMMANDS, undefined],
    ['', COMMANDS, undefined],
    ['--dryrun', ['--dry-run', '--batch'], '--dry-run'],
    ['activ', ['active', 'complete'], 'active'],
  ]
  for (const [word, known, meant] of words)
    assert.equal(suggest.suggestion(word, known), meant ? `; did you mean ${meant}?` : '', word)
})
