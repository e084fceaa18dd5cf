// Engines of a name: a module that is evaluated anew leaves nothing behind of what it was.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eachStore } from '../support/stores.mjs'
import { readAll, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

eachStore('engines of a name', (store) => {
  const open = useEngines(store)

  test('hot reload: the newest engine of a name replaces the one before, and its loops, consumers and timers', async () => {
    const keyPrefix = store.prefix()
    const evaluate = () => open({ keyPrefix, name: `chat ${keyPrefix}` })
    const other = open({ keyPrefix, name: `other ${keyPrefix}` })
    const nameless = open({ keyPrefix })
    const before = evaluate()
    const producer = await before.produce('live')
    const loop = before.subscribe('none', { wait: '1h' }).next()
    const group = before.consume('none', { group: 'g', consumer: 'old', wait: '1h' }).next()
    for (const left of [loop, group]) left.catch(() => {})
    const engines = Array.from({ length: 10 }, evaluate)
    const newest = engines.at(-1)
    assert.ok(newest)
    // What is written through it comes to its end.
    await producer.append('one')
    assert.equal(before.state === 'closed', false)
    await until(() => engines.slice(0, -1).every(({ state }) => state === 'closed'))
    await producer.append('two')
    assert.equal(await producer.complete(), 'complete')
    await until(() => before.state === 'closed', { message: 'the engine before is closed' })
    for (const left of [loop, group]) await assert.rejects(left, { code: 'ERR_CLOSED' })
    assert.notEqual(newest.state, 'closed')
    const { chunks } = await readAll(newest, 'live')
    assert.deepEqual(
      chunks.map(({ data }) => data),
      ['one', 'two'],
    )
    for (const engine of [other, nameless]) assert.notEqual(engine.state, 'closed')
  })
})
