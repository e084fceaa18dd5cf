// tidemark/schema: typed events, validated by whatever validator there is.

import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type } from 'arktype'
import { TidemarkError } from 'tidemark'
import { defineEvents, messageEvents, SchemaError } from 'tidemark/schema'
import * as v from 'valibot'
import * as z from 'zod'
import { checkHistory } from '../support/history.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, readAll, useEngines } from '../support/streams.mjs'

/** The same two events, in three validators' words. */
const definitions = {
  zod: {
    token: z.object({ text: z.string(), tags: z.array(z.object({ name: z.string() })).default([]) }),
    usage: z.object({ tokens: z.int() }),
  },
  valibot: {
    token: v.object({ text: v.string(), tags: v.optional(v.array(v.object({ name: v.string() })), []) }),
    usage: v.object({ tokens: v.pipe(v.number(), v.integer()) }),
  },
  arktype: {
    token: type({
      text: 'string',
      tags: type({ name: 'string' })
        .array()
        .default(() => []),
    }),
    usage: type({ tokens: 'number.integer' }),
  },
}

/** @param {string} path @param {RegExp} [message] */
const misfit = (path, message) => (/** @type {any} */ error) => {
  assert.ok(error instanceof SchemaError && error instanceof TidemarkError)
  assert.deepEqual([error.code, error.name, error.path], ['ERR_SCHEMA', 'SchemaError', path])
  assert.equal(error.issues[0]?.path, path)
  if (message) assert.match(error.message, message)
  return true
}

/** @param {AsyncIterable<{ event: any }>} subscription */
async function eventsOf(subscription) {
  const events = []
  for await (const { event } of subscription) events.push(event)
  return events
}

eachStore('schema', (store) => {
  const open = useEngines(store)

  for (const [name, definition] of Object.entries(definitions)) {
    test(`checklist 22: ${name} validates on write, with the path of the bad field, and on read`, async () => {
      const events = defineEvents(/** @type {typeof definitions.zod} */ (definition))
      const engine = open()
      const producer = await events.produce(engine, name)
      producer.write({ type: 'token', text: 'one', tags: [{ name: 'a' }] })
      const bad = /** @type {any[]} */ ([
        [{ type: 'token', text: 5 }, 'text'],
        [{ type: 'token' }, 'text'],
        [{ type: 'token', text: 'two', tags: [{ name: 'a' }, { name: 7 }] }, 'tags.1.name'],
        [{ type: 'usage', tokens: 1.5 }, 'tokens'],
        [{ type: 7 }, 'type'],
        [{ text: 'no type' }, 'type'],
        ['text', ''],
        [null, ''],
        [[], ''],
      ])
      for (const [event, path] of bad) {
        assert.throws(() => producer.write(event), misfit(path))
        await assert.rejects(producer.append(event), misfit(path))
      }
      const cursor = await producer.append({ type: 'token', text: 'two' })
      assert.equal(await producer.complete(), 'complete')

      // The events themselves were written; defaults are the reader's.
      const written = ['{"type":"token","text":"one","tags":[{"name":"a"}]}', '{"type":"token","text":"two"}']
      checkHistory({ written: numbered(written), readers: [await readAll(engine, name)] })
      const subscription = events.subscribe(open(), name)
      const read = []
      for await (const { seq, cursor, event } of subscription) {
        if (event.type === 'token') read.push([seq, cursor, event.text, event.tags.map((tag) => tag.name)])
      }
      assert.deepEqual(read, [
        [1, `${producer.generation}.1`, 'one', ['a']],
        [2, cursor, 'two', []],
      ])
      assert.deepEqual(
        [subscription.outcome, subscription.cursor, subscription.dropped],
        ['complete', cursor, 0],
      )
    })
  }

  test('a reader is strict, drops what does not fit, or looks at nothing', async () => {
    const events = defineEvents(definitions.zod)
    const engine = open()
    const producer = await events.produce(engine, 'modes', { validate: false })
    const chunks = /** @type {any[]} */ ([
      { type: 'token', text: 'one' },
      { type: 'token', text: 2 },
      { type: 'usage', tokens: 3 },
    ])
    for (const chunk of chunks) producer.write(chunk)
    await producer.complete()

    const strict = events.subscribe(engine, 'modes')
    const { value } = await strict.next()
    assert.deepEqual(value?.event, { type: 'token', text: 'one', tags: [] })
    await assert.rejects(strict.next(), misfit('text', /^event "token": text: /))
    assert.deepEqual(await strict.next(), { done: true, value: undefined })

    const drop = events.subscribe(engine, 'modes', { validate: 'drop' })
    assert.deepEqual(await eventsOf(drop), [{ type: 'token', text: 'one', tags: [] }, chunks[2]])
    assert.deepEqual([drop.dropped, drop.outcome], [1, 'complete'])

    assert.deepEqual(await eventsOf(events.subscribe(engine, 'modes', { validate: 'off' })), chunks)
  })

  test('what is not JSON does not fit', async () => {
    const engine = open()
    const producer = await engine.produce('text')
    producer.write('{"type":')
    await producer.complete()
    await assert.rejects(messageEvents.subscribe(engine, 'text').next(), misfit('', /is not JSON/))
    await assert.rejects(
      messageEvents.subscribe(engine, 'text', { validate: 'off' }).next(),
      misfit('', /is not JSON/),
    )
  })

  test('checklist 22: events of unknown future types survive a round trip through an older server', async () => {
    const newer = defineEvents({ ...definitions.zod, tool: z.object({ name: z.string() }) })
    const older = defineEvents(definitions.zod)
    const engine = open()
    const first = await newer.produce(engine, 'newer')
    const written = [
      { type: /** @type {const} */ ('tool'), name: 'search', more: { deep: [1, null] } },
      { type: /** @type {const} */ ('token'), text: 'one', tags: [] },
    ]
    for (const event of written) first.write(event)
    await first.complete()
    // The older server reads strictly and hands on what it has read.
    const second = await older.produce(engine, 'older')
    for await (const { event } of older.subscribe(engine, 'newer')) second.write(event)
    await second.complete()
    const relayed = await readAll(engine, 'older')
    checkHistory({ written: numbered(written.map((event) => JSON.stringify(event))), readers: [relayed] })
    assert.deepEqual(await eventsOf(newer.subscribe(engine, 'older')), [
      { type: 'tool', name: 'search' },
      written[1],
    ])
  })

  test('one validator for all events checks all of them', async () => {
    const events = defineEvents(
      z.discriminatedUnion('type', [
        z.object({ type: z.literal('token'), text: z.string() }),
        z.object({ type: z.literal('at'), time: z.iso.datetime().transform((text) => new Date(text)) }),
      ]),
    )
    const engine = open()
    const producer = await events.produce(engine, 'union')
    producer.write({ type: 'at', time: '2026-01-02T03:04:05Z' })
    assert.throws(() => producer.write(/** @type {any} */ ({ type: 'other' })), misfit('type'))
    await producer.complete()
    assert.deepEqual(await eventsOf(events.subscribe(engine, 'union')), [
      { type: 'at', time: new Date('2026-01-02T03:04:05Z') },
    ])
  })

  test('the rest is as with the engine: stop, failure, leaving, resuming', async () => {
    const events = defineEvents(definitions.valibot)
    const engine = open()
    const producer = await events.produce(engine, 'rest', { owner: 'ann' })
    await assert.rejects(events.subscribe(engine, 'rest').next(), { code: 'ERR_FORBIDDEN' })
    const cursor = await producer.append({ type: 'usage', tokens: 1 })
    if (!producer.write({ type: 'usage', tokens: 2 })) await producer.ready
    await producer.flush()
    const resumed = events.subscribe(engine, 'rest', { from: cursor, owner: 'ann' })
    assert.deepEqual((await resumed.next()).value?.event, { type: 'usage', tokens: 2 })
    await resumed.return()
    assert.deepEqual(await resumed.next(), { done: true, value: undefined })
    assert.equal(producer.signal.aborted, false)
    const raw = follow(engine, 'rest', { owner: 'ann' })
    assert.equal(await producer.fail(new Error('no model')), 'failed')
    await raw.end()
    const failed = events.subscribe(engine, 'rest', { owner: 'ann' })
    await assert.rejects(eventsOf(failed), { code: 'ERR_FAILED', reason: 'no model' })
    assert.deepEqual([failed.outcome, failed.reason, failed.streamId], ['failed', 'no model', 'rest'])
    const disposed = await events.produce(engine, 'disposed')
    disposed.write({ type: 'usage', tokens: 1 })
    await disposed[Symbol.asyncDispose]()
    await assert.rejects(eventsOf(events.subscribe(engine, 'disposed')), { code: 'ERR_FAILED' })
  })
})

describe('definitions', () => {
  test('a definition is made of validators that answer at once', () => {
    for (const bad of [undefined, null, 5, 'text', { token: 5 }, { token: { '~standard': {} } }]) {
      const field = bad && typeof bad === 'object' ? 'definition.token' : 'definition'
      assert.throws(() => defineEvents(/** @type {any} */ (bad)), { code: 'ERR_INVALID_ARGUMENT', field })
    }
    const slow = defineEvents({ token: z.object({ text: z.string().refine(async () => true) }) })
    assert.throws(() => slow.parse({ type: 'token', text: 'one' }))
    const promised = defineEvents({ token: v.objectAsync({ text: v.string() }) })
    assert.throws(() => promised.parse({ type: 'token', text: 'one' }), {
      code: 'ERR_INVALID_ARGUMENT',
      field: 'definition.token',
    })
  })

  test('wrong options are refused', async () => {
    const engine = /** @type {any} */ ({})
    const options = /** @type {any} */ ({ validate: 'always' })
    assert.throws(() => messageEvents.subscribe(engine, 'chat', options), { field: 'options.validate' })
    await assert.rejects(messageEvents.produce(engine, 'chat', options), { field: 'options.validate' })
  })

  test('the message events take what a chat has always written, and no nonsense', () => {
    const chatId = 'chat'
    const message = { id: 'm', chatId, createdAt: new Date(0), content: [{ any: 'thing' }], from: 'ann' }
    const good = [
      { type: 'userMessage', chatId, message },
      { type: 'aiMessageStart', chatId, messageId: 'm' },
      { type: 'aiMessageChunk', chatId, messageId: 'm', chunk: 'text', chunkId: 'chunk-1' },
      { type: 'agentChunk', chatId, chunk: '' },
      { type: 'messageComplete', chatId, message: { ...message, createdAt: '1970-01-01T00:00:00.000Z' } },
      { type: 'toolCall', anything: 'goes' },
    ]
    for (const event of good) assert.deepEqual(messageEvents.parse(event), event)
    const written = messageEvents.encode(/** @type {any} */ (good[0]))
    const [read] = [messageEvents.decode(written)]
    assert.equal(read.message?.createdAt, '1970-01-01T00:00:00.000Z')
    const bad = /** @type {[object, string][]} */ ([
      [{ type: 'userMessage' }, 'chatId'],
      [{ type: 'aiMessageChunk', chatId }, 'chunk'],
      [{ type: 'aiMessageChunk', chatId, chunk: { text: 'x' } }, 'chunk'],
      [{ type: 'userMessage', chatId, message: 'text' }, 'message'],
      [{ type: 'userMessage', chatId, message: { ...message, id: 5 } }, 'message.id'],
      [{ type: 'messageComplete', chatId, message: { ...message, createdAt: 'soon' } }, 'message.createdAt'],
    ])
    for (const [event, path] of bad) assert.throws(() => messageEvents.parse(event), misfit(path))
  })

  test('the build for browsers imports nothing but itself, and works', async () => {
    const folder = fileURLToPath(new URL('../../dist/esm', import.meta.url))
    const seen = new Set()
    const visit = async (/** @type {string} */ file) => {
      if (seen.has(file)) return
      seen.add(file)
      const source = await readFile(`${folder}/${file}`, 'utf8')
      assert.doesNotMatch(source, /\b(require|process|Buffer)\b[.(]/, file)
      for (const [, from = ''] of source.matchAll(/(?:from|import)\s*\(?'([^']+)'/g)) {
        assert.match(from, /^\.\.?\/[\w/-]+\.js$/, file)
        await visit(posix.join(posix.dirname(file), from))
      }
    }
    await visit('schema.js')
    assert.ok(seen.size > 3)
    const files = await readdir(folder, { recursive: true })
    assert.ok(!files.some((file) => file.includes('native')))
    const browser = await import('../../dist/esm/schema.js')
    assert.throws(() => browser.messageEvents.parse({ type: 'agentChunk', chatId: 'chat' }), {
      code: 'ERR_SCHEMA',
      path: 'chunk',
    })
  })
})
