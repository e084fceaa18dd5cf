// The public conformance suite against `tidemark serve`.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startServe } from '../support/serving.mjs'
import { keyFile } from '../support/signing-keys.mjs'
import { TestStore } from '../support/stores.mjs'
import { runVitest } from '../support/vitest.mjs'

/**
 * Tests that sleep for three quarters of a lifetime of two seconds, use the stream, and expect that it is there. On a busy machine they wake
 * up when it has expired, so they get another try, without the others.
 */
const TIMED = /\bTTL\b|expir/i
const TRIES = 4

/** The tests that fail. @param {string} address */
async function failing(address) {
  const run = (/** @type {string[]} */ only) =>
    runVitest('durable-streams/vitest.config.mjs', { CONFORMANCE_TEST_URL: address }, only)
  const { passed, failed } = await run([])
  const untimed = failed.filter(({ name }) => !TIMED.test(name))
  let timed = failed.filter(({ name }) => TIMED.test(name))
  for (let tries = 1; tries < TRIES && timed.length > 0; tries++) {
    timed = (await run(timed.map(({ name }) => name))).failed
  }
  return { count: passed.length + failed.length, failed: [...untimed, ...timed] }
}

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
      t.after(() => server.stop('SIGKILL'))
      const { count, failed } = await failing(server.address)
      t.diagnostic(`${count - failed.length} passed, ${failed.length} not`)
      assert.deepEqual(failed, [])
      assert.ok(count >= 338)
      assert.equal(await server.stop(), 0, server.errors())
      assert.equal(server.errors().replace(/^trying to reach .*\n/m, ''), '')
      await store.checkRights()
    })
  }
})
