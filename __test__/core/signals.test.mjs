// `closeOnSignals`: a process that is told to end tells its readers first, and ends as it would have.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { startChild } from '../support/child.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, useEngines } from '../support/streams.mjs'
import { deadline } from '../support/wait.mjs'

const bySignal = { code: null, signal: 'SIGTERM' }

test('signals are checked', () => {
  for (const closeOnSignals of [[], 'SIGTERM', ['SIGKILL'], [15]]) {
    const options = /** @type {any} */ ({ url: 'memory:', closeOnSignals })
    assert.throws(() => createEngine(options), {
      code: 'ERR_INVALID_ARGUMENT',
      field: /^options\.closeOnSignals/,
    })
  }
})

test('an engine that is closed leaves no listener behind', async () => {
  const counts = () => ['SIGTERM', 'SIGINT'].map((signal) => process.listenerCount(signal))
  const before = counts()
  const engines = Array.from({ length: 20 }, () =>
    createEngine({ url: 'memory:signals', closeOnSignals: ['SIGTERM', 'SIGINT'] }),
  )
  assert.deepEqual(
    counts(),
    before.map((count) => count + 1),
    'one for all engines',
  )
  for (const engine of engines) await engine.close()
  assert.deepEqual(counts(), before)
})

eachStore('signals', (store) => {
  const open = useEngines(store)

  /** @type {Record<string, { code: number | null, signal: string | null }>} */
  const ENDS = {
    'nobody else': bySignal,
    'another engine': bySignal,
    'a listener': { code: 7, signal: null },
    'a listener before': { code: 8, signal: null },
    'one that raises it again': bySignal,
    'a server': { code: 0, signal: null },
    closed: bySignal,
  }
  for (const [name, expected] of Object.entries(ENDS)) {
    test(`G5 SIGTERM with ${name}: readers are told at once, the process ends as it would have`, async (t) => {
      const keyPrefix = store.prefix()
      const engine = open({ keyPrefix })
      const ENGINE = JSON.stringify({ url: store.url, keyPrefix, lease: '1m' })
      const child = startChild(new URL('../children/signals.mjs', import.meta.url), {
        args: [name],
        env: { ENGINE },
      })
      t.after(() => child.kill())
      const { port } = await child.next('ready')
      const reader = store.kind === 'redis' ? follow(engine, 'told') : undefined
      await reader?.has(1)
      // A connection that the client keeps would keep the server, too, for the 5 s that Node.js gives an idle one.
      const response = port && (await fetch(`http://127.0.0.1:${port}`, { headers: { connection: 'close' } }))
      await child.kill('SIGTERM')
      if (name === 'closed') assert.equal((await reader?.end())?.error?.reason ?? 'closed', 'closed')
      else if (reader) {
        await reader.end(5000)
        assert.equal(reader.error?.code, 'ERR_INTERRUPTED')
        assert.equal(reader.error?.reason, 'closed')
      }
      if (response) assert.match(await deadline(response.text(), 20_000, 'the response ends'), /half/)
      assert.deepEqual(await child.exit(), expected)
    })
  }
})
