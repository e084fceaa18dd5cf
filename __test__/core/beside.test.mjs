// Readers in the process of the stream's only producer get everything from its memory (ADR 48). What others do to the stream
// reaches them as it reaches all.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkHistory } from '../support/history.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, texts, useEngines, writeAll } from '../support/streams.mjs'

eachStore('beside', (store) => {
  const open = useEngines(store)

  /** A producer and a reader of one engine, and chunks that both know. @param {string} id */
  async function pair(id) {
    const [here, elsewhere] = [open(), open()]
    const producer = await here.produce(id)
    const reader = follow(here, id)
    const chunks = texts(20, id)
    await writeAll(producer, chunks)
    await reader.has(chunks.length)
    return { here, elsewhere, producer, reader, chunks }
  }

  test('G4 G5 a producer elsewhere takes over: the reader gets every chunk and the end, and the next generation', async () => {
    const { here, elsewhere, producer, reader, chunks } = await pair('taken')
    const all = follow(here, 'taken', { follow: 'all', name: 'the one that follows all' })
    await all.has(chunks.length)
    const next = texts(5, 'next')
    await produceAll(elsewhere, 'taken', next, { ifActive: 'takeover' })
    await reader.end()
    assert.equal(reader.outcome, 'interrupted')
    assert.equal(reader.error.reason, 'superseded')
    checkHistory({ written: numbered(chunks), readers: [reader] })
    await all.has(chunks.length + next.length)
    checkHistory({
      written: numbered([...chunks, ...next]),
      readers: [Object.assign(all, { outcome: 'left', to: chunks.length + next.length })],
    })
    await assert.rejects(producer.append('late'), { code: 'ERR_FENCED' })
    await all.subscription.return?.()
  })

  test('G1 a producer elsewhere goes on with the generation: the reader gets its chunks, too', async () => {
    const { elsewhere, reader, chunks } = await pair('continued')
    const producer = await elsewhere.produce('continued', { ifActive: 'continue' })
    const rest = texts(20, 'rest')
    await writeAll(producer, rest)
    await reader.has(chunks.length + rest.length)
    await producer.complete()
    await reader.end()
    assert.equal(reader.outcome, 'complete')
    checkHistory({ written: numbered([...chunks, ...rest]), readers: [reader] })
  })

  test('G5 the stream is deleted elsewhere: the reader is told so', async () => {
    const { elsewhere, reader, chunks } = await pair('deleted')
    assert.equal(await elsewhere.delete('deleted'), true)
    await reader.end(5000)
    assert.equal(reader.outcome, 'interrupted')
    assert.equal(reader.error.reason, 'deleted')
    checkHistory({ written: numbered(chunks), readers: [reader] })
  })

  test('G6 it is stopped elsewhere: the reader ends with the producer', async () => {
    const { elsewhere, producer, reader, chunks } = await pair('stopped')
    const stopped = new Promise((resolve) => producer.signal.addEventListener('abort', resolve))
    await elsewhere.stop('stopped', 'enough')
    await stopped
    producer.write('the last words')
    await producer.complete()
    await reader.end()
    assert.equal(reader.outcome, 'stopped')
    checkHistory({ written: numbered([...chunks, 'the last words']), readers: [reader] })
  })

  test('G1 the producer is done, and others go on: a reader of all generations misses none', async () => {
    const [here, elsewhere] = [open(), open()]
    const all = follow(here, 'turns', { follow: 'all' })
    /** @type {string[]} */
    const written = []
    for (let turn = 0; turn < 12; turn++) {
      const chunks = texts(7, `turn ${turn}`)
      await produceAll([here, here, elsewhere][turn % 3] ?? here, 'turns', chunks)
      written.push(...chunks)
      // A reader of all generations may be one behind, not two.
      await all.has(written.length)
    }
    await all.subscription.return?.()
    await all.end()
    checkHistory({ written: numbered(written), readers: [Object.assign(all, { to: written.length })] })
  })
})
