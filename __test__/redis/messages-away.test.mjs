// Only the connection for messages is away: whatever needs none of them works, and whoever needs them is told at once.

import assert from 'node:assert/strict'
import { openEngine, openRedis, test } from '../support/fault-scene.mjs'
import { readAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const keyPrefix = 'test-messages-away'

/** From now on nobody may subscribe; the function that is returned ends that. @param {import('../support/redis-server.mjs').RedisServer} redis */
async function takeMessages(redis) {
  const { username } = new URL(redis.url)
  await redis.admin.cmd('ACL', 'SETUSER', username, '-subscribe')
  await redis.admin.cmd('CLIENT', 'KILL', 'TYPE', 'pubsub')
  return async () => {
    await redis.admin.cmd('ACL', 'SETUSER', username, '+subscribe')
    await redis.admin.cmd('ACL', 'LOG', 'RESET')
  }
}

test('what needs no messages works while only they are away', async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url, keyPrefix })
  const fresh = openEngine(t, { url: redis.url, keyPrefix })
  const owner = 'ann'
  const producer = await engine.produce('chat', { owner })
  const cursor = await producer.append('one')
  const giveBack = await takeMessages(redis)
  await until(() => engine.state === 'degraded')

  // Redis itself may have gone: the first one to ask has it looked at.
  const status = () => engine.status('chat').catch(() => null)
  assert.equal((await until(status, { timeout: 5_000 })).lastSeq, 1)
  const listed = []
  for await (const { streamId } of engine.streams()) listed.push(streamId)
  assert.deepEqual(listed, ['chat'])
  await producer.append('two')
  await engine.ack('chat', { consumer: 'screen', cursor, owner })
  const log = engine.log('log', { contentType: 'text/plain' })
  await log.append(['one'])
  assert.equal((await log.page()).chunks.length, 1)
  const next = await engine.produce('next')
  await next.append('one')
  assert.equal(await next.complete(), 'complete')
  assert.equal(await engine.delete('next'), true)
  assert.equal(await engine.stop('elsewhere'), 'kept')
  assert.equal(await fresh.stop('chat', { owner }), 'stopping', 'also by one that has no producer')
  // The producer learns of it with its next write.
  await producer.append('three')
  assert.equal(producer.signal.aborted, true)

  const request = new Request('http://localhost/')
  assert.equal(
    (await engine.respond(request, 'log', { wait: 0, onError: String })).status,
    503,
    'a reader needs messages',
  )
  const passed = []
  for await (const chunk of fresh.pipe('first', ReadableStream.from(['one']))) passed.push(chunk)
  assert.deepEqual(passed, ['one'], 'an engine that never had any passes the answer through at once')
  assert.equal(await engine.status('first'), null)

  await giveBack()
  await until(() => engine.state === 'ready')
  await producer.complete()
  assert.equal((await readAll(engine, 'chat', { owner })).outcome, 'stopped')
})

/** How often a connection has tried to subscribe. @param {import('../support/redis-server.mjs').RedisServer} redis */
async function attempts(redis) {
  const log = /** @type {unknown[][]} */ (await redis.admin.cmd('ACL', 'LOG'))
  return log.reduce((sum, entry) => sum + Number(entry[entry.indexOf('count') + 1]), 0)
}

test('readers that left while messages were away leave nothing behind for those who come later', async (t) => {
  const redis = await openRedis(t)
  // It has no producer, so nobody else in the process listens.
  const engine = openEngine(t, { url: redis.url, keyPrefix })
  const log = engine.log('log', { contentType: 'text/plain' })
  await log.append(['one'])
  const ask = () => engine.respond(new Request('http://localhost/'), 'log', { onError: String })
  const open = await ask()
  assert.equal(open.status, 200)
  // What comes live shows that it listens.
  const reader = /** @type {ReadableStream<Uint8Array>} */ (open.body).getReader()
  await log.append(['two'])
  for (let text = ''; !text.includes('two'); )
    text += Buffer.from((await reader.read()).value ?? []).toString()
  const giveBack = await takeMessages(redis)
  // By then the connection spends its time in pauses between attempts.
  await until(async () => engine.state === 'degraded' && (await attempts(redis)) >= 6)
  await reader.cancel()
  await until(() => engine.state !== 'degraded')
  await giveBack()
  assert.equal((await ask()).status, 200)
})
