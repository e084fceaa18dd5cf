// Hands over to a Node program: its stdio, its arguments and its exit code are ours.

import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { root } from './steps.mjs'

/**
 * @param {string[]} args of `node`, relative to the root
 * @returns {Promise<number>} the exit code; 128 + n after signal n, as a shell says it
 */
export function launch(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' })
    // Ctrl-C reaches the child from the terminal; this process only has to outlive it. Others are passed on.
    const forward = (/** @type {NodeJS.Signals} */ signal) => void (signal !== 'SIGINT' && child.kill(signal))
    for (const signal of SIGNALS) process.on(signal, forward)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      for (const name of SIGNALS) process.off(name, forward)
      resolve(code ?? 128 + (signal ? constants.signals[signal] : 0))
    })
  })
}

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])
