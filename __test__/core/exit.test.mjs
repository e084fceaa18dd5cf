// A process that is done ends by itself, one that is not goes on, and threads may end at any time.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { startChild } from '../support/child.mjs'
import { checkHistory } from '../support/history.mjs'
import { seed } from '../support/seed.mjs'
import { TestStore } from '../support/stores.mjs'
import { numbered, produceAll, readAll, useEngines } from '../support/streams.mjs'
import { deadline } from '../support/wait.mjs'

/** How long a script that has come to its end may take to be gone. */
const EXIT_MS = 1_000

describe('exit [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  const keyPrefix = store.prefix()
  before(async () => {
    await store.start()
    await produceAll(open({ keyPrefix }), 'finished', ['1', '2', '3'])
  })

  /**
   * @param {import('node:test').TestContext} t
   * @param {string[]} args
   * @param {import('tidemark').EngineOptions} [options]
   */
  const script = (t, args, options) => {
    const ENGINE = JSON.stringify({ url: store.url, keyPrefix, ...options })
    const child = startChild(new URL('../children/exits.mjs', import.meta.url), { args, env: { ENGINE } })
    t.after(() => child.kill())
    return child
  }

  for (const name of ['unused', 'connected', 'produce', 'read', 'write', 'refused', 'leave', 'subscribed']) {
    for (const close of [[], ['close']]) {
      test(`a script that is done exits: ${[name, ...close].join(', then ')}`, async (t) => {
        const child = script(t, [name, ...close])
        if (name === 'read') assert.equal((await child.next('read')).count, 3)
        await child.next('end')
        assert.deepEqual(await child.exit(EXIT_MS), { code: 0, signal: null })
        assert.equal(child.output, '')
        await open({ keyPrefix }).delete('produced')
      })
    }
  }

  test('a script on memory exits as well', async (t) => {
    for (const name of ['unused', 'connected', 'produce', 'write', 'refused']) {
      const child = script(t, [name], { url: 'memory:' })
      await child.next('end')
      assert.deepEqual(await child.exit(EXIT_MS), { code: 0, signal: null })
    }
  })

  test('G2 what was written is in the store before the process exits', async (t) => {
    const engine = open({ keyPrefix })
    await engine.delete('unfinished')
    const child = script(t, ['write'], { lease: '1s' })
    await child.exit()
    // Nobody has ended it, so its lease does.
    const replay = await readAll(engine, 'unfinished')
    assert.deepEqual([replay.error?.code, replay.error?.reason], ['ERR_INTERRUPTED', 'lease'])
    const chunks = Array.from({ length: 3_000 }, (_, count) => `chunk ${count}`)
    checkHistory({ written: numbered(chunks), readers: [{ ...replay, to: 3_000 }] })
  })

  test('checklist 19: what a loop has seen is stored before the process exits', async (t) => {
    const engine = open({ keyPrefix })
    const child = script(t, ['consume'])
    assert.equal((await child.next('read')).count, 3)
    assert.deepEqual(await child.exit(EXIT_MS), { code: 0, signal: null })
    const [place] = (await engine.status('finished'))?.consumers ?? []
    assert.deepEqual([place?.consumer, place?.lag], ['user-1', 0])
  })

  test('a loop that waits keeps the process, until there is nothing to wait for', async (t) => {
    const engine = open({ keyPrefix })
    const producer = await engine.produce('live', { ifActive: 'takeover' })
    await producer.append('first')
    const child = script(t, ['wait'])
    assert.equal((await child.next('got')).data, 'first')
    await assert.rejects(deadline(child.exit(), EXIT_MS, 'the end'), /not within/)
    await producer.append('second')
    assert.equal((await child.next('got')).data, 'second')
    await producer.complete()
    await child.next('over')
    assert.deepEqual(await child.exit(EXIT_MS), { code: 0, signal: null })
  })

  test('a loop that waits unreferenced does not keep the process', async (t) => {
    const engine = open({ keyPrefix })
    const producer = await engine.produce('live', { ifActive: 'takeover' })
    await producer.append('first')
    const child = script(t, ['unref'])
    assert.equal((await child.next('got')).data, 'first')
    assert.deepEqual(await child.exit(EXIT_MS), { code: 0, signal: null })
    await producer.complete()
  })

  test('process.exit and errors end the process at once, whatever is under way', async (t) => {
    for (const options of [{}, { url: 'memory:' }]) {
      assert.deepEqual(await script(t, ['exit'], options).exit(20_000), { code: 7, signal: null })
      const crashed = script(t, ['crash'], options)
      assert.deepEqual(await crashed.exit(20_000), { code: 1, signal: null })
      assert.match(crashed.output, /a bug/)
    }
  })

  test('workers are terminated in the middle of their streams, 20 rounds of 8', async (t) => {
    for (const url of [store.url, 'memory:']) {
      const ENGINE = JSON.stringify({ url, keyPrefix: store.prefix() })
      const file = new URL('../children/workers.mjs', import.meta.url)
      const child = startChild(file, { args: ['20', String(seed)], env: { ENGINE } })
      t.after(() => child.kill())
      await child.next('done', 120_000)
      assert.deepEqual(await child.exit(20_000), { code: 0, signal: null })
      assert.equal(child.output, '')
    }
  })

  test('the package is loaded by its name, with require and import', async () => {
    const child = startChild(new URL('../children/load.cjs', import.meta.url))
    const { names } = await child.next('loaded')
    assert.ok(names.includes('createEngine') && names.includes('TidemarkError'))
    assert.deepEqual(await child.exit(EXIT_MS), { code: 0, signal: null })
  })
})
