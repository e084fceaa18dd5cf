// tidemark/message-stream: queues that write events, and readers of them, on both stores.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as chats from 'tidemark/message-stream'
import { defineEvents } from 'tidemark/schema'
import * as z from 'zod'
import { ChatReader, checkChat, dataOf, newChat, useChats } from '../support/messages.mjs'
import { eachStore } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

eachStore('message-stream queues', (store) => {
  const other = useChats(store)

  test('checklist 16: an abort ends a reader at once, and so does leaving it while it waits', async () => {
    const chatId = newChat()
    const queue = chats.createStreamQueue(chatId)
    await queue.enqueue({ type: 'agentChunk', chatId, chunk: 'one' })
    const controller = new AbortController()
    const reader = new ChatReader(chatId, { signal: controller.signal })
    await reader.has(1)
    controller.abort(new Error('the page is closed'))
    await reader.end()
    assert.equal(reader.error.message, 'the page is closed')

    const waiting = chats.subscribeToMessageChunkStream(chatId)
    assert.equal((await waiting.next()).value?.chunk, 'one')
    const next = waiting.next()
    assert.deepEqual(await waiting.return(undefined), { done: true, value: undefined })
    assert.deepEqual(await next, { done: true, value: undefined })
    assert.deepEqual(await waiting.next(), { done: true, value: undefined })

    const nobody = chats.subscribeToMessageChunkStream(newChat())
    const never = nobody.next()
    await nobody.return(undefined)
    assert.deepEqual(await never, { done: true, value: undefined })
    await assert.rejects(
      chats.subscribeToMessageChunkStream(chatId, { signal: AbortSignal.abort() }).next(),
      {
        name: 'AbortError',
      },
    )
    await assert.rejects(chats.subscribeToMessageChunkStream(newChat(), { wait: 0 }).next(), {
      code: 'ERR_NOT_FOUND',
    })
    await queue.cleanup()
  })

  test('a reader asks for what is new: since a time, for a user, from now', async () => {
    const chatId = newChat()
    const queue = chats.createStreamQueue(chatId, { owner: 'ann' })
    const write = (/** @type {string} */ chunk) => queue.enqueue({ type: 'agentChunk', chatId, chunk })
    await write('one')
    const user = new ChatReader(chatId, { userId: 'ann', owner: 'ann' }, (_, { events }) => events.length < 2)
    await user.has(1)
    await sleep(5)
    const fromTimestamp = new Date().toISOString()
    await write('two')
    await user.end()
    await assert.rejects(chats.subscribeToMessageChunkStream(chatId).next(), { code: 'ERR_FORBIDDEN' })
    await assert.rejects(chats.stopMessageChunkStream(chatId), { code: 'ERR_FORBIDDEN' })
    const since = new ChatReader(chatId, { fromTimestamp, owner: 'ann' })
    await since.has(1)
    const now = new ChatReader(chatId, { from: 'now', owner: 'ann' })
    // Nothing tells when a reader has found out where now is.
    const ticks = []
    while (now.events.length === 0) {
      ticks.push(`tick ${ticks.length}`)
      await write(String(ticks.at(-1)))
      await sleep(1)
    }
    await write('three')
    await queue.cleanup()
    // The loop was left within the second event, which the user has therefore not seen through.
    const again = await new ChatReader(chatId, { userId: 'ann', owner: 'ann' }).end()
    assert.deepEqual(again.pieces, ['two', ...ticks, 'three'])
    assert.deepEqual((await since.end()).pieces, again.pieces)
    const seen = (await now.end()).pieces
    assert.deepEqual(seen, again.pieces.slice(-seen.length))
  })

  test('checklist 13: enqueue errors reach the caller, and cleanup tells what was not written', async () => {
    const chatId = newChat()
    const queue = chats.createStreamQueue(chatId)
    const event = /** @type {const} */ ({ type: 'agentChunk', chatId, chunk: 'one' })
    await queue.enqueue(event)
    await assert.rejects(queue.enqueue(/** @type {any} */ ({ type: 'agentChunk', chatId, chunk: 1 })), {
      code: 'ERR_SCHEMA',
      path: 'chunk',
    })
    await queue.enqueue({ ...event, chunk: 'two' })
    await other().delete(chatId)
    await until(() => queue.signal.aborted)
    await assert.rejects(queue.enqueue(event), { code: 'ERR_INTERRUPTED', reason: 'deleted' })
    await assert.rejects(queue.cleanup(), { code: 'ERR_INTERRUPTED' })
    await queue.cleanup()

    const [taken, taker] = [chats.createStreamQueue(chatId), chats.createStreamQueue(chatId)]
    await taken.enqueue(event)
    await taker.enqueue(event)
    await until(() => taken.signal.aborted)
    await assert.rejects(taken.enqueue(event), { code: 'ERR_FENCED' })
    await taker.cleanup()

    const late = chats.createStreamQueue(newChat(), { signal: AbortSignal.abort(new Error('too late')) })
    await assert.rejects(late.enqueue(event), /too late/)
    await late.cleanup()
  })

  test('a queue writes in order, ends with the complete event, and begins anew after it', async () => {
    const chatId = newChat()
    const queue = chats.createStreamQueue(chatId)
    const live = new ChatReader(chatId)
    const message = { id: 'm', chatId, createdAt: new Date(0), content: 'all' }
    const run = /** @type {import('tidemark/message-stream').StreamMessage[]} */ ([
      { type: 'messageStart', chatId, messageId: 'm' },
      ...Array.from({ length: 300 }, (_, index) => ({ type: 'agentChunk', chatId, chunk: `${index} ` })),
      { type: 'messageComplete', chatId, message },
    ])
    await Promise.all(run.map((event) => queue.enqueue(event)))
    await live.end()
    assert.equal(live.outcome, 'complete')
    assert.deepEqual(live.events, JSON.parse(JSON.stringify(run)))
    checkChat(live, [{ reader: await new ChatReader(chatId).end() }])
    await queue.enqueue({ type: 'agentChunk', chatId, chunk: 'again' })
    await queue.cleanup()
    const again = await new ChatReader(chatId).end()
    assert.deepEqual([again.outcome, again.pieces], ['complete', ['again']])
    await queue.cleanup()
  })

  test('a queue gathers events for as long as it is told, and no more of them than it is told', async () => {
    const chatId = newChat()
    const queue = chats.createStreamQueue(chatId, { batchTimeMs: 60_000, maxBatchSize: 10 })
    const reader = new ChatReader(chatId)
    const write = (/** @type {number} */ index) =>
      queue.enqueue({ type: 'agentChunk', chatId, chunk: String(index) })
    for (let index = 1; index < 10; index++) await write(index)
    assert.equal((await other().status(chatId))?.lastSeq, 0, 'nothing has left')
    await write(10)
    await reader.has(10)
    await write(11)
    const began = performance.now()
    await queue.cleanup()
    assert.ok(performance.now() - began < 5000)
    assert.equal((await reader.end()).pieces.length, 11)
    checkChat(reader)
  })

  test('checklist 2: after a stop a queue takes closing words and nothing else', async () => {
    const chatId = newChat()
    const queue = chats.createStreamQueue(chatId)
    const event = /** @type {const} */ ({ type: 'agentChunk', chatId, chunk: 'one' })
    await queue.enqueue(event)
    const reader = new ChatReader(chatId)
    assert.equal(await chats.stopMessageChunkStream(chatId, 'enough'), true)
    await until(() => queue.signal.aborted)
    await assert.rejects(queue.enqueue(event), { code: 'ERR_STOPPED', reason: 'enough' })
    await queue.enqueue({ type: 'messageComplete', chatId })
    await assert.rejects(queue.enqueue({ type: 'messageComplete', chatId }), { code: 'ERR_STOPPED' })
    await queue.cleanup()
    assert.deepEqual([(await reader.end()).outcome, reader.events.length], ['stopped', 2])
    checkChat(reader)

    const controller = new AbortController()
    const own = chats.createStreamQueue(chatId, { signal: controller.signal })
    await own.enqueue(event)
    controller.abort(new Error('the user has left'))
    await assert.rejects(own.enqueue(event), /the user has left/)
    await own.cleanup()
    const { outcome, subscription } = await new ChatReader(chatId).end()
    assert.deepEqual([outcome, subscription.reason], ['stopped', 'the user has left'])
  })

  test('checklist 22: one schema for all events, on write and on read; unknown types pass', async () => {
    const chatId = newChat()
    const schema = defineEvents({
      agentChunk: z.object({ chatId: z.string(), chunk: z.string().max(5) }),
      messageComplete: z.object({ chatId: z.string() }),
    })
    const queue = chats.createStreamQueue(chatId, { schema })
    await queue.enqueue({ type: 'agentChunk', chatId, chunk: 'short' })
    const long = /** @type {const} */ ({ type: 'agentChunk', chatId, chunk: 'too long' })
    await assert.rejects(queue.enqueue(long), { code: 'ERR_SCHEMA', path: 'chunk' })
    await queue.cleanup()

    const open = chats.createStreamQueue(chatId, { schema: false })
    const future = /** @type {any} */ ({ type: 'toolCall', chatId, tool: { name: 'search' } })
    for (const event of [future, long, { type: 'messageComplete', chatId }]) await open.enqueue(event)
    const read = async (/** @type {import('tidemark/message-stream').SubscribeOptions} */ options) =>
      new ChatReader(chatId, options).end()
    assert.deepEqual((await read({})).events, [future, long, { type: 'messageComplete', chatId }])
    assert.deepEqual((await read({ schema, validate: 'drop' })).events, [
      future,
      { type: 'messageComplete', chatId },
    ])
    const strict = await read({ schema, validate: 'strict' })
    assert.deepEqual([strict.events, strict.error.code, strict.error.path], [[future], 'ERR_SCHEMA', 'chunk'])
    await assert.rejects(
      chats.startMessageChunkStream(dataOf(newChat()), { schema: rejecting(), onError: () => {} }).finished,
      { code: 'ERR_SCHEMA', path: 'chunk' },
    )
  })
})

/** A schema that the built-in text does not fit. */
function rejecting() {
  return defineEvents({ aiMessageChunk: z.object({ chunk: z.literal('nothing') }) })
}

test('a batched queue hands over by size, by time and at its end, and tells of every failure', async () => {
  /** @type {number[][]} */
  const batches = []
  const queue = chats.createBatchedQueue({ batchTimeMs: 20, maxBatchSize: 3 }, (items) => {
    if (items.includes(13)) throw new Error('unlucky')
    batches.push(items)
  })
  await Promise.all([1, 2, 3, 4].map((item) => queue.add(item)))
  assert.deepEqual(batches, [[1, 2, 3], [4]])
  queue.add(5)
  await queue.flush()
  const unlucky = queue.add(13)
  await assert.rejects(queue.flush(), /unlucky/)
  await assert.rejects(unlucky, /unlucky/)
  await queue.flush()
  queue.add(6)
  await queue.destroy()
  assert.deepEqual(batches.slice(2), [[5], [6]])
  await assert.rejects(queue.add(7), { code: 'ERR_INVALID_ARGUMENT' })
})
