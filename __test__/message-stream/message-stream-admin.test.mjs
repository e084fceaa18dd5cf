// tidemark/message-stream: how long chats are kept, metrics, and clean-up, on both stores.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as chats from 'tidemark/message-stream'
import { ChatReader, checkChat, dataOf, newChat, useChats } from '../support/messages.mjs'
import { eachStore } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

eachStore('message-stream admin', (store) => {
  const other = useChats(store)

  test('checklist 17: the time to live comes from the environment, or from an option', async () => {
    process.env.TIDEMARK_TTL_ACTIVE_SECONDS = '120'
    process.env.TIDEMARK_TTL_DONE_SECONDS = '90'
    await chats.cleanup()
    try {
      const ttl = async (/** @type {string} */ chatId) =>
        (await chats.getMessageChunkStreamMetrics(chatId))?.ttlSeconds ?? 0
      const [one, two, three] = [newChat(), newChat(), newChat()]
      await chats.startMessageChunkStream(dataOf(one)).finished
      assert.ok((await ttl(one)) > 80 && (await ttl(one)) <= 90)
      await chats.startMessageChunkStream(dataOf(two), { ttlSeconds: 50 }).finished
      assert.ok((await ttl(two)) > 40 && (await ttl(two)) <= 50)
      const queue = chats.createStreamQueue(three, { expireAfterSeconds: 70 })
      await queue.enqueue({ type: 'agentChunk', chatId: three, chunk: 'one' })
      assert.ok((await ttl(three)) > 60 && (await ttl(three)) <= 70)
      await queue.cleanup()
    } finally {
      delete process.env.TIDEMARK_TTL_ACTIVE_SECONDS
      delete process.env.TIDEMARK_TTL_DONE_SECONDS
      await chats.cleanup()
    }
  })

  test('checklist 10, 11: metrics of one chat and of all, and cleaning what is not being written', async () => {
    await chats.cleanupAllInactiveMessageChunkStreams({ force: true })
    await chats.cleanup()
    assert.deepEqual(await chats.getAllMessageChunkStreamMetrics(), {
      totalChats: 0,
      chats: [],
      activeStreams: 0,
      resumeHits: 0,
      resumeMisses: 0,
      resumeHitRatio: null,
    })
    assert.equal(await chats.getMessageChunkStreamMetrics('unknown'), null)
    const [done, live] = ['{done} 100%', newChat()]
    await chats.startMessageChunkStream(dataOf(done, { maxChunks: 3 })).finished
    const queue = chats.createStreamQueue(live)
    await queue.enqueue({ type: 'agentChunk', chatId: live, chunk: 'one' })
    await until(async () => (await other().status(live))?.lastSeq)

    const metrics = await chats.getMessageChunkStreamMetrics(done)
    assert.ok(metrics)
    const {
      oldestTimestamp,
      newestTimestamp,
      ageSeconds,
      totalBytes,
      averageEventBytes,
      memoryBytes,
      ...rest
    } = metrics
    const [first, last] = [metrics.firstMessageId, metrics.lastMessageId]
    assert.deepEqual(rest, {
      chatId: done,
      totalEvents: 6,
      totalMessages: 6,
      isCompleted: true,
      ttlSeconds: 3600,
      streamKey: '{message-stream:%7Bdone%7D 100%25}:meta',
      channelKey: '{message-stream:%7Bdone%7D 100%25}:live',
      firstMessageId: first,
      lastMessageId: last,
      state: 'complete',
    })
    assert.match(String(first), /^[0-9A-Z]{26}\.1$/)
    assert.equal(last, String(first).replace(/1$/, '6'))
    for (const time of [oldestTimestamp, newestTimestamp]) {
      assert.ok(Math.abs(Date.now() - Date.parse(String(time))) < 60_000)
    }
    assert.ok(ageSeconds !== null && ageSeconds < 60)
    assert.ok(totalBytes && totalBytes > 500 && averageEventBytes === totalBytes / 6)
    assert.ok(memoryBytes && memoryBytes > 100, `${memoryBytes} bytes of memory`)
    if (store.kind === 'redis') assert.equal(await store.redis.admin.cmd('TYPE', rest.streamKey), 'hash')

    await new ChatReader(done, { from: String(first) }).end()
    const all = await chats.getAllMessageChunkStreamMetrics()
    assert.equal(all.resumeHits + all.resumeMisses, 1)
    assert.equal(all.resumeHitRatio, all.resumeHits)
    assert.deepEqual([all.totalChats, all.activeStreams], [2, 1])
    assert.deepEqual(all.chats.map(({ chatId }) => chatId).sort(), [live, done].sort())
    const active = await chats.getActiveMessageChunkStreams()
    assert.deepEqual(
      active.sort((a, b) => (a.chatId < b.chatId ? -1 : 1)),
      [live, done].sort().map((chatId) => ({
        streamId: chatId,
        chatId,
        jobId: `{message-stream:${chatId === done ? '%7Bdone%7D 100%25' : chatId}}:meta`,
      })),
    )

    assert.deepEqual(await chats.cleanupInactiveMessageChunkStreams(live), { chatId: live, removedKeys: 0 })
    const cleaned = await chats.cleanupAllInactiveMessageChunkStreams()
    assert.deepEqual([cleaned.totalChats, cleaned.totalRemoved], [2, 1])
    assert.deepEqual(cleaned.details.find(({ chatId }) => chatId === done)?.removedKeys, 1)
    assert.equal(queue.signal.aborted, false, 'what is live stays')
    assert.deepEqual(await chats.cleanupInactiveMessageChunkStreams(live, { force: true }), {
      chatId: live,
      removedKeys: 1,
    })
    assert.deepEqual(await chats.getActiveMessageChunkStreams(), [])
    await until(() => queue.signal.aborted)
  })

  test('after cleanup the module can be used again', async () => {
    await chats.cleanup()
    await chats.cleanup()
    const chatId = newChat()
    assert.equal(await chats.startMessageChunkStream(dataOf(chatId)).finished, 'complete')
    checkChat(await new ChatReader(chatId).end())
  })
})
