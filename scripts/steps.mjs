// Steps that run only when their inputs have changed, one line of progress each.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimes,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The repository's root; every path below is relative to it. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)))
const cache = join(root, '.cache')

/** Whether the module of this address is the program that was started. @param {string} url its `import.meta.url` */
export const isMain = (url) => url === pathToFileURL(process.argv[1] ?? '').href

/** A problem the user can solve: printed as its message alone, without a stack. */
export class SetupError extends Error {}

/**
 * One step of the setup.
 * @typedef {object} Step
 * @property {string} name what the progress line says
 * @property {() => string | undefined} pending why the step has to run; undefined when its result is up to date
 * @property {() => Promise<void>} run does the work; throws when it could not
 */

/** Progress goes to stderr: stdout belongs to the program that follows. @param {string} line */
export const say = (line) => void process.stderr.write(`${line}\n`)

/** Seconds since `start` (from `performance.now()`), as text. @param {number} start */
export const seconds = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`

/**
 * Runs the steps in order, under a lock that other processes respect.
 * @param {Step[]} steps
 * @param {{ dryRun?: boolean }} [options] `dryRun` says what would run, and runs nothing
 */
export async function runSteps(steps, { dryRun = false } = {}) {
  const release = dryRun ? () => {} : await lock(join(cache, 'setup.lock'))
  try {
    for (const [index, step] of steps.entries()) {
      const label = `[${index + 1}/${steps.length}] ${step.name}`
      const reason = step.pending()
      if (reason === undefined) {
        say(`${label} … up to date`)
      } else if (dryRun) {
        say(`${label} … would run: ${reason}`)
      } else {
        say(`${label} … ${reason}`)
        const start = performance.now()
        await step.run()
        say(`${label} … ${seconds(start)}`)
      }
    }
  } finally {
    release()
  }
}

/**
 * Runs a command to its end; its output appears on stderr as it comes.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv }} [options]
 */
export function run(command, args, { env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    // Windows starts npm and its kin (.cmd files) through the shell only; no argument here holds a space.
    const shell = process.platform === 'win32'
    const child = spawn(command, args, { cwd: root, env, shell, stdio: ['ignore', 2, 2] })
    const kill = () => void child.kill()
    process.on('exit', kill)
    child.on('error', (error) => reject(new SetupError(`cannot run ${command}: ${error.message}`)))
    child.on('close', (code, signal) => {
      process.off('exit', kill)
      if (code === 0) resolve(undefined)
      else
        reject(new SetupError(`${[command, ...args].join(' ')} ended with ${signal ?? `exit code ${code}`}`))
    })
  })
}

/**
 * Installs a package of npm's by itself into a folder of .cache, where nothing finds it by accident.
 * @param {string} folder @param {string} name with its version @param {string[]} options of npm
 */
export async function installApart(folder, name, ...options) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const quiet = ['--no-audit', '--no-fund', '--no-save', '--loglevel=error']
  await run('npm', ['install', '--prefix', folder, ...quiet, ...options, name])
}

/**
 * Where a program is: an absolute path, or undefined.
 * @param {string} program its name; a path stays as it is
 * @param {string} [path] a PATH to search
 */
export function which(program, path = process.env.PATH ?? '') {
  if (/[\\/]/.test(program)) return program
  const endings = process.platform === 'win32' ? ['.exe', '.cmd'] : ['']
  return path
    .split(delimiter)
    .filter(Boolean)
    .flatMap((folder) => endings.map((ending) => join(folder, program + ending)))
    .find((file) => statSync(file, { throwIfNoEntry: false })?.isFile())
}

/**
 * A hash over the names and bytes of files and folders (missing ones count as such) and over the platform.
 * @param {string[]} inputs relative to the root
 */
export function hashOf(inputs) {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  for (const file of inputs.flatMap(filesIn).sort()) {
    const content = readFileSync(file)
    hash.update(`${relative(root, file).split(sep).join('/')} ${content.length}\n`).update(content)
  }
  return hash.digest('hex')
}

/** @param {string} input @returns {string[]} */
function filesIn(input) {
  const path = join(root, input)
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) return []
  return stat.isDirectory() ? readdirSync(path).flatMap((name) => filesIn(join(input, name))) : [path]
}

/** Whether the step's last successful run had this hash. @param {string} name @param {string} hash */
export function isStamped(name, hash) {
  const file = join(cache, `${name}.stamp`)
  return existsSync(file) && readFileSync(file, 'utf8') === hash
}

/** Remembers a successful run. @param {string} name @param {string} hash */
export function stamp(name, hash) {
  mkdirSync(cache, { recursive: true })
  writeFileSync(join(cache, `${name}.stamp`), hash)
}

const LOCK_BEAT_MS = 2_000
const LOCK_STALE_MS = 15_000

/**
 * Takes a lock that is a folder; its age since the last heartbeat tells a living holder from a dead one, which
 * holds across containers that share the folder, where process ids do not.
 * @param {string} folder
 * @returns {Promise<() => void>} gives the lock back
 */
async function lock(folder) {
  mkdirSync(dirname(folder), { recursive: true })
  for (let waited = false; !tryMkdir(folder); waited = true) {
    if (!waited) say('waiting for another setup to finish …')
    const age = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    if (age > LOCK_STALE_MS) rmSync(folder, { recursive: true, force: true })
    else await new Promise((resolve) => setTimeout(resolve, 200))
  }
  const beat = setInterval(() => utimes(folder, new Date(), new Date(), () => {}), LOCK_BEAT_MS)
  const release = () => {
    clearInterval(beat)
    rmSync(folder, { recursive: true, force: true })
    process.off('exit', release)
    for (const signal of SIGNALS) process.off(signal, interrupted)
  }
  const interrupted = () => process.exit(130)
  process.on('exit', release)
  for (const signal of SIGNALS) process.on(signal, interrupted)
  return release
}

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])

/** @param {string} folder */
function tryMkdir(folder) {
  try {
    mkdirSync(folder)
    return true
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false
    throw error
  }
}
