// A reader's first page does not wait until its server listens to the stream, and nothing that is written meanwhile is missed.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { createEngine } from 'tidemark'
import { openProxy } from '../support/fault-scene.mjs'
import { checkHistory } from '../support/history.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { Follower, numbered } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/**
 * An engine beside Redis, and one whose connection for messages is held until `goOn` is called.
 * @param {import('node:test').TestContext} t @param {import('tidemark').EngineOptions} far
 */
async function twoServers(t, far) {
  const redis = await sharedRedis()
  const proxy = await openProxy(t, redis.url)
  const keyPrefix = `test-first-page-${randomUUID()}`
  const engines = {
    near: createEngine({ keyPrefix, url: redis.url }),
    far: createEngine({ keyPrefix, url: proxy.url, ...far }),
  }
  t.after(() => Promise.all([engines.near.close(), engines.far.close()]))
  const listeners = async () => (await redis.admin.channels(`{${keyPrefix}:*}:live`)).length
  // The connection for commands is made first, that for messages for the first reader, who stays.
  await engines.far.status('first')
  const producer = await engines.near.produce('first')
  await producer.append('one')
  const reader = new Follower(engines.far.subscribe('first'))
  await reader.has(1)
  await until(async () => (await listeners()) === 1, { message: 'the first reader is listened for' })
  return { ...engines, listeners, goOn: proxy.hold(1) }
}

const PATIENT = { connectTimeout: 20_000 }

describe('the first page', { concurrency: true }, () => {
  test('G1 is there before its server listens, and what is written until it does comes by itself', async (t) => {
    const { near, far, listeners, goOn } = await twoServers(t, PATIENT)
    const producer = await near.produce('early')
    await producer.append('one')
    const readers = ['one', 'two'].map(() => new Follower(far.subscribe('early')))
    for (const reader of readers) await reader.has(1)
    assert.equal(await listeners(), 1, 'Redis has not heard of the reader')
    await producer.append('two')
    goOn()
    // Nothing more is written: no message can show that one was missed.
    for (const reader of readers) await reader.has(2)
    assert.equal(far.metrics().gapsRepaired, 0, 'nothing was lost')
    await producer.append('three')
    await producer.complete()
    for (const reader of readers) assert.equal((await reader.end()).outcome, 'complete')
    checkHistory({ written: numbered(['one', 'two', 'three']), readers })
  })

  test('G5 an end that comes before its server listens is told', async (t) => {
    const { near, far, listeners, goOn } = await twoServers(t, PATIENT)
    const producer = await near.produce('ended')
    await producer.append('one')
    const reader = new Follower(far.subscribe('ended'))
    await reader.has(1)
    assert.equal(await listeners(), 1)
    await producer.complete()
    goOn()
    assert.equal((await reader.end()).outcome, 'complete')
  })

  test('of a stream that has ended needs no listening at all', async (t) => {
    const { near, far, listeners } = await twoServers(t, PATIENT)
    const producer = await near.produce('over')
    await producer.append('one')
    await producer.complete()
    const reader = new Follower(far.subscribe('over'))
    assert.equal((await reader.end()).outcome, 'complete')
    assert.equal(await listeners(), 1)
    checkHistory({ written: numbered(['one']), readers: [reader] })
  })

  test('of a stream that begins meanwhile is found by those who wait for it', async (t) => {
    const { near, far, listeners, goOn } = await twoServers(t, PATIENT)
    const reader = new Follower(far.subscribe('later', { wait: 20_000 }))
    // A later call's answer: the reader's first look has been answered too.
    await far.status('later')
    assert.equal(await listeners(), 1)
    const producer = await near.produce('later')
    await producer.append('one')
    goOn()
    await reader.has(1)
    await producer.complete()
    assert.equal((await reader.end()).outcome, 'complete')
    checkHistory({ written: numbered(['one']), readers: [reader] })
  })

  test('of a stream that begins before its server listens is found, however short the wait', async (t) => {
    const { near, far, listeners, goOn } = await twoServers(t, PATIENT)
    const [found, nothing] = ['soon', 'never'].map((id) => new Follower(far.subscribe(id, { wait: 300 })))
    await far.status('soon')
    const producer = await near.produce('soon')
    assert.equal(await listeners(), 1)
    await producer.append('one')
    await producer.complete()
    goOn()
    assert.equal((await found?.end())?.outcome, 'complete')
    assert.equal((await nothing?.end())?.outcome, 'ERR_NOT_FOUND')
  })

  test('ERR_TIMEOUT tells a reader that has begun, if its server cannot listen', async (t) => {
    const { near, far } = await twoServers(t, { connectTimeout: 1_000, commandTimeout: 60_000 })
    const producer = await near.produce('unheard')
    await producer.append('one')
    const reader = new Follower(far.subscribe('unheard', { wait: 0 }))
    await reader.has(1)
    assert.equal((await reader.end()).outcome, 'ERR_TIMEOUT')
  })
})
