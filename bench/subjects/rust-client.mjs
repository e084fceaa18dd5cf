// The ceiling outside of Node.js: bench/rust-client, built when it is first asked for.

import { buildBench } from '../../scripts/bench-program.mjs'
import { needRust } from '../../scripts/rust.mjs'
import { SetupError } from '../../scripts/steps.mjs'
import { LeftOut } from '../lib/left-out.mjs'

/** @type {Promise<string> | undefined} */
let program

/** Its path; it is built once. */
export function rustClient() {
  program ??= build()
  return program
}

async function build() {
  try {
    needRust()
  } catch (error) {
    if (error instanceof SetupError) throw new LeftOut(error.message)
    throw error
  }
  return buildBench('rust-client', ['--release'])
}
