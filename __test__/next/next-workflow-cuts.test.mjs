// The table of docs/next.md about connections that are cut says what happens, in each of its cells.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findWorkflowClient } from '../../scripts/workflow-client.mjs'
import { alsoWithAi7, VERSIONS } from '../support/ai.mjs'
import { documented, rowOf, SCENES, tableOf } from '../support/cuts.mjs'

if (VERSIONS.includes(7)) {
  // All at once: they wait for the same answers.
  describe('ai 7', { concurrency: true }, () => {
    const { error } = console
    before(() => {
      assert.ok(findWorkflowClient(), 'node scripts/setup.mjs workflow')
      // What the SDK's transports say of each cut.
      console.error = () => {}
    })
    after(() => {
      console.error = error
    })
    const lines = documented()

    for (const [index, name] of Object.keys(SCENES).entries()) {
      test(`a connection is ${name}`, async (t) => {
        const [, , row] = await tableOf(new Map([[name, await rowOf(t, name)]]))
        assert.equal(lines[index + 2], row)
      })
    }

    test('the page has these rows and columns, and no others', async () => {
      const [head, rule] = await tableOf(new Map())
      assert.deepEqual(lines.slice(0, 2), [head, rule])
      assert.deepEqual(
        lines.slice(2).map((line) => line.split(' | ')[0]?.slice(2)),
        Object.keys(SCENES),
      )
    })
  })
}

alsoWithAi7(import.meta.url)
