// G8: a process that was frozen finds out at once which of its connections are still there.

import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { openProxy, openRedis, test } from '../support/fault-scene.mjs'
import { startRemote } from '../support/remote.mjs'
import { starved } from '../support/starved.mjs'
import { until } from '../support/wait.mjs'

// Each waits until its process has been frozen for long enough, so they wait together.
describe('frozen', { concurrency: true }, () => {
  for (const [frozenMs, what] of /** @type {const} */ ([
    [4_000, 'for a moment'],
    [8_000, 'for longer than any of its timers'],
  ])) {
    test(`G8: a process is frozen ${what}, and its connections are dead: its next request takes less than 1.5 s`, async (t) => {
      const redis = await openRedis(t)
      const proxy = await openProxy(t, redis.url)
      const frozen = await startRemote(t, { url: proxy.url })
      // Both connections are there, and idle.
      await frozen.ask('produce', { streamId: 'before' })
      await frozen.ask('complete', { streamId: 'before' })
      await frozen.ask('read', { streamId: 'before' })
      await frozen.kill('SIGSTOP')
      proxy.swallow()
      const since = performance.now()
      await until(() => performance.now() - since > frozenMs)
      await frozen.kill('SIGCONT')
      const pids = [redis.pid, /** @type {number} */ (frozen.child.pid)]
      const before = starved(...pids)
      const thawed = performance.now()
      await frozen.ask('produce', { streamId: 'after' })
      await frozen.ask('write', { streamId: 'after', chunks: ['1'] })
      await frozen.ask('complete', { streamId: 'after' })
      const { chunks, outcome } = await frozen.ask('read', { streamId: 'after' })
      const waited = starved(...pids) - before
      const took = performance.now() - thawed - waited
      assert.deepEqual([chunks.length, outcome], [1, 'complete'])
      t.diagnostic(`after ${Math.round(took)} ms, and ${Math.round(waited)} ms without a processor`)
      assert.ok(took < 1_500, `it took ${Math.round(took)} ms`)
    })
  }
})
