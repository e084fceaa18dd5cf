// tidemark/message-stream where the backend that it replaces has been, or still is.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { createEngine } from 'tidemark'
import * as chats from 'tidemark/message-stream'
import { ChatReader, checkChat } from '../support/messages.mjs'
import { OldSetWriter, OldStreamWriter, oldKeys, oldStop } from '../support/predecessor.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

/** @typedef {import('tidemark/message-stream').StreamMessage} StreamMessage */

/** Both generations of what it leaves behind. */
const writers = { 'a sorted set': OldSetWriter, 'a stream': OldStreamWriter }
let count = 0
const newChatOf = (/** @type {string} */ name) => `${name} ${++count}`

/** @param {string} chatId @param {number} pieces @returns {StreamMessage[]} */
function oldRun(chatId, pieces) {
  const createdAt = new Date('2026-01-02T03:04:05.678Z')
  return [
    {
      type: 'userMessage',
      chatId,
      message: { id: 'msg-1', chatId, createdAt, content: 'Hello', from: 'user' },
    },
    ...Array.from({ length: pieces }, (_, index) => ({
      type: /** @type {const} */ ('aiMessageChunk'),
      chatId,
      messageId: 'msg-2',
      chunk: `piece ${index} `,
      chunkId: `chunk-${index + 1}`,
    })),
    { type: 'aiMessageComplete', chatId, message: { id: 'msg-2', chatId, createdAt, content: 'all of it' } },
  ]
}

/** A model that never comes to an end. */
async function* endless() {
  for (;;) {
    yield 'word '
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

describe('message-stream, upgrading in place', () => {
  /** @type {import('../support/redis-server.mjs').RedisServer} */
  let redis
  /** @type {import('tidemark').Engine} */
  let engine

  before(async () => {
    redis = await sharedRedis()
    process.env.TIDEMARK_URL = redis.url
    engine = createEngine({ url: redis.url, keyPrefix: 'message-stream' })
  })
  afterEach(() => chats.cleanupAllInactiveMessageChunkStreams({ force: true }))
  after(async () => {
    await chats.cleanup()
    await engine.close()
    delete process.env.TIDEMARK_URL
  })

  const newChat = () => newChatOf('old')
  const start = (/** @type {string} */ chatId, /** @type {chats.StartOptions} */ options) =>
    chats.startMessageChunkStream({ chatId, userContent: 'Hello', type: 'ai', intervalMs: 0 }, options)

  for (const [name, Writer] of Object.entries(writers)) {
    test(`a chat that has only ${name} is replayed from it`, async () => {
      const chatId = newChat()
      const writer = new Writer(redis.admin, chatId)
      const events = oldRun(chatId, 250)
      for (const event of events) await writer.write(event)
      const reader = await new ChatReader(chatId).end()
      assert.equal(reader.outcome, 'complete')
      // As it was delivered: ISO text out of JSON, dates out of superjson.
      const expected = Writer === OldSetWriter ? JSON.parse(JSON.stringify(events)) : events
      assert.deepEqual(reader.events, expected)
      checkChat(reader, [{ reader: await new ChatReader(chatId).end() }])
    })

    test(`${name} that an old server is still writing is followed to its end`, async () => {
      const chatId = newChat()
      const writer = new Writer(redis.admin, chatId)
      const events = oldRun(chatId, 4)
      for (const event of events.slice(0, 3)) await writer.write(event)
      const reader = new ChatReader(chatId)
      await reader.has(3)
      for (const event of events.slice(3)) await writer.write(event)
      await reader.end()
      assert.deepEqual([reader.outcome, reader.events.length], ['complete', events.length])
      checkChat(reader)
    })

    test(`${name} whose server has died ends its readers as interrupted, and a new run goes on here`, async () => {
      const chatId = newChat()
      const writer = new Writer(redis.admin, chatId)
      for (const event of oldRun(chatId, 4).slice(0, 3)) await writer.write(event)
      const reader = await new ChatReader(chatId, { wait: 100 }).end()
      assert.deepEqual([reader.outcome, reader.error.code], ['interrupted', 'ERR_INTERRUPTED'])
      assert.equal(reader.events.length, 3)
      const moved = new ChatReader(chatId)
      await moved.has(3)
      assert.equal(await start(chatId, {}).finished, 'complete')
      await moved.end()
      assert.equal(moved.outcome, 'complete')
      const fresh = await new ChatReader(chatId).end()
      assert.deepEqual(moved.events.slice(3), fresh.events)
      checkChat(fresh)
    })

    test(`checklist 10: ${name} is listed, measured and cleaned, without KEYS and in bounded commands`, async () => {
      const [done, live] = [newChat(), newChat()]
      const events = oldRun(done, 250)
      const writer = new Writer(redis.admin, done)
      for (const event of events) await writer.write(event)
      await new Writer(redis.admin, live).write(/** @type {StreamMessage} */ (oldRun(live, 0)[0]))
      await oldStop(redis.admin, done)
      for (let index = 0; index < 2000; index++) await redis.admin.cmd('SET', `foreign:${index}`, 1)

      /** @type {string[][]} */
      const commands = []
      const end = await redis.admin.monitor(({ args }) => void commands.push(args))
      const metrics = await chats.getMessageChunkStreamMetrics(done)
      const active = await chats.getActiveMessageChunkStreams()
      const kept = await chats.cleanupInactiveMessageChunkStreams(live)
      const all = await chats.cleanupAllInactiveMessageChunkStreams()
      await redis.admin.cmd('ECHO', 'the last one')
      await until(() => commands.some(([, word]) => word === 'the last one'))
      end()

      assert.ok(metrics)
      assert.deepEqual(
        [metrics.totalEvents, metrics.totalMessages, metrics.isCompleted, metrics.state],
        [events.length, events.length, true, null],
      )
      assert.ok(metrics.ttlSeconds > 3500 && metrics.ttlSeconds <= 3600)
      assert.equal(metrics.streamKey, `message-stream-${done}:stream`)
      if (Writer === OldStreamWriter) {
        assert.ok(Math.abs(Date.now() - Date.parse(String(metrics.oldestTimestamp))) < 60_000)
        assert.ok(metrics.ageSeconds !== null && metrics.ageSeconds < 60)
      }
      assert.deepEqual(active.map(({ chatId }) => chatId).sort(), [done, live].sort())
      assert.ok(active.some(({ jobId }) => jobId === `message-stream-${done}:stream`))
      assert.deepEqual(kept, { chatId: live, removedKeys: 0 }, 'it may still be written')
      const copies = Writer === OldSetWriter ? events.length : 0
      assert.equal(all.totalRemoved, copies + 2)
      assert.deepEqual(await oldKeys(redis.admin, done), [])
      assert.notDeepEqual(await oldKeys(redis.admin, live), [])
      assert.equal(
        (await chats.cleanupInactiveMessageChunkStreams(live, { force: true })).removedKeys > 0,
        true,
      )
      assert.deepEqual(await oldKeys(redis.admin, live), [])

      const named = (/** @type {string} */ name) =>
        commands.filter(([command]) => command?.toUpperCase() === name)
      assert.deepEqual(named('KEYS'), [])
      assert.ok(named('SCAN').length >= 4, 'pages')
      for (const args of named('SCAN')) assert.ok(Number(args.at(-1)) <= 1000)
      for (const args of named('UNLINK')) assert.ok(args.length <= 101)
      const pages = commands.filter(([, key]) => key === `message-stream-${done}:stream`)
      assert.ok(pages.length > 0)
      for (const [command, , from, to, ...rest] of pages) {
        if (command === 'ZRANGE') assert.ok(Number(to) - Number(from) < 100)
        else if (command?.endsWith('RANGE')) assert.ok(Number(rest[1]) <= 100, `${command} ${rest}`)
      }
      for (let index = 0; index < 2000; index++) await redis.admin.cmd('DEL', `foreign:${index}`)
    })
  }

  test('an old stream is read from a time on', async () => {
    const chatId = newChat()
    const writer = new OldStreamWriter(redis.admin, chatId)
    const events = oldRun(chatId, 3)
    for (const [index, event] of events.entries()) await writer.write(event, `${1_700_000_000_000 + index}-0`)
    const fromTimestamp = new Date(1_700_000_000_002).toISOString()
    const reader = await new ChatReader(chatId, { fromTimestamp }).end()
    assert.deepEqual(reader.events, events.slice(2))
    assert.deepEqual(
      (await chats.getActiveMessageChunkStreams()).map(({ chatId }) => chatId),
      [chatId],
    )
    // Its last entry is years old.
    assert.equal((await chats.cleanupInactiveMessageChunkStreams(chatId)).removedKeys, 1)
  })

  test('checklist 2: the stop flag of an old server stops a run here, and no other', async () => {
    for (const isEarly of [true, false]) {
      const chatId = newChat()
      if (isEarly) await oldStop(redis.admin, chatId)
      const run = start(chatId, { source: endless })
      const reader = new ChatReader(chatId)
      if (!isEarly) {
        await reader.has(5)
        await oldStop(redis.admin, chatId)
      }
      assert.equal(await run.finished, 'stopped')
      await reader.end()
      assert.equal(reader.outcome, 'stopped')
      assert.equal(reader.events.at(-1)?.message?.content, reader.pieces.join(''))
      assert.equal(reader.events.length > 4, !isEarly)
      assert.deepEqual(await oldKeys(redis.admin, chatId), [], 'it has been obeyed')
      assert.equal(await start(chatId, {}).finished, 'complete')
      checkChat(reader)
    }
  })

  test('checklist 2: a stop here raises the flag for a chat that an old server may be running', async () => {
    const chatId = newChat()
    await new OldSetWriter(redis.admin, chatId).write(/** @type {StreamMessage} */ (oldRun(chatId, 0)[0]))
    assert.equal(await chats.stopMessageChunkStream(chatId), true)
    assert.equal(await redis.admin.cmd('GET', `stop-stream:${chatId}`), '1')
    const ttl = await redis.admin.cmd('TTL', `stop-stream:${chatId}`)
    assert.ok(ttl > 290 && ttl <= 300)
    assert.equal(await start(chatId, {}).finished, 'stopped', 'a start here is stopped too')
    assert.equal(await redis.admin.cmd('EXISTS', `stop-stream:${chatId}`), 0)
    const kept = newChat()
    await chats.stopMessageChunkStream(kept)
    const left = await redis.admin.cmd('PTTL', `{message-stream:${kept}}:meta`)
    assert.ok(left > 290_000 && left <= 300_000, 'for five minutes')
  })

  test('G10 a stranger’s stop that is kept does not stop a run here by way of the flag', async () => {
    const chatId = newChat()
    assert.equal(await chats.stopMessageChunkStream(chatId, 'not yours', { owner: 'mallory' }), true)
    assert.equal(await redis.admin.cmd('EXISTS', `stop-stream:${chatId}`), 0)
    const run = chats.startMessageChunkStream(
      { chatId, userContent: 'Hello', type: 'demo', intervalMs: 0 },
      { owner: 'alice' },
    )
    assert.equal(await run.finished, 'complete')
  })

  test('where the old backend is said to be gone, nobody looks for it', async () => {
    process.env.TIDEMARK_PREDECESSOR = 'off'
    try {
      const chatId = newChat()
      await new OldSetWriter(redis.admin, chatId).write(/** @type {StreamMessage} */ (oldRun(chatId, 0)[0]))
      await oldStop(redis.admin, chatId)
      /** @type {string[][]} */
      const commands = []
      const end = await redis.admin.monitor(({ args }) => void commands.push(args))
      assert.deepEqual(await chats.getActiveMessageChunkStreams(), [])
      await assert.rejects(chats.subscribeToMessageChunkStream(chatId, { wait: 0 }).next(), {
        code: 'ERR_NOT_FOUND',
      })
      assert.equal(await start(chatId, {}).finished, 'complete')
      assert.equal((await chats.getAllMessageChunkStreamMetrics()).totalChats, 1)
      await redis.admin.cmd('ECHO', 'the last one')
      await until(() => commands.some(([, word]) => word === 'the last one'))
      end()
      assert.deepEqual(
        commands.filter(
          (args) => args[0] === 'SCAN' || /^(message-stream-|stop-stream:)/.test(args[1] ?? ''),
        ),
        [],
      )
    } finally {
      delete process.env.TIDEMARK_PREDECESSOR
    }
  })

  test('a user who may not touch the old keys does without them', async () => {
    const rights = [
      '~{message-stream:*',
      '~message-stream:index:*',
      '&{message-stream:*',
      '&message-stream:*',
      '+@all',
    ]
    await redis.admin.cmd('ACL', 'SETUSER', 'chat', 'reset', 'on', '>sesame', ...rights)
    await chats.cleanup()
    process.env.TIDEMARK_URL = redis.adminUrl.replace('://', '://chat:sesame@')
    try {
      const chatId = newChat()
      const reader = new ChatReader(chatId)
      const run = start(chatId, { source: endless })
      await reader.has(4)
      assert.equal(await chats.stopMessageChunkStream(chatId), true)
      assert.equal(await run.finished, 'stopped')
      checkChat(await reader.end())
      assert.deepEqual(await chats.cleanupInactiveMessageChunkStreams(chatId), { chatId, removedKeys: 1 })
    } finally {
      await chats.cleanup()
      process.env.TIDEMARK_URL = redis.url
    }
  })

  test('what is not an event is left out', async () => {
    const chatId = newChat()
    const key = `message-stream-${chatId}:stream`
    await redis.admin.cmd('XADD', key, '*', 'event', 'not JSON')
    await redis.admin.cmd('XADD', key, '*', 'other', '{}')
    await redis.admin.cmd('XADD', key, '*', 'event', '{"type":"messageComplete","chatId":"c"}')
    const reader = await new ChatReader(chatId).end()
    assert.deepEqual(reader.events, [{ type: 'messageComplete', chatId: 'c' }])
    await redis.admin.cmd('DEL', key)
    await redis.admin.cmd('SET', key, 'somebody else')
    await assert.rejects(chats.subscribeToMessageChunkStream(chatId, { wait: 10 }).next(), {
      code: 'ERR_NOT_FOUND',
    })
    assert.equal(await chats.getMessageChunkStreamMetrics(chatId), null)
    assert.deepEqual(await chats.getActiveMessageChunkStreams(), [])
    await redis.admin.cmd('DEL', key)
    assert.equal(await engine.status(chatId), null)
  })
})

describe('message-stream, old events that were made up', () => {
  /** What they could reach through an object of theirs; the arrays of properties are the whole process'. */
  const shared = [Object.prototype, Array.prototype, String.prototype, Object, Function.prototype]
  const look = () => shared.map((each) => Object.entries(Object.getOwnPropertyDescriptors(each)))

  after(async () => {
    await chats.cleanup()
    delete process.env.TIDEMARK_URL
  })

  test('none of them changes what all objects inherit', async () => {
    const redis = await sharedRedis()
    process.env.TIDEMARK_URL = redis.url
    const chatId = newChatOf('made up')
    const key = `message-stream-${chatId}:stream`
    const heads = ['', 'message.', 'list.', 'list.0.', 'chunk.', 'own.']
    const tails = [
      '__proto__.isPrototypeOf',
      '__proto__.toString',
      '__proto__.__proto__.hasOwnProperty',
      'constructor.prototype.valueOf',
      'constructor.keys',
      'constructor.constructor.prototype.call',
      'toString.__proto__.apply',
      'map.name',
      'prototype.x',
    ]
    const json = {
      type: 'aiMessageChunk',
      chatId,
      chunk: 'text',
      message: { id: 'm', chatId },
      list: [{ x: 1 }],
      // A field that is called like that is the event's own.
      own: { constructor: { at: '2026-01-02T03:04:05.678Z' } },
    }
    /** @type {object[]} */
    const notes = heads.flatMap((head) =>
      tails.flatMap((tail) => [
        { [`${head}${tail}`]: ['undefined'] },
        { [`${head}${tail}`]: ['Date'] },
        // The same as a tree, whose branches are followed one by one.
        tail.split('.').reduceRight((/** @type {any} */ inner, field) => ({ [field]: inner }), ['undefined']),
        { [head.slice(0, -1) || 'message']: [['set'], { [tail]: ['undefined'] }] },
      ]),
    )
    notes.push(JSON.parse('{"__proto__":{"isPrototypeOf":["undefined"]}}'))
    notes.push({ 'own.constructor.at': ['Date'] })
    const before = look()
    for (const values of notes) {
      await redis.admin.cmd('XADD', key, '*', 'event', JSON.stringify({ json, meta: { values } }))
    }
    const end = { json: { type: 'messageComplete', chatId } }
    await redis.admin.cmd('XADD', key, '*', 'event', JSON.stringify(end))
    try {
      const reader = await new ChatReader(chatId).end()
      assert.equal(reader.events.length, notes.length + 1)
      for (const event of reader.events.slice(0, -2)) assert.deepEqual(event, json)
      const revived = /** @type {any} */ (reader.events.at(-2))
      assert.deepEqual(revived.own.constructor.at, new Date(json.own.constructor.at))
      assert.deepEqual(look(), before)
    } finally {
      // Whatever failed is told: the runner itself must not trip over it.
      for (const [index, properties] of before.entries()) {
        for (const [name, is] of properties) Object.defineProperty(shared[index] ?? {}, name, is)
      }
      await redis.admin.cmd('DEL', key)
    }
  })
})

describe('message-stream, the environment', () => {
  const names = ['TIDEMARK_URL', 'REDIS_URL', 'KV_URL', 'REDIS_HOST', 'REDIS_PORT', 'REDIS_PASSWORD']
  const before = Object.fromEntries(names.map((name) => [name, process.env[name]]))
  afterEach(async () => {
    await chats.cleanup()
    for (const name of names) {
      delete process.env[name]
      if (before[name] !== undefined) process.env[name] = before[name]
    }
  })

  test('host, port and password of the previous backend are enough; a URL wins over them', async (t) => {
    const password = 'p@ss:/word%'
    const redis = await startRedis({ password })
    t.after(() => redis.close())
    for (const name of names) delete process.env[name]
    process.env.REDIS_HOST = '127.0.0.1'
    process.env.REDIS_PORT = String(redis.port)
    process.env.REDIS_PASSWORD = password
    const data = /** @type {const} */ ({ chatId: 'c', userContent: 'Hello', type: 'demo', intervalMs: 0 })
    assert.equal(await chats.startMessageChunkStream(data).finished, 'complete')
    assert.equal(await redis.admin.cmd('EXISTS', '{message-stream:c}:meta'), 1)
    await chats.cleanup()
    // Only the connection that asks is left.
    await until(async () => (await redis.admin.clients()).length === 1)
    process.env.REDIS_URL = (await sharedRedis()).url
    assert.equal(await chats.getMessageChunkStreamMetrics('c'), null)
    await chats.cleanup()
    delete process.env.REDIS_URL
    process.env.REDIS_PASSWORD = 'sesame'
    await assert.rejects(chats.stopMessageChunkStream('c'), (/** @type {any} */ error) => {
      assert.equal(error.code, 'ERR_CONNECTION')
      assert.doesNotMatch(error.message, /sesame/)
      return true
    })
  })
})
