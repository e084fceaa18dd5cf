// The same with the major version before.

import test from 'node:test'
import { npmProject } from '../support/next-builds.mjs'

test('Next.js 15 in an npm project: TypeScript, both bundlers, and the standalone server runs', (t) =>
  npmProject(t, 15))
