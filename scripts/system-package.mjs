// Programs that the tests need and npm does not have: installed by the system's package manager where there is one.

import { spawnSync } from 'node:child_process'
import { mayRun } from './consent.mjs'
import { run, SetupError, say, which } from './steps.mjs'

/** @typedef {'apt-get' | 'dnf' | 'apk' | 'brew'} Manager */

/** @type {Record<Manager, (name: string) => string[][]>} */
const MANAGERS = {
  'apt-get': (name) => [
    ['apt-get', 'update', '-q'],
    ['apt-get', 'install', '-y', '-q', '-o', 'DPkg::Lock::Timeout=120', '--no-install-recommends', name],
  ],
  dnf: (name) => [['dnf', 'install', '-y', name]],
  apk: (name) => [['apk', 'add', '--no-cache', name]],
  brew: (name) => [['brew', 'install', name]],
}

/** A system package, with its name for each package manager. */
export class SystemPackage {
  #names
  #missing

  /**
   * @param {() => unknown} find whether it is there
   * @param {Partial<Record<Manager, string>>} names
   * @param {(why: string) => string} missing says what is missing, why it cannot be installed, and what to do
   */
  constructor(find, names, missing) {
    this.find = find
    this.#names = names
    this.#missing = missing
  }

  /** The commands that install it here; only the last one has to succeed. @returns {string[][]} */
  commands() {
    const managers = /** @type {Manager[]} */ (Object.keys(MANAGERS))
    const manager = managers.find((program) => this.#names[program] !== undefined && which(program))
    if (!manager) throw this.error('no package manager that can install it was found')
    const commands = MANAGERS[manager](this.#names[manager] ?? '')
    if (manager === 'brew' || process.getuid?.() === 0) return commands
    if (!which('sudo') || spawnSync('sudo', ['-n', 'true']).status !== 0) {
      const byHand = commands.map((command) => `sudo ${command.join(' ')}`).join(' && ')
      throw this.error(`this user may not install it; run \`${byHand}\``)
    }
    // Environment variables do not pass sudo by default, so they are set behind it.
    return commands.map((command) => ['sudo', '-n', 'env', 'DEBIAN_FRONTEND=noninteractive', ...command])
  }

  /** The commands, as one line. */
  plan() {
    return this.commands()
      .map((command) => command.join(' '))
      .join(' && ')
  }

  /**
   * A step that is no failure if it cannot be installed: what needs it says what is missing.
   * @param {string} name @returns {import('./steps.mjs').Step}
   */
  optional(name) {
    return {
      name,
      pending: () => (this.find() ? undefined : 'install it'),
      run: () =>
        this.install().catch((error) => {
          if (!(error instanceof SetupError)) throw error
          say(error.message)
        }),
    }
  }

  /** Installs it, if that is allowed, and checks the result. */
  async install() {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const commands = this.commands()
    if (!(await mayRun(this.plan()))) {
      throw this.error(`it is not installed unasked; run \`${this.plan()}\`, or allow it with --yes or CI=1`)
    }
    for (const [index, [program = '', ...args]] of commands.entries()) {
      try {
        await run(program, args, { env })
      } catch (error) {
        // Refreshing the package lists may fail (a lock, a source that is away) where the old ones suffice.
        if (index === commands.length - 1) throw error
        say(`${/** @type {Error} */ (error).message}; going on without`)
      }
    }
    if (!this.find()) throw this.error('what the package manager installed is older or not on PATH')
  }

  /** @param {string} why */
  error(why) {
    return new SetupError(this.#missing(why))
  }
}
