// The same application in a pnpm workspace, where nothing is hoisted.

import test from 'node:test'
import { failsOnTheEdge, pnpmWorkspace } from '../support/next-builds.mjs'

test('Next.js 16 in a pnpm workspace: both bundlers, and the standalone server runs', async (t) => {
  const app = await pnpmWorkspace(t, 16)
  await t.test('on the Edge runtime the error says what to do', () => failsOnTheEdge(app))
})
