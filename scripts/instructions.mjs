// Counts the instructions of the engine's hot paths and compares them with the recorded counts in the repository.
//
//   node scripts/instructions.mjs            fails where a path takes over 5 % more than recorded
//   node scripts/instructions.mjs --record   records the counts, after a change that is worth it
//   node scripts/instructions.mjs --yes      installs valgrind unasked; CI=1 does the same
//
// The paths are in bench/instructions/main.rs, built in the profile of the tests. The counts do not depend on how busy the machine is, but
// on the compiler: counts of another compiler are shown, but not compared. Without valgrind it says so and succeeds.

import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { buildBench } from './bench-program.mjs'
import { needRust } from './rust.mjs'
import { runMain } from './setup.mjs'
import { isMain, root, runSteps, say, seconds, which } from './steps.mjs'
import { SystemPackage } from './system-package.mjs'

/** A rise above this share fails. */
const TOLERANCE = 0.05
const RECORD = join(root, 'bench', 'instructions', `${process.arch}.json`)
/** The function whose calls are counted, one for each path. */
const COUNTED = 'tidemark_counted'
/** The same memcpy and the like on every processor of an architecture. */
const PLAIN_LIBC = 'glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM'

/**
 * Instructions of each path for one chunk.
 * @typedef {Record<string, number>} Counts
 * @typedef {{ rustc: string, counts: Counts }} Recorded
 */

/**
 * One line for each path, and what is wrong.
 * @param {Recorded | undefined} recorded @param {Recorded} now
 */
export function compare(recorded, now) {
  if (!recorded)
    return { lines: [`Nothing is recorded for ${process.arch}: --record keeps these.`], failures: [] }
  const names = [...new Set([...Object.keys(now.counts), ...Object.keys(recorded.counts)])]
  /** @type {string[]} */
  const failures = []
  const lines = names.map((name) => {
    const [before, after] = [recorded.counts[name], now.counts[name]]
    if (before === undefined || after === undefined) {
      const what = before === undefined ? 'is not recorded' : 'was not counted'
      failures.push(`${name} ${what}`)
      return `${name.padEnd(10)} ${what}`
    }
    const change = after / before - 1
    const hasRisen = after > before * (1 + TOLERANCE)
    if (hasRisen) failures.push(`${name}: ${percent(change)}`)
    const mark = hasRisen ? '  <- above 5 %' : change < -TOLERANCE ? '  (less: worth a --record)' : ''
    return `${name.padEnd(10)} ${words(after)} instructions a chunk, recorded ${words(before)}: ${percent(change)}${mark}`
  })
  if (recorded.rustc === now.rustc) return { lines, failures }
  const note = `Recorded with rustc ${recorded.rustc}, counted with ${now.rustc}: not judged. Record them again with --record.`
  return { lines: [...lines, note], failures: [] }
}

/** @param {number} share */
const percent = (share) => `${share < 0 ? '' : '+'}${(100 * share).toFixed(1)} %`

/** @param {number} count */
const words = (count) => Math.round(count).toLocaleString('en-US').padStart(8)

/** @param {string} program @returns {Promise<Counts>} */
async function count(program) {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-instructions-'))
  try {
    const args = [
      '--tool=callgrind',
      `--toggle-collect=${COUNTED}`,
      `--dump-after=${COUNTED}`,
      `--callgrind-out-file=${join(folder, 'out')}`,
      program,
    ]
    const env = { PATH: process.env.PATH, GLIBC_TUNABLES: PLAIN_LIBC }
    const { stdout } = await promisify(execFile)('valgrind', args, { env })
    const paths = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
    return Object.fromEntries(
      paths.map(([name = '', chunks], index) => {
        const dump = readFileSync(join(folder, `out.${index + 1}`), 'utf8')
        const [, total] = /^summary: (\d+)$/m.exec(dump) ?? []
        return [name, Number(total) / Number(chunks)]
      }),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const findValgrind = () => which('valgrind')
const valgrindPackage = new SystemPackage(
  findValgrind,
  { 'apt-get': 'valgrind', dnf: 'valgrind', apk: 'valgrind' },
  (why) => `Instructions are counted with valgrind, and ${why}.`,
)

async function main() {
  await runSteps([valgrindPackage.optional('valgrind')])
  if (!findValgrind()) {
    say('Instructions … left out: there is no valgrind here')
    return 0
  }
  needRust()
  const start = performance.now()
  const program = await buildBench('instructions')
  const built = seconds(start)
  const rustc = /rustc (\S+)/.exec(spawnSync('rustc', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1]
  const now = { rustc: rustc ?? 'unknown', counts: await count(program) }
  const recorded = existsSync(RECORD)
    ? /** @type {Recorded} */ (JSON.parse(readFileSync(RECORD, 'utf8')))
    : undefined
  const { lines, failures } = compare(recorded, now)
  console.log(lines.join('\n'))
  say(`Instructions … ${seconds(start)}, ${built} of it building`)
  if (process.argv.includes('--record')) {
    writeFileSync(RECORD, `${JSON.stringify(now, null, 2)}\n`)
    return 0
  }
  if (failures.length === 0) return 0
  say(
    `More instructions than recorded: ${failures.join('; ')}. If that is worth it, keep them with --record.`,
  )
  return 1
}

if (isMain(import.meta.url)) await runMain(main)
