// Asks before packages of this machine are changed: somebody who runs a test has not asked for that.

import { createInterface } from 'node:readline/promises'

/** Says yes to everything that would be asked; for every script that sets up. */
export const YES = '--yes'

/**
 * Asks for permission to run a command, unless `CI` or `--yes` has given it.
 * @param {string} command as it is shown
 * @returns {Promise<boolean>} also false if there is nobody to ask
 */
export async function mayRun(command) {
  if (process.argv.includes(YES) || !['', '0', 'false'].includes(process.env.CI ?? '')) return true
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  // The end of the input counts as no.
  const closed = new Promise((resolve) => terminal.once('close', () => resolve('')))
  try {
    const answer = await Promise.race([terminal.question(`Run \`${command}\`? [y/N] `), closed])
    return /^y(es)?$/i.test(String(answer).trim())
  } finally {
    terminal.close()
  }
}
