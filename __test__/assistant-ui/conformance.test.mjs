// assistant-ui's own tests of its stores, with ours in place of theirs. What does not pass is listed, and why: docs/assistant-ui.md.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TestStore } from '../support/stores.mjs'
import { runVitest } from '../support/vitest.mjs'

const MEMORY = 'InMemoryResumableStreamStore'
const CONTEXT = 'createResumableStreamContext'

/** They set the time, or let streams live for 10 ms. */
const OWN_CLOCK = [
  `${CONTEXT} keeps a producer that outlived its TTL out of the stream a second run reacquired`,
  ...[
    'reports the superseded append through onError only',
    'reports a fenced done finalize through onError only',
    'does not report a fenced error finalize',
    'needs no particular error message from the store',
  ].map((name) => `${CONTEXT} a producer fenced out by a reacquisition ${name}`),
  ...[
    'does not sweep 10 retained streams before an expiry is due',
    'does not sweep 1000 retained streams before an expiry is due',
    'honors a shorter per-stream TTL and reclaims capacity at the deadline',
    'keeps refreshed and finalized streams until their new deadlines',
    'wakes a waiting reader when its stream expires',
    'keeps a long TTL past the timer limit and expires at its full deadline',
    'expired streams are evicted on next access',
    'gc sweeper evicts expired streams without explicit access',
    'keeps a superseded producer out of a stream reacquired on the same instance',
  ].map((name) => `${MEMORY} ${name}`),
]
/** Options that only a store in memory needs. */
const OWN_BOUNDS = [
  'rejects append when stream reaches maxEntriesPerStream',
  'rejects acquire when active stream count exceeds maxStreams',
  'dispose clears the gc interval',
].map((name) => `${MEMORY} ${name}`)
/** They compare the texts of cursors. */
const OWN_CURSORS = [
  'waits for updates without overflowing native timers with a long default TTL',
  'waits for updates without overflowing native timers with a long per-stream TTL',
  'delivers live updates to every reader and isolates cancellation',
].map((name) => `${MEMORY} ${name}`)
/** They want a hook to have been called when the reader has the end, which it may have before the writer has Redis' answer. */
const RACES = ['on successful completion', 'with error status when producer fails'].map(
  (name) => `${CONTEXT} onFinalize fires ${name}`,
)

describe('conformance', { concurrency: true }, () => {
  for (const kind of /** @type {const} */ (['memory', 'redis'])) {
    test(`assistant-ui: its own tests pass, but for those that are listed [${kind}]`, {
      timeout: 240_000,
    }, async (t) => {
      const store = new TestStore(kind)
      await store.start()
      const {
        passed,
        failed: all,
        errors,
      } = await runVitest('assistant-ui/vitest.config.mjs', {
        STORE_URL: store.url,
        STORE_PREFIX: store.prefix(),
        // Of the tests that their client is there for.
        REDIS_URL: kind === 'redis' ? store.adminUrl : undefined,
        IOREDIS_PEER_MAJOR: '6',
      })
      const failed = all.map(({ name, why }) => `${name}: ${why}`)
      t.diagnostic(`${passed.length} passed, ${failed.length} not`)
      const isIn = (/** @type {string[]} */ names) => (/** @type {string} */ line) =>
        names.some((name) => line.startsWith(`${name}: `))
      const listed = [...OWN_CLOCK, ...OWN_BOUNDS, ...OWN_CURSORS]
      const races = kind === 'redis' ? RACES : []
      assert.deepEqual(
        failed.filter((line) => !isIn([...listed, ...races])(line)),
        [],
        errors,
      )
      assert.equal(failed.filter(isIn(listed)).length, listed.length, 'what is listed does not pass')
      const lost = failed.filter(isIn(races)).length
      assert.equal(passed.length + lost, kind === 'redis' ? 80 : 60)
      await store.checkRights()
    })
  }
})
