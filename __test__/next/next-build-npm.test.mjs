// A Next.js application in an npm project that installs the packed tarballs, built by both of Next's bundlers, and run.

import test from 'node:test'
import { npmProject } from '../support/next-builds.mjs'

test('Next.js 16 in an npm project: TypeScript, both bundlers, and the standalone server runs', (t) =>
  npmProject(t, 16))
