// The same with the major version before.

import test from 'node:test'
import { pnpmWorkspace } from '../support/next-builds.mjs'

test('Next.js 15 in a pnpm workspace: both bundlers, and the standalone server runs', (t) =>
  pnpmWorkspace(t, 15))
