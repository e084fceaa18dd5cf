// tidemark/message-stream: the names of the backend that it replaces, on both stores.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import * as chats from 'tidemark/message-stream'
import { defineEvents } from 'tidemark/schema'
import * as z from 'zod'
import { ChatReader, checkChat } from '../support/messages.mjs'
import { eachStore } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

/** @typedef {import('tidemark/message-stream').MessageChunkStreamData} Data */

const ID = /^msg-[0-7][0-9A-HJKMNP-TV-Z]{25}$/
let count = 0
const newChat = () => `chat ${++count}`

/** @param {string} chatId @param {Partial<Data>} [more] @returns {Data} */
const dataOf = (chatId, more) => ({ chatId, userContent: 'Hello', type: 'demo', intervalMs: 0, ...more })

/** A model that says one word after the other, for as long as it is let. */
function endlessModel() {
  const model = {
    said: /** @type {string[]} */ ([]),
    isLeft: false,
    async *words() {
      try {
        for (let index = 0; ; index++) {
          const word = `word${index} `
          model.said.push(word)
          yield word
          await sleep(2)
        }
      } finally {
        model.isLeft = true
      }
    },
  }
  return model
}

eachStore('message-stream', (store) => {
  /** Another server. @type {import('tidemark').Engine} */
  let other

  before(() => {
    process.env.TIDEMARK_URL = store.url
    other = createEngine({ url: store.url, keyPrefix: 'message-stream' })
  })
  after(async () => {
    await chats.cleanup()
    await other.close()
    delete process.env.TIDEMARK_URL
  })

  test('a run writes the question, the pieces of the answer and the whole of it, and returns before that', async () => {
    const chatId = newChat()
    const live = new ChatReader(chatId)
    const run = chats.startMessageChunkStream(dataOf(chatId, { intervalMs: 2, maxChunks: 7 }))
    assert.equal(await run, chatId)
    assert.ok(live.events.length < 3, 'it has only begun')
    assert.equal(await run.finished, 'complete')
    await live.end()
    const [question, start, ...rest] = live.events
    const complete = rest.pop()
    const text = chats.generateContent('demo', 'Hello')
    assert.deepEqual(
      [question?.type, question?.message?.content, question?.message?.from],
      ['userMessage', 'Hello', 'user'],
    )
    assert.equal(start?.type, 'aiMessageStart')
    assert.deepEqual(
      rest.map(({ type, chunk, chunkId, chatId, messageId }) => ({
        type,
        chunk,
        chunkId,
        chatId,
        messageId,
      })),
      chats.splitIntoChunks(text, 7).map((chunk, index) => ({
        type: 'aiMessageChunk',
        chunk,
        chunkId: `chunk-${index + 1}`,
        chatId,
        messageId: start?.messageId,
      })),
    )
    assert.deepEqual([complete?.type, complete?.message?.content], ['aiMessageComplete', text])
    assert.deepEqual(Object.keys(rest[0] ?? {}).sort(), ['chatId', 'chunk', 'chunkId', 'messageId', 'type'])
    const createdAt = complete?.message?.createdAt
    assert.equal(new Date(/** @type {string} */ (createdAt)).toISOString(), createdAt, 'ISO text')
    const late = await new ChatReader(chatId).end()
    checkChat(live, [{ reader: late }])
    assert.equal(late.outcome, 'complete')
  })

  test('checklist 14: the ids that are made are ULIDs with the old prefixes, in the order of their making', async () => {
    const ids = []
    for (let index = 0; index < 3; index++) {
      const data = /** @type {Data} */ ({ ...dataOf(''), chatId: undefined })
      const chatId = await chats.startMessageChunkStream(data)
      assert.match(chatId, /^chat-[0-7][0-9A-HJKMNP-TV-Z]{25}$/)
      const { events } = await new ChatReader(chatId).end()
      for (const id of new Set(events.map((event) => event.message?.id ?? event.messageId)))
        ids.push(String(id))
    }
    assert.equal(ids.length, 6)
    for (const id of ids) assert.match(id, ID)
    assert.deepEqual([...ids].sort(), ids)
  })

  test('checklist 3: whoever comes back with the cursor gets nothing twice, and whoever reloads everything once', async () => {
    const chatId = newChat()
    const model = endlessModel()
    const run = chats.startMessageChunkStream(dataOf(chatId), { source: model.words() })
    const whole = new ChatReader(chatId)
    const left = await new ChatReader(chatId, {}, (_, { events }) => events.length < 5).end()
    assert.equal(left.outcome, 'left')
    await whole.has(12)
    const back = new ChatReader(chatId, { from: left.subscription.cursor })
    const reloaded = new ChatReader(chatId)
    await back.has(9)
    await chats.stopMessageChunkStream(chatId)
    assert.equal(await run.finished, 'stopped')
    for (const reader of [whole, back, reloaded]) await reader.end()
    checkChat(whole, [{ reader: left }, { reader: back, skipped: 5 }, { reader: reloaded }])
  })

  test('checklist 2: a stop ends the producer loop early; the complete event has the text so far', async () => {
    const stops = /** @type {((chatId: string) => Promise<unknown>)[]} */ ([
      (chatId) => chats.stopMessageChunkStream(chatId, 'enough'),
      (chatId) => other.stop(chatId, 'enough'),
    ])
    for (const stop of stops) {
      const chatId = newChat()
      const model = endlessModel()
      const data = dataOf(chatId)
      const run = chats.startMessageChunkStream(data, { source: model.words() })
      const reader = new ChatReader(chatId)
      await reader.has(8)
      assert.ok(await stop(chatId))
      assert.equal(await run.finished, 'stopped')
      await until(() => model.isLeft, { message: 'the model is told' })
      await reader.end()
      assert.deepEqual([reader.outcome, reader.subscription.reason], ['stopped', 'enough'])
      const last = reader.events.at(-1)
      assert.equal(last?.type, 'aiMessageComplete')
      assert.equal(last?.message?.content, reader.pieces.join(''))
      assert.deepEqual(reader.pieces, model.said.slice(0, reader.pieces.length))
      assert.ok(model.said.length - reader.pieces.length <= 1)
      assert.ok(Math.abs(Date.now() - Date.parse(data.stoppedAt ?? '')) < 10_000, 'stoppedAt')
      checkChat(reader, [{ reader: await new ChatReader(chatId).end() }])
    }
  })

  test('checklist 2: a stop that comes before the start is kept for it, and for it alone', async () => {
    const chatId = newChat()
    assert.equal(await chats.stopMessageChunkStream(chatId, 'changed my mind'), true)
    const model = endlessModel()
    const data = Object.freeze(dataOf(chatId))
    const run = chats.startMessageChunkStream(data, { source: () => model.words() })
    assert.equal(await run.finished, 'stopped')
    assert.deepEqual(model.said, [], 'the model was not asked')
    const stopped = await new ChatReader(chatId).end()
    assert.deepEqual(
      stopped.events.map(({ type }) => type),
      ['userMessage', 'aiMessageStart', 'aiMessageComplete'],
    )
    assert.deepEqual([stopped.outcome, stopped.subscription.reason], ['stopped', 'changed my mind'])
    assert.equal(await chats.startMessageChunkStream(dataOf(chatId)).finished, 'complete')
    assert.equal(await chats.stopMessageChunkStream(chatId), false, 'too late')
    const next = await new ChatReader(chatId).end()
    assert.equal(next.outcome, 'complete')
    checkChat(next)
  })

  test('checklist 12: shouldStop stops a run, from its start or at its next piece; stoppedAt is filled in', async () => {
    const early = dataOf(newChat(), { shouldStop: true })
    assert.equal(await chats.startMessageChunkStream(early).finished, 'stopped')
    assert.ok(early.stoppedAt)
    const { events } = await new ChatReader(early.chatId).end()
    assert.deepEqual([events.length, events.at(-1)?.message?.content], [3, ''])

    const later = dataOf(newChat())
    const model = endlessModel()
    const run = chats.startMessageChunkStream(later, { source: model.words() })
    const reader = new ChatReader(later.chatId)
    await reader.has(6)
    assert.equal(later.stoppedAt, undefined)
    later.shouldStop = true
    assert.equal(await run.finished, 'stopped')
    await reader.end()
    assert.ok(later.stoppedAt)
    checkChat(reader)
  })

  test('a run reads a model in any form, and its signal stops it', async () => {
    const pieces = ['one ', '', 'two ', 'three']
    const sources = /** @type {import('tidemark/message-stream').MessageSource[]} */ ([
      (async function* () {
        yield* pieces
      })(),
      ReadableStream.from(pieces),
      (signal) => {
        assert.equal(signal.aborted, false)
        return ReadableStream.from(pieces)
      },
    ])
    for (const source of sources) {
      const chatId = newChat()
      assert.equal(await chats.startMessageChunkStream(dataOf(chatId), { source }).finished, 'complete')
      const reader = await new ChatReader(chatId).end()
      assert.deepEqual(reader.pieces, ['one ', 'two ', 'three'])
      assert.equal(reader.events.at(-1)?.message?.content, 'one two three')
      checkChat(reader)
    }
    for (const isAborted of [false, true]) {
      const chatId = newChat()
      const controller = new AbortController()
      const model = endlessModel()
      if (isAborted) controller.abort(new Error('gone'))
      const run = chats.startMessageChunkStream(dataOf(chatId), {
        source: model.words,
        signal: controller.signal,
      })
      const reader = new ChatReader(chatId)
      if (!isAborted) {
        await reader.has(6)
        controller.abort(new Error('gone'))
      }
      assert.equal(await run.finished, 'stopped')
      await reader.end()
      assert.equal(reader.subscription.reason, 'gone')
      checkChat(reader)
    }
  })

  test('a failure in the background reaches the readers, onError and the handle', async () => {
    const chatId = newChat()
    const failure = new Error('the model is out of words')
    /** @type {unknown[]} */
    const told = []
    const source = (async function* () {
      yield 'one '
      throw failure
    })()
    const run = chats.startMessageChunkStream(dataOf(chatId), {
      source,
      onError: (error) => told.push(error),
    })
    assert.equal(await run, chatId)
    await assert.rejects(run.finished, failure)
    assert.deepEqual(told, [failure])
    const reader = await new ChatReader(chatId).end()
    assert.deepEqual(
      [reader.outcome, reader.error.code, reader.error.reason],
      ['failed', 'ERR_FAILED', failure.message],
    )
    assert.deepEqual(reader.pieces, ['one '])

    // Whoever owns the chat keeps it, and a source that nobody will read is told so.
    const owned = newChat()
    await chats.startMessageChunkStream(dataOf(owned), { owner: 'ann' }).finished
    let isCancelled = false
    const unread = new ReadableStream({
      cancel() {
        isCancelled = true
      },
    })
    const refused = chats.startMessageChunkStream(dataOf(owned), { source: unread, onError: () => {} })
    await assert.rejects(refused.finished, { code: 'ERR_FORBIDDEN' })
    await until(() => isCancelled)

    const numbers = ReadableStream.from([1, 2])
    const strange = chats.startMessageChunkStream(dataOf(newChat()), {
      source: /** @type {any} */ (numbers),
      onError: () => {},
    })
    await assert.rejects(strange.finished, { code: 'ERR_INVALID_ARGUMENT', field: 'options.source' })

    const warned = new Promise((resolve) => process.once('warning', resolve))
    const silent = chats.startMessageChunkStream(dataOf(newChat()), {
      source: () => {
        throw failure
      },
    })
    await assert.rejects(silent.finished, failure)
    assert.equal(await warned, failure, 'without onError it is a warning')
  })

  test('a new run in the same chat takes it over', async () => {
    const chatId = newChat()
    const model = endlessModel()
    /** @type {any[]} */
    const told = []
    const first = chats.startMessageChunkStream(dataOf(chatId), {
      source: model.words(),
      onError: (error) => told.push(error.code),
    })
    const reader = new ChatReader(chatId)
    await reader.has(5)
    const second = chats.startMessageChunkStream(dataOf(chatId))
    await assert.rejects(first.finished, { code: 'ERR_FENCED' })
    assert.deepEqual(told, ['ERR_FENCED'])
    await reader.end()
    assert.deepEqual([reader.outcome, reader.error.reason], ['interrupted', 'superseded'])
    assert.equal(await second.finished, 'complete')
    await until(() => model.isLeft)
    checkChat(await new ChatReader(chatId).end())
  })

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
    await other.delete(chatId)
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
    assert.equal((await other.status(chatId))?.lastSeq, 0, 'nothing has left')
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
    await until(async () => (await other.status(live))?.lastSeq)

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

  test('after cleanup the module can be used again', async () => {
    await chats.cleanup()
    await chats.cleanup()
    const chatId = newChat()
    assert.equal(await chats.startMessageChunkStream(dataOf(chatId)).finished, 'complete')
    checkChat(await new ChatReader(chatId).end())
  })
})

/** A schema that the built-in text does not fit. */
function rejecting() {
  return defineEvents({ aiMessageChunk: z.object({ chunk: z.literal('nothing') }) })
}

test('what cannot be is refused at the door', async () => {
  const data = dataOf('chat')
  const refused = /** @type {[string, any, any?][]} */ ([
    ['data', null],
    ['data.chatId', { ...data, chatId: '' }],
    ['data.userContent', { ...data, userContent: 5 }],
    ['data.type', { ...data, type: 'other' }],
    ['data.intervalMs', { ...data, intervalMs: -1 }],
    ['data.maxChunks', { ...data, maxChunks: 0 }],
    ['options.source', data, { source: 'text' }],
    ['options.ttlSeconds', data, { ttlSeconds: 0 }],
    ['options.schema', data, { schema: true }],
    ['options.signal', data, { signal: {} }],
    ['options.onError', data, { onError: 'log' }],
    ['options.ttl', data, { ttl: 5 }],
  ])
  for (const [field, given, options] of refused) {
    const run = chats.startMessageChunkStream(given, options)
    await assert.rejects(run, { code: 'ERR_INVALID_ARGUMENT', field }, field)
    await assert.rejects(run.finished, { field })
  }
  for (const options of /** @type {any[]} */ ([
    { from: 5 },
    { fromTimestamp: 'soon' },
    { validate: true },
    { userId: '' },
  ])) {
    const field = `options.${Object.keys(options)[0]}`
    assert.throws(() => chats.subscribeToMessageChunkStream('chat', options), { field })
  }
  assert.throws(() => chats.createStreamQueue('chat', { batchTimeMs: -1 }), { field: 'options.batchTimeMs' })
  assert.throws(() => chats.createStreamQueue(''), { field: 'chatId' })
  await assert.rejects(chats.stopMessageChunkStream(''), { field: 'chatId' })
  await assert.rejects(chats.cleanupAllInactiveMessageChunkStreams(/** @type {any} */ ({ force: 1 })), {
    field: 'options.force',
  })
})

test('texts are cut at spaces, into no more pieces than asked for', () => {
  const text = chats.generateContent('conversation', 'tides')
  assert.match(text, /tides/)
  assert.notEqual(chats.generateContent('ai', 'tides'), text)
  for (const content of [text, '', ' ', 'word', '  two  words  ', 'a\nb\n\nc', '😀 '.repeat(40)]) {
    for (const n of [1, 2, 7, 1000]) {
      const pieces = chats.splitIntoChunks(content, n)
      assert.equal(pieces.join(''), content)
      assert.ok(pieces.length <= n)
      for (const piece of pieces.slice(1)) assert.match(piece, /^\s/)
    }
  }
  assert.equal(chats.splitIntoChunks(text, 10).length, 10)
})

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
