// A test's fake timers stop the tests' own time, and nothing of Tidemark's.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startChild } from '../support/child.mjs'
import { eachStore } from '../support/stores.mjs'

eachStore('fake timers', (store) => {
  for (const [kind, isFakedFirst] of /** @type {const} */ ([
    ['vitest', false],
    ['vitest', true],
    ['jest', false],
    ['jest', true],
    ['node', false],
  ])) {
    test(`those of ${kind}, put in place ${isFakedFirst ? 'before' : 'after'} the package is loaded`, async () => {
      const child = startChild(new URL('../children/fake-timers.mjs', import.meta.url), {
        env: { WORK: JSON.stringify({ kind, isFakedFirst, url: store.url, keyPrefix: store.prefix() }) },
      })
      const { code } = await child.exit(30_000).catch(async (error) => {
        await child.kill()
        throw new Error(`it stands still: ${JSON.stringify(child.messages)}\n${child.output}`, {
          cause: error,
        })
      })
      assert.equal(code, 0, `${JSON.stringify(child.messages)}\n${child.output}`)
      assert.equal(child.messages.at(-1)?.type, 'done', child.output)
    })
  }
})
