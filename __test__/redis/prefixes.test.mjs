// G10: a key prefix and an id never run together, and streams that were named when they did are still found.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createResumableStreamContext } from 'tidemark/resumable-stream'
import { checkHistory } from '../support/history.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { follow, listed, numbered, produceAll, readAll, texts, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/** @param {ReadableStream<string> | null | undefined} stream */
async function textsOf(stream) {
  let text = ''
  for await (const part of stream ?? []) text += part
  return text
}

eachStore('prefixes', (store) => {
  const open = useEngines(store)

  test('G10 nobody with another prefix reads, stops, lists, consumes or removes a stream, whatever its id', async () => {
    const base = store.prefix()
    const names = /** @type {[string, string][]} */ ([
      [base, 'eu:42'],
      [`${base}:eu`, '42'],
      [`${base}%3Aeu`, '42'],
      [`${base}%253Aeu`, '42'],
      [`${base}:`, 'eu:42'],
      [base, ':eu:42'],
      [`${base}::eu`, '42'],
    ])
    const all = []
    for (const [keyPrefix, streamId] of names) {
      const engine = open({ keyPrefix })
      assert.equal(await engine.status(streamId), null, keyPrefix)
      assert.equal(await engine.stop(streamId, 'too early'), 'kept')
      assert.equal(await engine.delete(streamId), false)
      const reader = follow(engine, streamId)
      const producer = await engine.produce(streamId)
      assert.equal(producer.signal.aborted, false)
      await producer.append(`${keyPrefix} ${streamId}`)
      await engine.ack(streamId, 'user', `${producer.generation}.1`)
      all.push({ engine, streamId, producer, reader })
    }
    const [first, second] = all
    assert.equal(await second?.engine.stop('42', 'mine'), 'stopping')
    await until(() => second?.producer.signal.aborted)
    assert.equal(first?.producer.signal.aborted, false)
    assert.equal(await second?.producer.complete(), 'stopped')
    for (const [index, { engine, streamId, producer, reader }] of all.entries()) {
      if (index !== 1) assert.equal(await producer.complete(), 'complete')
      await reader.end()
      const written = numbered([(names[index] ?? []).join(' ')])
      checkHistory({ written, readers: [reader, await readAll(engine, streamId)] })
      const ids = names.filter(([prefix]) => prefix === names[index]?.[0]).map(([, id]) => id)
      assert.deepEqual(await listed(engine), ids.sort())
      assert.equal((await engine.status(streamId))?.consumers.length, 1)
    }
    for (const { engine, streamId } of all) assert.equal(await engine.delete(streamId), true)
  })

  test('G10 contexts of tidemark/resumable-stream do not share streams, whatever their prefixes', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const names = /** @type {[string, string][]} */ ([
      ['app', 'x:rs:y'],
      ['app:rs:x', 'y'],
      ['app%3Ars%3Ax', 'y'],
      ['app:rs', 'y'],
      ['app', 'rs:y'],
      ['app:eu', 'y'],
    ])
    const made = names.map(([keyPrefix, id]) => ({
      id,
      text: `${keyPrefix} ${id}`,
      context: createResumableStreamContext({ engine, keyPrefix, waitUntil: null, replayAfterDone: true }),
    }))
    for (const { id, text, context } of made) {
      assert.equal(await context.hasExistingStream(id), null)
      const stream = await context.createNewResumableStream(id, () => ReadableStream.from([text]))
      assert.equal(await textsOf(stream), text)
    }
    for (const { id, text, context } of made) {
      const stream = await context.resumeExistingStream(id)
      assert.equal(await textsOf(stream), text)
    }
    assert.deepEqual((await listed(engine)).slice(-1), ['app:rs:x:rs:y'], 'most names stay as they were')
  })
})

describe('prefixes [redis]', () => {
  const store = new TestStore('redis')
  const open = useEngines(store)
  before(() => store.start())

  /** A prefix with a colon, and what an older server had under it: another prefix gives the same name today. */
  function place() {
    const { admin } = store.redis
    const base = store.prefix()
    const engine = open({ keyPrefix: `${base}:eu` })
    // On a loaded machine a second may pass between a stop and what a test does then.
    const other = open({ keyPrefix: base, stopGrace: '1m' })
    const meta = `{${base}:eu:42}:meta`
    return {
      base,
      engine,
      meta,
      /** The engine that names it like that. */
      other,
      /** As an older server would have made it, and listed it. */
      async age() {
        await admin.cmd('HDEL', meta, 'i')
        for (let shard = 0; shard < 16; shard++) {
          await admin.cmd('SADD', `${base}:eu:index:${shard}`, '42')
          await admin.cmd('PEXPIRE', `${base}:eu:index:${shard}`, 60_000)
        }
      },
    }
  }

  test('G10 what older servers have made under a prefix with a colon is read, listed, and removed', async () => {
    const { engine, other, age, base } = place()
    await produceAll(other, 'eu:42', texts(300))
    await age()
    const replay = await readAll(engine, '42')
    const from = replay.chunks[99]?.cursor
    const rest = await readAll(engine, '42', { from, after: 100 })
    checkHistory({ written: numbered(texts(300)), readers: [replay, rest] })
    assert.deepEqual(await listed(engine), ['42'])
    const status = await engine.status('42')
    assert.deepEqual([status?.streamId, status?.state, status?.lastSeq], ['42', 'complete', 300])
    await engine.ack('42', 'user', from ?? '')
    const consumer = await readAll(engine, '42', { consumer: 'user', after: 100 })
    checkHistory({ written: numbered(texts(300)), readers: [consumer] })
    const consumption = engine.consume('42', { group: 'save', consumer: 'one' })
    const item = (await consumption.next()).value
    assert.equal(item?.data, texts(1)[0])
    await item?.ack()
    await consumption.return()
    assert.ok((await engine.sampleMemory()).largestBytes > 0)
    assert.equal(await engine.stop('42'), 'ended')
    await assert.rejects(engine.produce('42', { ifEnded: 'error' }), { code: 'ERR_ENDED' })
    assert.equal((await engine.cleanup({ olderThan: 0, dryRun: true })).removed, 1)
    assert.equal(await engine.delete('42'), true)
    assert.deepEqual(await listed(engine), [])
    const [, keys] = await store.redis.admin.cmd('SCAN', '0', 'MATCH', `{${base}*`, 'COUNT', 100_000)
    assert.deepEqual(keys, [])
  })

  test('G10 what an older server is writing is followed and stopped, and taken over under its own name', async () => {
    const { engine, other, age, meta, base } = place()
    const producer = await other.produce('eu:42')
    await producer.append('before')
    await age()
    const reader = follow(engine, '42')
    await reader.has(1)
    // The channel too: nobody waits for the next look at the log.
    const begin = performance.now()
    for (let index = 0; index < 20; index++) {
      await producer.append(`live ${index}`)
      await reader.has(2 + index)
    }
    const ms = performance.now() - begin
    assert.ok(ms < 10_000, `${ms} ms`)
    await assert.rejects(engine.produce('42'), { code: 'ERR_ACTIVE' })
    await assert.rejects(engine.produce('42', { ifActive: 'share' }), { code: 'ERR_ACTIVE' })
    assert.equal(await engine.stop('42', 'enough'), 'stopping')
    await producer.append('closing')
    await until(() => producer.signal.aborted, { message: 'it hears of the stop with its next write' })
    const next = await engine.produce('42', { ifActive: 'takeover' })
    await reader.end()
    assert.equal(reader.error?.reason, 'superseded')
    const live = Array.from({ length: 20 }, (_, index) => `live ${index}`)
    checkHistory({ written: numbered(['before', ...live, 'closing']), readers: [{ ...reader, to: 22 }] })
    await assert.rejects(producer.append('late'))
    await next.append('anew')
    assert.equal(await store.redis.admin.cmd('EXISTS', `{${base}%3Aeu:42}:meta`), 1)
    assert.equal(await store.redis.admin.cmd('HGET', meta, 's'), 'interrupted')
    await next.complete()
    checkHistory({ written: numbered(['anew']), readers: [await readAll(engine, '42')] })
    assert.deepEqual(await listed(engine), ['42'])
    assert.equal((await engine.cleanup({ olderThan: 0 })).removed, 1)
    assert.equal(await engine.status('42'), null, 'what stood behind it is gone as well')
    const channels = async () => {
      const all = await store.redis.admin.cmd('PUBSUB', 'CHANNELS', `{${base}*:live`)
      return all.length === 0
    }
    await until(channels, { timeout: 20_000, message: 'nobody listens any more, under either name' })
  })

  test('G10 what a server of this version makes under the other prefix is not taken for an old stream', async () => {
    const { engine, other, age, meta } = place()
    const old = await other.produce('eu:42')
    await old.append('old')
    await age()
    const reader = follow(engine, '42', { follow: 'all' })
    await reader.has(1)
    await old.complete()
    // Now it is somebody else's, and the id is still in the old index.
    const secret = await other.produce('eu:42', { owner: 'alice' })
    assert.equal(await store.redis.admin.cmd('HGET', meta, 'i'), '1')
    await secret.append('secret')
    assert.equal(await engine.status('42'), null)
    assert.deepEqual(await listed(engine), [])
    assert.equal(await engine.stop('42'), 'kept')
    assert.equal(await engine.delete('42'), false)
    assert.equal((await readAll(engine, '42', { wait: 0 })).error?.code, 'ERR_NOT_FOUND')
    await secret.append('secret too')
    const own = await engine.produce('42')
    await own.append('own')
    await until(() => reader.chunks.some(({ data }) => data === 'own') || reader.outcome)
    assert.deepEqual(
      reader.chunks.map(({ data }) => data).filter((data) => String(data).startsWith('secret')),
      [],
    )
    assert.equal(secret.signal.aborted, false)
    assert.equal(await secret.complete(), 'complete')
    await own.complete()
    checkHistory({ written: numbered(['own']), readers: [await readAll(engine, '42')] })
  })

  test('where there are no old streams, nobody looks for them', async () => {
    const { admin } = store.redis
    const engine = open({ keyPrefix: `${store.prefix()}:eu` })
    await produceAll(engine, 'one', ['x'])
    /** @type {string[]} */
    const commands = []
    const end = await admin.monitor(({ args }) => void commands.push(args.join(' ')))
    for (const id of texts(200)) await engine.status(id)
    await admin.cmd('ECHO', 'done')
    await until(() => commands.includes('ECHO done'))
    end()
    const looks = commands.filter((command) => command.startsWith('SISMEMBER')).length
    assert.ok(looks <= 32, `${looks} looks`)
  })
})
