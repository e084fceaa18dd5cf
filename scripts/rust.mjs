// Finds the Rust toolchain that builds the native addon.

import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { SetupError, which } from './steps.mjs'

/** Finds cargo, also where rustup installs it if this shell's PATH lacks it; throws if there is none. */
export function needRust() {
  const rustup = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin')
  if (!which('cargo') && which('cargo', rustup)) process.env.PATH = `${process.env.PATH}${delimiter}${rustup}`
  if (!which('cargo')) {
    throw new SetupError(
      'The native addon is built with Rust 1.88 or newer: install it from https://rustup.rs, then run this again.',
    )
  }
  if (
    process.platform !== 'win32' &&
    !process.env.CC &&
    !['cc', 'gcc', 'clang'].some((name) => which(name))
  ) {
    throw new SetupError(
      'The native addon needs a C compiler for its TLS library: install gcc or clang, then run this again.',
    )
  }
}
