// The command line, run as a process of its own.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'tidemark'
import { ls } from '../../dist/cli/ls.js'
import output from '../../dist/cli/output.js'
import suggest from '../../dist/cli/suggest.js'
import table from '../../dist/cli/table.js'
import { tail } from '../../dist/cli/tail.js'
import { top } from '../../dist/cli/top.js'
import { produceMany } from '../support/many.mjs'
import { reap } from '../support/reaper.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { userRules } from '../support/rights.mjs'
import { sharedRedis, TestStore } from '../support/stores.mjs'
import { produceAll, texts } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const root = new URL('../../', import.meta.url)
const { bin, version } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'))
const main = fileURLToPath(new URL(bin.tidemark, root))
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

/** @param {Record<string, string>} env */
function environment(env) {
  // Node.js takes `CI` for a terminal without colours.
  const { TIDEMARK_URL, REDIS_URL, KV_URL, NODE_TEST_CONTEXT, FORCE_COLOR, CI, ...inherited } = process.env
  return { ...inherited, ...env }
}

/**
 * Starts the command line.
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
function start(args, env = {}) {
  const child = spawn(process.execPath, [main, ...args], { env: environment(env) })
  reap(child)
  const run = { child, stdout: '', stderr: '', ended: once(child, 'close') }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    run.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    run.stderr += text
  })
  return run
}

/**
 * Runs it to its end.
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
async function cli(args, env) {
  const run = start(args, env)
  const [code] = await deadline(run.ended, 20_000, `tidemark ${args.join(' ')} ends`)
  assert.doesNotMatch(run.stdout + run.stderr, /\n {4}at /, 'nobody is shown a stack')
  return { code, stdout: run.stdout, stderr: run.stderr }
}

/** @param {string} stdout */
const lines = (stdout) =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

describe('the command line without a store', () => {
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
    const guide = await readFile(new URL('docs/cli.md', root), 'utf8')
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
      [
        ['dead', '--url', 'memory:', 'g', '--retry', '--drop'],
        /exclude each other; see tidemark dead --help/,
      ],
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
    await until(() => run.stderr === 'trying to reach 127.0.0.1:1 …\n', { timeout: 4_000 })
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

  test('long ids lose their middle at the edge of a terminal, wherever they are wide', () => {
    assert.equal(table.cut('chat-1', 6), 'chat-1')
    assert.equal(table.cut('chat-0123456789', 9), 'chat…6789')
    assert.equal(table.cut('0123456789', 4), '01…9')
    assert.equal(table.cut('日本語テキスト', 8), '日本…ト')
    assert.equal(table.width('é日😀'), 5)
    for (let columns = 2; columns < 30; columns++)
      assert.ok(table.width(table.cut('a日b本c語😀d'.repeat(3), columns)) <= columns)
  })

  test('colours and lines that are drawn again are for terminals', () => {
    /** @param {object} [terminal] */
    const stream = (terminal) => ({
      text: '',
      /** @param {string | Uint8Array} text */
      write(text) {
        this.text += text
        return true
      },
      ...terminal,
    })
    const terminal = () => stream({ isTTY: true, hasColors: () => true })
    const [file, log] = [stream(), stream()]
    const plain = new output.Output(file, log, false)
    assert.equal(plain.style('red', 'x'), 'x')
    plain.progress('too early')
    plain.clear()
    assert.equal(log.text, '')
    const [screen, errors] = [terminal(), terminal()]
    const drawn = new output.Output(screen, errors, false)
    assert.equal(drawn.style('red', 'x'), '\u001b[31mx\u001b[0m')
    const colourless = new output.Output(stream({ isTTY: true, hasColors: () => false }), errors, false)
    assert.equal(colourless.style('red', 'x'), 'x')
    const begin = performance.now()
    while (errors.text === '' && performance.now() - begin < 5_000) drawn.progress('1 of 2')
    assert.equal(errors.text, '\r\u001b[K1 of 2')
    drawn.progress('2 of 2')
    drawn.line('done')
    assert.equal(errors.text, '\r\u001b[K1 of 2\r\u001b[K')
    assert.equal(screen.text, 'done\n')
    assert.equal(output.printable('a\u001b[31m\nü\u202e😀'), 'a\\u{1b}[31m\\u{a}ü\\u{202e}😀')
    assert.deepEqual([0, 1023, 1024, 1536 * 1024, 5e9].map(output.bytes), [
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 MiB',
      '4.7 GiB',
    ])
    assert.deepEqual([-5, 999, 59_999, 3_599_999, 7_200_000, 1e9].map(output.duration), [
      '0 ms',
      '999 ms',
      '59 s',
      '59 min',
      '2 h',
      '11 d',
    ])
  })
})

describe('the command line [redis]', () => {
  /** @param {import('node:test').TestContext} t */
  async function scene(t) {
    const redis = await sharedRedis()
    const prefix = new TestStore('redis').prefix()
    const engine = createEngine({ url: redis.url, keyPrefix: prefix })
    t.after(() => engine.close())
    const env = { TIDEMARK_URL: redis.url }
    const own = ['--prefix', prefix]
    return {
      engine,
      redis,
      prefix,
      /** @param {string[]} args */
      run: (...args) => cli([...args, ...own], env),
      /** @param {string[]} args */
      start: (...args) => start([...args, ...own], env),
    }
  }

  test('ls and show tell what there is', async (t) => {
    const { engine, run } = await scene(t)
    await produceAll(engine, 'first', texts(5), { owner: 'user-1', metadata: { model: 'x' } })
    await (await engine.produce('second')).fail('why')
    const live = await engine.produce('live \u001b[31m')
    await live.append('one')
    const listed = await run('ls')
    assert.equal(listed.code, 0)
    assert.match(listed.stdout, /^STATE +CHUNKS +STORED +LAST WRITE +EXPIRES +OWNER +STREAM\n/)
    assert.match(listed.stdout, /^complete +5 .* user-1 +first$/m)
    assert.match(listed.stdout, /^failed +0 .* – +second$/m)
    assert.match(listed.stdout, /^active +1 .* – +live \\u\{1b\}\[31m$/m)
    assert.equal(listed.stderr, '3 streams.\n')
    assert.ok(!listed.stdout.includes('\u001b'), 'no colours in a pipe, and none of others')
    const failed = lines((await run('ls', '--json', '--state', 'failed', '--state', 'stopped')).stdout)
    assert.deepEqual(
      failed.map(({ streamId, reason }) => ({ streamId, reason })),
      [{ streamId: 'second', reason: 'why' }],
    )
    assert.equal(lines((await run('ls', '--json', '-n', '2')).stdout).length, 2)

    const shown = await run('show', 'first')
    for (const line of [
      /^state +complete$/m,
      /^chunks +5 \(seq 1 to 5\)$/m,
      /^owner +user-1$/m,
      /^metadata +\{"model":"x"\}$/m,
    ]) {
      assert.match(shown.stdout, line)
    }
    const [status] = lines((await run('show', '--json', 'first')).stdout)
    assert.deepEqual([status.streamId, status.lastSeq, status.owner], ['first', 5, 'user-1'])
    assert.ok(status.memoryBytes > 0)
    assert.match(shown.stdout, /^last write +\d{4}-/m)
    const missing = await run('show', 'missing')
    assert.deepEqual([missing.code, missing.stdout], [3, ''])
    await live.complete()
  })

  test('ls sorts, filters and counts', async (t) => {
    const { engine, run } = await scene(t)
    for (const [name, size, owner] of [
      ['chat-b', 3, 'ann'],
      ['chat-a', 9, 'bob'],
      ['note-1', 1, 'ann'],
    ]) {
      await produceAll(engine, String(name), texts(Number(size)), { owner: String(owner) })
      // The next one is written in another millisecond.
      const now = Date.now()
      await until(() => Date.now() > now, { interval: 1 })
    }
    const names = async (/** @type {string[]} */ ...args) =>
      lines((await run('ls', '--json', ...args)).stdout).map(({ streamId }) => streamId)
    assert.deepEqual(await names(), ['note-1', 'chat-a', 'chat-b'], 'the last written first')
    assert.deepEqual(await names('--reverse'), ['chat-b', 'chat-a', 'note-1'])
    assert.deepEqual(await names('--sort', 'chunks'), ['chat-a', 'chat-b', 'note-1'])
    assert.deepEqual(await names('--sort', 'stream', '-n', '1'), ['chat-a'])
    assert.deepEqual(await names('--sort', 'owner'), ['chat-b', 'note-1', 'chat-a'])
    assert.deepEqual((await names('--sort', 'none')).sort(), ['chat-a', 'chat-b', 'note-1'])
    assert.equal((await names('--sort', 'none', '-n', '2')).length, 2)
    assert.deepEqual(await names('--name', 'chat', '--owner', 'ann'), ['chat-b'])
    assert.deepEqual(await names('--name', '*-*a'), ['chat-a'])
    assert.deepEqual(await names('--name', 'hat*'), [])
    assert.deepEqual(await names('--name', '*1'), ['note-1'])
    assert.equal((await run('ls', '--name', 'chat')).stderr, '2 of 3 streams.\n')
    assert.equal((await run('ls', '-n', '1')).stderr, '1 of 3 streams.\n')
    assert.equal((await run('ls', '--name', 'chat', '-n', '1')).stderr, '1 of 2 streams that match, of 3.\n')
    const none = await run('ls', '--owner', 'eve')
    assert.match(none.stderr, /^None of the 3 streams under the prefix test.* \(--prefix\) matches\.\n$/)
  })

  test('ls and top fit the terminal', async (t) => {
    const { engine, prefix, redis } = await scene(t)
    const producer = await engine.produce(`chat-${'0123456789'.repeat(12)}-end`, { owner: 'o'.repeat(60) })
    await producer.append('one')
    for (const columns of [80, 120]) {
      let written = ''
      const write = (/** @type {string} */ text) => {
        written += text
        return true
      }
      const screen = { isTTY: true, columns, rows: 24, write }
      const out = new output.Output(screen, screen, false)
      const { signal } = new AbortController()
      const context = { engine, args: [], out, signal, address: redis.url, config: { keyPrefix: prefix } }
      await ls.run(/** @type {any} */ ({ ...context, values: {} }))
      assert.match(written, /chat-.*…\d*-end\n/)
      await top.run(/** @type {any} */ ({ ...context, values: { times: '1' } }))
      assert.ok(written.includes('\u001b[H'), 'over what was there')
      const rows = written.replaceAll(/\p{Cc}\[[KHJ]/gu, '').split('\n')
      assert.equal(rows.filter((row) => /^1 live of 1 streams, 1 producers/.test(row)).length, 1)
      assert.equal(rows.filter((row) => /chat-.*…\d*-end$/.test(row)).length, 2)
      for (const row of rows.filter((row) => row.includes('streams') || row.includes('…')))
        assert.ok(table.width(row) <= columns, row)
    }
    await producer.complete()
  })

  test('top tells what is being written, look after look', async (t) => {
    const { engine, start, run } = await scene(t)
    await produceAll(engine, 'over', texts(3))
    const [busy, idle] = [await engine.produce('busy'), await engine.produce('idle')]
    await busy.append('0')
    const looking = start('top', '--json', '--interval', '200ms')
    await until(async () => {
      await busy.append('x')
      return lines(looking.stdout.slice(0, looking.stdout.lastIndexOf('\n'))).some(
        ({ top }) => top[0].chunksPerSecond > 0,
      )
    })
    looking.child.kill('SIGINT')
    assert.equal((await deadline(looking.ended, 10_000, 'Ctrl-C'))[0], 130)
    const last = lines(looking.stdout).at(-1)
    assert.deepEqual([last.streams, last.active, last.producers], [3, 2, 2])
    assert.deepEqual(
      last.top.map(({ streamId }) => streamId),
      ['busy', 'idle'],
    )
    assert.ok(last.chunksPerSecond > 0 && last.bytesPerSecond > 0)
    const once = await run('top', '--times', '1', '-n', '1')
    assert.match(
      once.stdout,
      /\n2 live of 3 streams, 2 producers, 0\.0 chunks\/s.*\n +CHUNKS\/S.*\n.*(busy|idle)\n\n$/,
    )
    await Promise.all([busy.complete(), idle.complete()])
  })

  test('dead letters are listed, handed out again and given up', async (t) => {
    const { engine, run } = await scene(t)
    await produceAll(engine, 'jobs', ['poison \u001b[31m', new Uint8Array([1, 2])], { owner: 'ann' })
    const group = { group: 'work', consumer: 'one', owner: 'ann', maxDeliveries: 1, batch: 2 }
    const letters = async () => lines((await run('dead', 'work', 'jobs', '--json')).stdout)
    const held = engine.consume('jobs', group)
    await held.next()
    await held.next()
    // It comes back under its name, and has had them once already.
    assert.equal((await engine.consume('jobs', group).next()).done, true)
    const [first, second] = await letters()
    assert.deepEqual([first.seq, first.data, first.deliveries], [1, 'poison \u001b[31m', 1])
    assert.deepEqual([second.seq, second.base64], [2, 'AQI='])
    const groups = await run('groups', 'jobs')
    assert.match(groups.stdout, /^ +BEHIND +HELD +DEAD {2}GROUP\n +0 +0 +2 {2}work\n$/)
    assert.equal((await run('groups', 'none')).code, 3)
    await produceAll(engine, 'without groups', ['one'])
    assert.match(
      (await run('groups', 'without groups')).stderr,
      /^No groups of without groups under the prefix /,
    )
    const everywhere = await run('groups')
    assert.match(everywhere.stdout, /^ +BEHIND +HELD +DEAD {2}GROUP +STREAM\n +0 +0 +2 {2}work +jobs\n$/)
    const live = await engine.produce('live')
    await live.append('one')
    await engine.consume('live', { group: 'live work', consumer: 'one' }).next()
    assert.deepEqual(
      lines((await run('groups', '--json')).stdout)
        .map(({ group, held, streamId }) => [group, held, streamId])
        .sort(),
      [
        ['live work', 1, 'live'],
        ['work', 0, 'jobs'],
      ],
    )
    await live.complete()
    const finished = engine.finished({ group: 'database', consumer: 'one' })
    const waiting = finished.next()
    await until(async () => {
      const [found] = lines((await run('groups', '--json')).stdout)
      assert.equal(found?.streamId, undefined)
      return found?.group === 'database' && found.held === 0 && found.dead === 0
    })
    await Promise.all([finished.return(), waiting])
    const listed = await run('dead', 'work', 'jobs')
    assert.match(listed.stdout, /^handed out 1 times {2}\w+\.1 {2}poison \\u\{1b\}\[31m\n.* 2 B\n$/)
    assert.equal(listed.stderr, '2 dead letters of the group work of jobs.\n')
    assert.match((await run('dead', 'work', 'jobs', '--drop')).stderr, /given up/)
    const none = await run('dead', 'work', 'jobs')
    assert.match(none.stderr, /^No dead letters of the group work of jobs under the prefix /)
    assert.equal((await run('dead', 'database')).code, 0)
  })

  test('tail prints chunks as they are, from where it is told, and follows a live stream', async (t) => {
    const { engine, run, start } = await scene(t)
    await produceAll(engine, 'done', ['früh ', new Uint8Array([104, 105]), '\u001b[0m\n'], {
      owner: 'user-1',
    })
    assert.deepEqual(await run('tail', 'done'), { code: 0, stdout: 'früh hi\u001b[0m\n', stderr: '' })
    assert.equal((await run('tail', 'done', '-n', '2')).stdout, 'hi\u001b[0m\n')
    const chunks = lines((await run('tail', 'done', '--json')).stdout)
    assert.deepEqual(
      chunks.map(({ cursor, ...chunk }) => chunk),
      [
        { seq: 1, data: 'früh ' },
        { seq: 2, base64: 'aGk=' },
        { seq: 3, data: '\u001b[0m\n' },
      ],
    )
    assert.equal(lines((await run('tail', 'done', '--json', '--from', chunks[1].cursor)).stdout)[0]?.seq, 3)
    for (const from of ['now', chunks[2].cursor]) {
      assert.deepEqual(await run('tail', 'done', '--from', from), { code: 0, stdout: '', stderr: '' })
    }

    const producer = await engine.produce('live', { owner: 'user-1' })
    await producer.append('one ')
    assert.equal((await run('tail', 'live')).stdout, 'one ')
    const [following, early, quitting] = [
      start('tail', '-f', 'live'),
      start('tail', '-f', 'later'),
      start('tail', '-f', 'live'),
    ]
    await until(() => following.stdout === 'one ' && quitting.stdout === 'one ', {
      message: 'the first chunk',
    })
    await producer.append('two ')
    await until(() => following.stdout === 'one two ', { message: 'the next one, at once' })
    quitting.child.kill('SIGINT')
    assert.deepEqual((await deadline(quitting.ended, 10_000, 'Ctrl-C'))[0], 130)
    await producer.complete()
    assert.deepEqual((await deadline(following.ended, 10_000, 'tail -f'))[0], 0)
    assert.match(following.stderr, /complete/)
    const failing = await engine.produce('later')
    await failing.append('x')
    await until(() => early.stdout === 'x')
    await failing.fail('boom')
    assert.deepEqual((await deadline(early.ended, 10_000, 'tail -f'))[0], 1)
    assert.match(early.stderr, /boom.*ERR_FAILED/)
    const nothing = await run('tail', '-f', '--wait', '50ms', 'never')
    assert.equal(nothing.code, 3)
  })

  test('stop and rm do it, whoever owns the stream', async (t) => {
    const { engine, run } = await scene(t)
    const producer = await engine.produce('mine', { owner: 'user-1' })
    const { signal } = producer
    const refused = await run('rm', 'mine', 'none', '--json')
    assert.equal(refused.code, 1)
    assert.deepEqual(lines(refused.stdout), [
      { streamId: 'mine', result: 'live' },
      { streamId: 'none', result: 'not found' },
    ])
    const stopped = await run('stop', 'mine', 'none', '--reason', 'enough', '--json')
    assert.deepEqual(
      [stopped.code, ...lines(stopped.stdout)],
      [0, { streamId: 'mine', result: 'stopping' }, { streamId: 'none', result: 'kept' }],
    )
    await until(() => signal.aborted)
    assert.equal(signal.reason.reason, 'enough')
    await producer.complete()
    assert.match((await run('stop', 'mine')).stdout, /^mine: ended, /)
    assert.deepEqual((await run('rm', 'mine')).code, 0)
    assert.deepEqual((await run('rm', 'mine')).code, 3)
    const live = await engine.produce('live')
    assert.equal((await run('rm', '--force', 'live')).code, 0)
    await until(() => live.signal.aborted)
  })

  test('stats count, cleanup cleans, and a reader that has seen enough is no failure', async (t) => {
    const { engine, run, start } = await scene(t)
    await produceMany(engine, 300)
    await (await engine.produce('failed')).fail('why')
    const stats = await run('stats')
    assert.match(stats.stdout, /301 streams, 0 producers\n/)
    assert.match(stats.stdout, /^complete +300 +900 /m)
    assert.match(stats.stdout, /^STATE +STREAMS +CHUNKS +BYTES +STORED$/m)
    assert.match(stats.stdout, /^Memory of 16 of them: /m)
    const [json] = lines((await run('stats', '--json', '--sample', '4')).stdout)
    assert.deepEqual([json.streams, json.chunks, json.memory.streams], [301, 900, 4])
    assert.ok(!json.address.includes('@'))

    const head = start('ls', '--json')
    head.child.stdout.once('data', () => head.child.stdout.destroy())
    assert.equal((await deadline(head.ended, 10_000, 'ls | head'))[0], 0)
    assert.equal(head.stderr, '')

    const look = await run('cleanup', '--older-than', '0ms', '--outcome', 'complete', '--dry-run')
    assert.match(look.stdout, /^300 of 301 streams would be removed, 0 live and 1 others left, /)
    const [report] = lines((await run('cleanup', '--older-than', '0ms', '--batch', '50', '--json')).stdout)
    assert.deepEqual([report.removed, report.total, report.dryRun], [301, 301, false])
    assert.match((await run('ls')).stderr, /No streams/)
  })

  test('tail shows bytes on a terminal as the text that they are, without what could command it', async () => {
    const engine = createEngine({ url: (await sharedRedis()).url, keyPrefix: 'test-tail-bytes' })
    const evil = Buffer.from('\u001b]0;owned\u0007 a\u0000\n')
    const euro = Buffer.from('€')
    await produceAll(engine, 's', [
      evil,
      euro.subarray(0, 1),
      euro.subarray(1),
      '\u001b[2J',
      euro.subarray(0, 2),
    ])
    let text = ''
    /** @param {string | Uint8Array} piece @param {(error?: Error) => void} [done] */
    const write = (piece, done) => {
      text += piece
      done?.()
      return true
    }
    const screen = { isTTY: true, write }
    const out = new output.Output(screen, screen, false)
    const { signal } = new AbortController()
    assert.equal(await tail.run(/** @type {any} */ ({ engine, args: ['s'], out, values: {}, signal })), 0)
    assert.equal(text, '\\u{1b}]0;owned\\u{7} a\\u{0}\n€\\u{1b}[2J\ufffd\n')
    await engine.close()
  })

  test('what is damaged is named beside the rest, counted, and removed', async (t) => {
    const { run, engine, redis, prefix } = await scene(t)
    await Promise.all(['fine', 'bad'].map((name) => produceAll(engine, name, texts(2))))
    await redis.admin.cmd('SET', `{${prefix}:bad}:meta`, 'not yours', 'PX', 60_000)
    const [ls, stats, cleanup] = await Promise.all([
      run('ls', '--json'),
      run('stats', '--json'),
      run('cleanup', '--dry-run'),
    ])
    for (const { code, stderr } of [ls, stats]) {
      assert.equal(code, 0)
      assert.match(stderr, /bad is damaged, and left out: WRONGTYPE .*tidemark rm bad removes it/)
    }
    assert.deepEqual(
      lines(ls.stdout).map(({ streamId }) => streamId),
      ['fine'],
    )
    assert.equal(lines(stats.stdout)[0]?.streams, 1)
    assert.match(cleanup.stdout, /1 damaged/)
    assert.match((await run('show', 'bad')).stderr, /damaged/)
    assert.equal((await run('rm', 'bad')).stdout, 'bad: removed\n')
    assert.equal((await run('ls', '--json')).stderr, '')
  })

  test('colours appear on a terminal, and not with NO_COLOR', async (t) => {
    const redis = await sharedRedis()
    const probe = spawn('script', ['--version'])
    let known = ''
    probe.stdout.on('data', (text) => {
      known += text
    })
    await Promise.race([once(probe, 'close'), once(probe, 'error')])
    if (!known.includes('util-linux')) return t.skip('needs the script program of util-linux')
    /** @param {Record<string, string>} env */
    const terminal = async (env) => {
      const command = `'${process.execPath}' '${main}' doctor`
      const child = spawn('script', ['-qec', command, '/dev/null'], {
        env: environment({ TIDEMARK_URL: redis.url, TERM: 'xterm-256color', ...env }),
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      reap(child)
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (more) => {
        text += more
      })
      await deadline(once(child, 'close'), 20_000, 'the terminal')
      return text
    }
    assert.ok((await terminal({})).includes('\u001b[32m✓\u001b[0m Node.js'))
    const plain = await terminal({ NO_COLOR: '1' })
    assert.ok(plain.includes('✓ Node.js') && !plain.includes('\u001b['))
  })
})

describe('the doctor [redis]', () => {
  /**
   * @param {string} url
   * @returns {Promise<{ code: number, findings: Map<string, any>, output: string }>}
   */
  async function doctor(url) {
    const { code, stdout, stderr } = await cli(['doctor', '--json'], { TIDEMARK_URL: url })
    const findings = new Map(lines(stdout).map((finding) => [finding.check, finding]))
    return { code, findings, stdout, output: stdout + stderr }
  }

  test('it finds a healthy server healthy, and names what is risky', async (t) => {
    const redis = await startRedis({ aof: true, password: 'sesame' })
    t.after(() => redis.close())
    const healthy = await doctor(redis.url)
    assert.equal(healthy.code, 0, healthy.output)
    for (const [check, { status, advice }] of healthy.findings) {
      assert.deepEqual([status, advice], ['ok', undefined], check)
    }
    const expected = [
      'server',
      'maxmemory-policy',
      'persistence',
      'latency',
      'rights',
      'scripts',
      'pub/sub',
      'stop',
      'memory usage',
    ]
    for (const check of expected) assert.ok(healthy.findings.has(check), check)
    assert.match(healthy.findings.get('server').found, /^(Redis|Valkey) \d+\.\d+\.\d+, standalone$/)
    assert.doesNotMatch(healthy.output, /sesame/)
    assert.equal(await redis.admin.cmd('DBSIZE'), 0, 'it leaves nothing behind')

    await redis.admin.cmd('CONFIG', 'SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru')
    const risky = await doctor(redis.url)
    assert.equal(risky.code, 0)
    assert.equal(risky.findings.get('maxmemory-policy').status, 'warning')
    assert.match(risky.findings.get('maxmemory-policy').advice, /noeviction/)

    const wrong = await doctor(redis.url.replace('sesame', 'mellon'))
    assert.equal(wrong.code, 1)
    assert.equal(wrong.findings.get('connection').status, 'failure')
    assert.doesNotMatch(wrong.output, /sesame|mellon/)
  })

  test('groups that may not be looked at are not shown as if they had nothing', async (t) => {
    const redis = await startRedis()
    t.after(() => redis.close())
    const engine = createEngine({ url: redis.url })
    t.after(() => engine.close())
    await produceAll(engine, 'jobs', texts(2))
    await engine.consume('jobs', { group: 'work', consumer: 'one' }).next()
    await redis.admin.cmd('ACL', 'SETUSER', 'bob', 'reset', 'on', '>sesame', '~*', '&*', '+@all', '-xinfo')
    const url = redis.adminUrl.replace('//', '//bob:sesame@')
    const { code, stdout, stderr } = await cli(['groups', 'jobs', '--url', url])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /the store refused groups: .*\(ERR_STORE\)/)
  })

  test('it tells which rights are missing', async (t) => {
    const redis = await startRedis()
    t.after(() => redis.close())
    /** @param {string[]} rules */
    const as = async (...rules) => {
      await redis.admin.cmd('ACL', 'SETUSER', 'bob', 'reset', 'on', '>sesame', ...rules)
      return doctor(redis.adminUrl.replace('//', '//bob:sesame@'))
    }
    const enough = await as('~*', '&*', '+@all', '-info', '-memory')
    assert.equal(enough.code, 0, enough.output)
    assert.deepEqual(
      [...enough.findings.values()].filter(({ status }) => status !== 'ok').map(({ check }) => check),
      ['server', 'rights', 'memory usage'],
    )
    assert.match(enough.findings.get('rights').found, /sampleMemory.*\+memory\|usage/)
    const slow = await as(...userRules({ password: 'sesame', without: ['hincrby', 'xack'] }))
    assert.equal(slow.code, 1)
    const rights = lines(slow.stdout).filter(({ check }) => check === 'rights')
    assert.deepEqual(
      rights.map(({ status, advice }) => [status, /^ACL SETUSER <user> (.*), on 127/.exec(advice)?.[1]]),
      [
        ['failure', '+hincrby'],
        ['warning', '+xack'],
      ],
    )
    const deaf = await as('~*', '&*', '+@all', '-subscribe')
    assert.equal(deaf.code, 1)
    const noScripts = await as('~*', '&*', '+@all', '-@scripting')
    assert.equal(noScripts.code, 1)
    const foreignKeys = await as('~other*', '&*', '+@all')
    assert.equal(foreignKeys.code, 1)
    for (const { findings, output } of [deaf, noScripts, foreignKeys]) {
      const last = [...findings.values()].at(-1)
      assert.equal(last.status, 'failure')
      assert.match(last.found, /NOPERM|permission/i)
      assert.match(last.advice, /operations\.md/)
      assert.doesNotMatch(output, /sesame/)
    }
  })
})
