// The benchmarks run, and compare as they say: speed itself is asserted nowhere.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { evaluate } from '../../bench/lib/aims.mjs'
import { optionsOf } from '../../bench/options.mjs'
import { isBroken, verdictsOf } from '../../bench/report/tables.mjs'
import { scenarios } from '../../bench/scenarios/index.mjs'
import { reap, reapFolder } from '../support/reaper.mjs'
import { deadline } from '../support/wait.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** @param {string[]} args */
async function bench(args) {
  const child = spawn(process.execPath, ['bench/run.mjs', ...args], { cwd: root })
  reap(child)
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  const code = await deadline(
    new Promise((resolve) => child.on('close', resolve)),
    120_000,
    'the benchmark ends',
  )
  return { code, stdout, stderr }
}

describe('npm run bench', () => {
  test('runs scenarios with their peers, and writes tables, charts and data', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-bench-'))
    reapFolder(folder)
    const out = relative(root, folder)
    const names = 'floor,handmade-ioredis,tidemark'
    const { code, stdout, stderr } = await bench([
      '--quick',
      '--only',
      'memory,burst',
      '--subjects',
      names,
      '--out',
      out,
    ])
    assert.equal(code, 0, stderr)
    assert.match(stderr, /^\[5\/5\] memory, round 1\/1: tidemark … bytes\/chunk [\d.]+/m)
    assert.match(
      stdout,
      /^\| chunks a second \| ≥ 1\.2 × the better peer \| handmade-ioredis \| [\d.]+ \| 1 \| (met|\*\*missed\*\*) \|$/m,
    )
    assert.match(stdout, /^\| what was written can be read \| in every run \| – \| 1 of 1 \| 1 \| met \|$/m)
    assert.match(stdout, /Others took [\d.]+ \[/)
    assert.deepEqual(readdirSync(folder).toSorted(), ['README.md', 'burst.svg', 'data', 'memory.svg'])
    const page = readFileSync(join(folder, 'README.md'), 'utf8')
    assert.match(page, /^\| \[burst\]\(#burst\) \| chunks a second \|/m)
    assert.match(page, /!\[Memory in Redis, finished: bytes of Redis a chunk\]\(memory\.svg\)/)
    const { runs } = JSON.parse(readFileSync(join(folder, 'data', 'burst.json'), 'utf8'))
    assert.deepEqual(
      runs.map((/** @type {any} */ run) => [run.subject, run.round, run.found]),
      [
        ['floor', 1, 0],
        ['handmade-ioredis', 1, 5_000],
        ['tidemark', 1, 5_000],
      ],
    )
    const picture = readFileSync(join(folder, 'burst.svg'), 'utf8')
    assert.match(picture, /^<svg [^>]*viewBox="0 0 720 \d+"/)
    assert.doesNotMatch(picture, /NaN|Infinity|undefined/)
  })

  for (const [args, message] of /** @type {const} */ ([
    [['--only', 'nothing'], /no scenario nothing; there are live, /],
    [['--subjects', 'nobody'], /no subject nobody; there are /],
    [['--fan', '7'], /no scenario has this load and fan; there are together 1, /],
    [['--rounds', '0'], /--rounds takes whole numbers above 0, not 0/],
    [['--quik'], /'--quik'/],
  ])) {
    test(`refuses ${args.join(' ')}`, () => assert.throws(() => optionsOf([...args]), message))
  }

  test('takes scenarios by name, or by load and fan', () => {
    assert.deepEqual(optionsOf(['--fan', '1', '--subjects', 'tidemark']).scenarios, ['live', 'apart'])
    assert.deepEqual(optionsOf(['--load', 'together', '--fan', '10']).scenarios, ['fan'])
    assert.deepEqual(optionsOf(['sse', '--only', 'live']).scenarios, ['live', 'sse'])
    assert.deepEqual(optionsOf([]).scenarios, Object.keys(scenarios))
  })

  test('publishes whole runs alone', () => {
    assert.equal(optionsOf(['--only', 'live']).out, 'docs/benchmarks')
    for (const args of [['--quick'], ['--subjects', 'tidemark']])
      assert.equal(optionsOf(args).out, 'bench/results/report')
  })
})

/** @param {string} subject @param {number[]} values by round @param {object} [more] */
const runsOf = (subject, values, more) =>
  values.map((value, index) => ({
    subject,
    round: index + 1,
    value,
    othersPercent: 0,
    stolenPercent: 0,
    ...more,
  }))

/** @param {any} aim @param {any[]} runs */
const evaluated = (aim, runs) =>
  evaluate({ what: 'value', of: ({ value }) => value, ...aim }, { peers: ['a', 'b'], runs })

describe('an aim', () => {
  const a = runsOf('a', [10, 20, 30])
  const b = runsOf('b', [8, 16, 24])

  test('compares with the better peer of the same run, round by round', () => {
    const verdict = evaluated({ atMost: 0.5 }, [...a, ...b, ...runsOf('tidemark', [4, 8, 24])])
    assert.deepEqual(
      [verdict.peer, verdict.measured, verdict.n, verdict.isMet],
      ['b', '0.50 [0.50–1.00]', 3, true],
    )
    assert.equal(evaluated({ atMost: 0.5 }, [...a, ...b, ...runsOf('tidemark', [4, 9, 24])]).isMet, false)
  })

  test('takes the one with more where more is better', () => {
    const verdict = evaluated({ atLeast: 1.2 }, [...a, ...b, ...runsOf('tidemark', [12, 24, 36])])
    assert.deepEqual([verdict.peer, verdict.isMet], ['a', true])
    assert.equal(evaluated({ atLeast: 1.2 }, [...a, ...b, ...runsOf('tidemark', [11, 22, 33])]).isMet, false)
  })

  test('takes the floor off, of the same round', () => {
    const floor = runsOf('floor', [2, 2])
    const runs = [...floor, ...runsOf('a', [10, 10]), ...runsOf('tidemark', [6, 6])]
    assert.equal(evaluated({ atMost: 0.5, aboveFloor: true }, runs).measured, '0.50 [0.50–0.50]')
    assert.equal(evaluated({ atMost: 0.5, aboveFloor: true }, runs).isMet, true)
    assert.equal(evaluated({ atMost: 0.5 }, runs).isMet, false)
  })

  test('holds a value against a limit, and a curve against its own smallest', () => {
    const ours = runsOf('tidemark', [1, 3, 9])
    assert.equal(evaluated({ atMost: 3, isValue: true }, ours).isMet, true)
    assert.equal(evaluated({ atMost: 2.9, isValue: true }, ours).isMet, false)
    const curve = [1, 1.3].flatMap((value, index) => runsOf('tidemark', [value], { point: 10 ** index }))
    assert.equal(evaluated({ atMost: 1.3, isFlat: true }, curve).isMet, true)
    assert.equal(evaluated({ atMost: 1.2, isFlat: true }, curve).isMet, false)
  })

  test('gives no verdict without the subjects that it needs', () => {
    const ours = runsOf('tidemark', [1])
    assert.equal(evaluated({ atMost: 1 }, ours).isMet, undefined)
    assert.equal(evaluated({ atMost: 1 }, [...a, ...b]).isMet, undefined)
    assert.equal(evaluated({ atMost: 1, aboveFloor: true }, [...a, ...ours]).isMet, undefined)
    assert.equal(evaluated({ atMost: 1, isFlat: true }, ours).isMet, undefined)
  })

  test('a run of ours that lost a chunk is broken, however fast it was', () => {
    const { live } = scenarios
    assert.ok(live)
    const run = {
      subject: 'tidemark',
      round: 1,
      othersPercent: 0,
      stolenPercent: 0,
      p99: 1,
      allPercent: 1,
      readers: 200,
    }
    assert.equal(isBroken(live, [{ ...run, complete: 200 }]), false)
    assert.equal(isBroken(live, [{ ...run, complete: 199 }]), true)
    assert.equal(isBroken(live, [{ ...run, complete: 0, readers: 0 }]), true)
    assert.equal(verdictsOf(live, [{ ...run, complete: 199 }]).at(-1)?.measured, '0 of 1')
    assert.equal(isBroken(live, [{ ...run, subject: 'resumable-stream', complete: 199 }]), false)
  })
})

test('every scenario has something of ours, peers that it runs, and a way to be wrong', () => {
  for (const [name, { subjects, peers, aims, checks }] of Object.entries(scenarios)) {
    const names = Object.keys(subjects)
    assert.ok(checks.length > 0, name)
    for (const { ours = 'tidemark', peers: own = peers, isValue, isFlat } of aims) {
      assert.ok(names.includes(ours), `${name}: ${ours}`)
      assert.ok(isValue || isFlat || own.length > 0, name)
      for (const peer of own) assert.ok(names.includes(peer), `${name}: ${peer}`)
    }
  }
})
