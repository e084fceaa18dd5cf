// The public conformance suite against `tidemark serve`.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startServe } from '../support/serving.mjs'
import { keyFile } from '../support/signing-keys.mjs'
import { TestStore } from '../support/stores.mjs'
import { runVitest } from '../support/vitest.mjs'

// Most of the time the suite waits.
describe('conformance', { concurrency: true }, () => {
  for (const kind of /** @type {const} */ (['memory', 'redis'])) {
    test(`Durable Streams: every test of the conformance suite passes [${kind}]`, {
      timeout: 240_000,
    }, async (t) => {
      const store = new TestStore(kind)
      await store.start()
      const url = kind === 'memory' ? 'memory:' : store.url
      const server = await startServe([
        ...['--url', url, '--prefix', store.prefix(), '--long-poll-ms', '2000'],
        ...['--subscriptions', '--webhook-localhost', '--webhook-keys', await keyFile(t)],
      ])
      const { passed, failed } = await runVitest('durable-streams/vitest.config.mjs', {
        CONFORMANCE_TEST_URL: server.address,
      })
      t.diagnostic(`${passed.length} passed, ${failed.length} not`)
      assert.deepEqual(failed, [])
      assert.ok(passed.length >= 338)
      assert.equal(await server.stop(), 0, server.errors())
      assert.equal(server.errors().replace(/^trying to reach .*\n/m, ''), '')
      await store.checkRights()
    })
  }
})
