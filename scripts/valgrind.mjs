// Finds valgrind, which counts instructions, and installs it where a package manager can.

import { which } from './steps.mjs'
import { SystemPackage } from './system-package.mjs'

export const valgrindPackage = new SystemPackage(
  { 'apt-get': 'valgrind', dnf: 'valgrind', apk: 'valgrind' },
  (why) => `Instructions are counted with valgrind, and ${why}.`,
)

export const findValgrind = () => which('valgrind')
