// The public conformance suite against `tidemark serve`.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startServe } from '../support/serving.mjs'
import { keyFile } from '../support/signing-keys.mjs'
import { TestStore } from '../support/stores.mjs'
import { runVitest } from '../support/vitest.mjs'

/**
 * Its streams live for 2 s, are asked for after 1.5 s, and have to be there: where the machine takes the rest, they are gone as they
 * should be. They are asked for once more then, without the rest of the suite.
 */
const CLOCKED = /^(TTL Expiration Behavior|Fork - TTL and Expiry) /
const AGAIN = 2

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
      const run = (/** @type {string | undefined} */ only) =>
        runVitest('durable-streams/vitest.config.mjs', { CONFORMANCE_TEST_URL: server.address }, only)
      const { passed, failed } = await run(undefined)
      t.diagnostic(`${passed.length} passed, ${failed.length} not`)
      assert.deepEqual(
        failed.filter((name) => !CLOCKED.test(name)),
        [],
      )
      assert.ok(passed.length + failed.length >= 338)
      let late = failed
      for (let count = 0; late.length > 0 && count < AGAIN; count++) {
        t.diagnostic(`once more: ${late.join('\n')}`)
        late = (await run(CLOCKED.source)).failed
      }
      assert.deepEqual(late, [])
      assert.equal(await server.stop(), 0, server.errors())
      assert.equal(server.errors().replace(/^trying to reach .*\n/m, ''), '')
      await store.checkRights()
    })
  }
})
