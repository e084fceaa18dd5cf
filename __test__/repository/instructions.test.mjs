// What `node scripts/instructions.mjs` says of counts. Counting itself is a step of `.ci/run`.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { compare } from '../../scripts/instructions.mjs'
import { reapFolder } from '../support/reaper.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const rustc = '1.95.0'
const recorded = { rustc, counts: { append: 1_000, seal: 200 } }

/** @param {Record<string, number>} counts */
const counted = (counts) => compare(recorded, { rustc, counts })

describe('instructions', () => {
  test('a rise above 5 % fails, in whichever path it is', () => {
    assert.deepEqual(counted({ append: 1_050, seal: 150 }).failures, [])
    assert.deepEqual(counted({ append: 1_051, seal: 200 }).failures, ['append: +5.1 %'])
    const { lines, failures } = counted({ append: 500, seal: 300 })
    assert.deepEqual(failures, ['seal: +50.0 %'])
    assert.match(
      lines.join('\n'),
      /^append +500 instructions a chunk, recorded +1,000: -50\.0 % {2}\(less: /m,
    )
    assert.match(
      lines.join('\n'),
      /^seal +300 instructions a chunk, recorded +200: \+50\.0 % {2}<- above 5 %$/m,
    )
  })

  test('so does a path that is not recorded, or no longer counted', () => {
    assert.deepEqual(counted({ append: 1_000, merge: 1 }).failures, [
      'merge is not recorded',
      'seal was not counted',
    ])
  })

  test('counts of another compiler are shown and not judged', () => {
    const { lines, failures } = compare(recorded, { rustc: '1.96.0', counts: { append: 9_000, seal: 200 } })
    assert.deepEqual(failures, [])
    assert.match(lines.at(-1) ?? '', /Recorded with rustc 1\.95\.0, counted with 1\.96\.0: not judged/)
  })

  test('every path of the program is recorded', () => {
    const program = readFileSync(join(root, 'bench', 'instructions', 'main.rs'), 'utf8')
    const { counts } = JSON.parse(readFileSync(join(root, 'bench', 'instructions', 'x64.json'), 'utf8'))
    assert.ok(Object.keys(counts).length >= 5)
    for (const [name, count] of Object.entries(counts)) {
      assert.ok(program.includes(`"${name}"`), name)
      assert.ok(count > 0, name)
    }
  })

  test('without valgrind it says so, and is content', { skip: process.platform !== 'linux' }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-path-'))
    reapFolder(folder)
    const env = { ...process.env, PATH: folder, CI: '' }
    const { status, stderr } = spawnSync(process.execPath, ['scripts/instructions.mjs'], {
      cwd: root,
      env,
      encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    assert.match(stderr, /^Instructions … left out: there is no valgrind here$/m)
  })
})
