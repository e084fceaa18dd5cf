// tidemark/message-stream: runs, from the question to the end of the answer, on both stores.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as chats from 'tidemark/message-stream'
import { ChatReader, checkChat, dataOf, endlessModel, newChat, useChats } from '../support/messages.mjs'
import { eachStore } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

/** @typedef {import('tidemark/message-stream').MessageChunkStreamData} Data */

const ID = /^msg-[0-7][0-9A-HJKMNP-TV-Z]{25}$/

eachStore('message-stream runs', (store) => {
  const other = useChats(store)

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
      (chatId) => other().stop(chatId, 'enough'),
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
})

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
