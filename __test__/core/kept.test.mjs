// What a reader keeps costs about its own size, whatever it came together with.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startChild } from '../support/child.mjs'
import { eachStore } from '../support/stores.mjs'

eachStore('what readers keep', (store) => {
  test('G7 chunks, cursors, events, pieces and items keep no more than themselves', async () => {
    const work = JSON.stringify({ url: store.url, keyPrefix: store.prefix() })
    const child = startChild(new URL('../children/kept.mjs', import.meta.url), {
      execArgv: ['--expose-gc'],
      env: { WORK: work },
    })
    const { code, signal } = await child.exit(120_000)
    assert.equal(code ?? signal, 0, `${child.messages.at(-1)?.name}\n${child.output}`)
    const found = child.messages.filter(({ type }) => type === 'kept')
    assert.equal(child.messages.at(-1)?.type, 'done')
    for (const { name, count, bytes, grown } of found) {
      console.log(`${name}: ${count} pieces, ${bytes} bytes, cost ${grown}`)
    }
    // A view of a drain takes some 10 to 500 times its own length.
    for (const { name, bytes, grown, limit } of found) {
      assert.ok(grown < limit, `${name}: ${bytes} bytes cost ${grown}`)
    }
  })
})
