// What the public objects are printed as, and written as by JSON.stringify: with the cursor, and without a password.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { createEngine } from 'tidemark'
import { defineEvents } from 'tidemark/schema'
import { z } from 'zod'
import { TestStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'

const store = new TestStore('memory')
const open = useEngines(store)
const json = (/** @type {unknown} */ value) => JSON.parse(JSON.stringify(value))

test('a chunk has its cursor, by which whoever gets it can resume', async () => {
  const engine = open()
  const producer = await engine.produce('chunks')
  producer.write('hi')
  producer.write(new Uint8Array([1, 2]))
  await producer.complete()
  const [text, bytes] = await all(engine.subscribe('chunks'))
  const cursor = `${producer.generation}.1`
  assert.deepEqual(json(text), { seq: 1, cursor, data: 'hi' })
  assert.deepEqual(json(bytes), { seq: 2, cursor: `${producer.generation}.2`, bytes: 'AQI=' })
  assert.equal(inspect(text, { breakLength: Infinity }), `Chunk { seq: 1, cursor: '${cursor}', data: 'hi' }`)
  assert.match(inspect(bytes), /data: Uint8Array\(2\) \[ 1, 2 \]/)
  assert.match(inspect({ in: { an: { object: { text } } } }), /\[Chunk\]|\[Object\]/)
  assert.match(inspect([text]), /Chunk \{ seq: 1/)
  const [item] = await all(one(engine.consume('chunks', { group: 'g', consumer: 'c' })))
  assert.deepEqual(json(item), { seq: 1, cursor, data: 'hi', deliveries: 1 })
  assert.match(inspect(item), /^GroupItem \{.*deliveries: 1/s)
})

/** @template T @param {AsyncIterable<T>} items */
async function all(items) {
  const list = []
  for await (const item of items) list.push(item)
  return list
}

/** @template T @param {AsyncIterable<T>} items */
async function* one(items) {
  for await (const item of items) {
    yield item
    return
  }
}

test('producers and subscriptions say what they are about', async () => {
  const engine = open()
  const producer = await engine.produce('about')
  const { generation } = producer
  await producer.append('hi')
  assert.deepEqual(json(producer), { streamId: 'about', generation })
  assert.match(inspect(producer), /^Producer \{\s+streamId: 'about',\s+generation: '/)
  const subscription = engine.subscribe('about')
  await subscription.next()
  assert.deepEqual(json(subscription), { streamId: 'about', cursor: `${generation}.1` })
  await producer.complete()
  await subscription.next()
  assert.equal(json(subscription).outcome, 'complete')
  assert.match(inspect(subscription), /^Subscription \{.*cursor: '.*outcome: 'complete'/s)
  assert.match(inspect(producer), /outcome: 'complete'/)
})

test('typed producers and subscriptions too', async () => {
  const events = defineEvents({ token: z.object({ text: z.string() }) })
  const producer = await events.produce(open(), 'typed')
  assert.match(inspect(producer), /^EventProducer \{\s+streamId: 'typed'/)
  producer.write({ type: 'token', text: 'x' })
  await producer.complete()
  const subscription = events.subscribe(open(), 'typed')
  await subscription.next()
  assert.match(inspect(subscription), /^EventSubscription \{.*cursor: '.*dropped: 0/s)
  assert.equal(json(subscription).cursor, `${producer.generation}.1`)
})

test('G10 an engine says where it is, without user and password', async (t) => {
  const engine = createEngine({ url: 'redis://someone:secret@localhost:1/2', keyPrefix: 'p' })
  t.after(() => engine.close())
  const shown = { url: 'redis://localhost:1/2', keyPrefix: 'p', state: 'idle' }
  assert.deepEqual(json(engine), shown)
  assert.equal(
    inspect(engine, { breakLength: Infinity }),
    `Engine ${inspect(shown, { breakLength: Infinity })}`,
  )
  for (const url of [
    'rediss+sentinel://u:secret@h:1/name?sentinelPassword=secret',
    'redis+cluster://u:secret@a:1,b:2',
  ]) {
    const other = createEngine({ url })
    assert.doesNotMatch(inspect(other, { depth: 9, showHidden: true }) + JSON.stringify(other), /secret/)
    await other.close()
  }
})
