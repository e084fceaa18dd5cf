// Server-sent events as `respond` and `toSSE` make them, without a network in between.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { EventReader, readEvents } from '../support/event-source.mjs'
import { freePort } from '../support/free-port.mjs'
import { checkHistory } from '../support/history.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, produceAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const UNKNOWN = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
/** What could break out of an event, or get lost in one. */
const NASTY = [
  'plain',
  '',
  ' leading and trailing ',
  'line\nline\n\nline\n',
  'carriage\rreturn\r\nboth\n\r',
  '\n',
  '\r',
  'x\n\nid: 1.1\nevent: end\ndata: {"outcome":"complete"}\n\n',
  'nul\0nul',
  '\uFEFFbom, ünïcödé, 漢字, 🌊',
  '\u2028\u2029\u0085\v\f',
  ': comment',
  new Uint8Array(0),
  new Uint8Array([0, 10, 13, 255, 254]),
  new TextEncoder().encode('data: x\n\n'),
]

/** @param {string} [query] @param {Record<string, string>} [headers] */
const get = (query = '', headers = {}) => new Request(`http://localhost/${query}`, { headers })

eachStore('sse', (store) => {
  const open = useEngines(store)

  test('G1 every chunk arrives as it was written, whatever it holds', async () => {
    const engine = open()
    const producer = await engine.produce('nasty')
    const live = readEvents(await engine.respond(get(), 'nasty'), 'live')
    await writeAll(producer, NASTY)
    await producer.complete()
    const readers = [await live, await readEvents(await open().respond(get(), 'nasty'), 'replay')]
    const loop = new EventReader('toSSE')
    readers.push(await loop.read(engine.subscribe('nasty').toSSE()))
    for (const { parser } of readers) assert.equal(parser.unfinished, '')
    checkHistory({ written: numbered(NASTY), readers })
  })

  test('headers that keep proxies from buffering, caching and changing it, and those of the caller', async () => {
    const engine = open()
    await produceAll(engine, 'headers', texts(1))
    const { status, headers } = await engine.respond(get(), 'headers', {
      headers: { 'access-control-allow-origin': '*', 'x-accel-buffering': 'yes' },
    })
    assert.equal(status, 200)
    assert.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8')
    assert.equal(headers.get('cache-control'), 'no-cache, no-store, no-transform')
    assert.equal(headers.get('x-accel-buffering'), 'yes')
    assert.equal(headers.get('access-control-allow-origin'), '*')
    const plain = await engine.respond(get(), 'headers')
    assert.equal(plain.headers.get('x-accel-buffering'), 'no')
    const refused = await engine.respond(get('?cursor=x'), 'headers', { headers: [['x-own', '1']] })
    assert.equal(refused.headers.get('x-own'), '1')
    assert.equal(refused.headers.get('cache-control'), 'no-store')
  })

  test('retry and the end are told, and only chunks carry an id', async () => {
    const [engine, other] = [open(), open({ lease: '1s' })]
    await produceAll(engine, 'complete', texts(2))
    const failing = await engine.produce('failed')
    await failing.fail(new Error('the model\n\nis tired'))
    const stopping = await engine.produce('stopped')
    await engine.stop('stopped', 'enough')
    await stopping.complete()
    const dying = await other.produce('interrupted')
    dying.write('half')
    await other.close()
    /** @type {[string, string, string][]} */
    const ends = [
      ['complete', 'complete', ''],
      ['failed', 'failed', 'the model\n\nis tired'],
      ['stopped', 'stopped', 'enough'],
      ['interrupted', 'interrupted', 'closed'],
    ]
    for (const [streamId, outcome, reason] of ends) {
      const { parser, end } = await readEvents(await engine.respond(get(), streamId, { retryMs: 2345 }))
      assert.equal(parser.retry, 2345)
      assert.deepEqual(end, { outcome, reason })
      const named = parser.events.filter(({ event }) => event !== 'message')
      assert.deepEqual(
        named.map(({ event, hasId }) => [event, hasId]),
        [['end', false]],
      )
    }
  })

  test('Last-Event-ID and ?cursor= go on after the chunk they name; the header is the newer one', async () => {
    const engine = open()
    const { generation } = await produceAll(engine, 'resume', texts(10))
    const cursor = (/** @type {number} */ seq) => `${generation}.${seq}`
    /** @type {[Request, number, import('tidemark').RespondOptions?][]} */
    const table = [
      [get(), 0],
      [get(`?cursor=${cursor(4)}`), 4],
      [get('', { 'last-event-id': cursor(7) }), 7],
      [get(`?cursor=${cursor(4)}`, { 'last-event-id': cursor(7) }), 7],
      [get(`?cursor=start&other=1`), 0],
      [get('?cursor=now'), 10],
      [get(), 6, { from: cursor(6) }],
      [get(`?cursor=${cursor(9)}`), 9, { from: cursor(6) }],
      [get('', { 'last-event-id': cursor(10) }), 10],
      [get(`?lastEventId=${cursor(5)}`), 5],
      [get(`?cursor=${cursor(4)}&lastEventId=${cursor(5)}`), 5],
      [get(`?cursor=${cursor(4)}&lastEventId=`), 4],
      [get(`?lastEventId=${cursor(5)}`, { 'last-event-id': cursor(7) }), 7],
    ]
    const readers = []
    for (const [request, from, options] of table) {
      const reader = await readEvents(await engine.respond(request, 'resume', options), request.url)
      assert.equal(reader.chunks.length, 10 - from)
      readers.push({ ...reader, outcome: reader.outcome, from })
    }
    checkHistory({ written: numbered(texts(10)), readers })
    const node = { url: `/x?a=1&cursor=${cursor(9)}#f`, headers: { 'last-event-id': cursor(8) } }
    assert.equal((await readEvents(await engine.respond(node, 'resume'))).chunks.length, 2)
  })

  test('a malformed cursor is a 400 that says why', async () => {
    const engine = open()
    await produceAll(engine, 'strict', texts(2))
    const bad = ['', '-1', '5', 'end', UNKNOWN, `${UNKNOWN}.`, `${UNKNOWN}.-1`, `${UNKNOWN}.1%20`, 'null']
    const requests = bad.map((value) => get(`?cursor=${value}`))
    requests.push(get(`?cursor=${UNKNOWN}.1&cursor=${UNKNOWN}.1`))
    requests.push(get(`?lastEventId=${UNKNOWN}.1&lastEventId=${UNKNOWN}.1`))
    for (const value of ['-1', 'start', 'now', 'null']) requests.push(get(`?lastEventId=${value}`))
    for (const value of ['-1', 'start', 'now', `${UNKNOWN}.01`, `x, ${UNKNOWN}.1`]) {
      requests.push(get('', { 'last-event-id': value }))
      requests.push(get(`?cursor=${UNKNOWN}.1`, { 'last-event-id': value }))
    }
    for (const request of requests) {
      const response = await engine.respond(request, 'strict')
      assert.equal(response.status, 400, request.url)
      assert.equal(response.headers.get('content-type'), 'application/json')
      const { code, message } = await response.json()
      assert.equal(code, 'ERR_INVALID_ARGUMENT')
      assert.match(message, /^(cursor|Last-Event-ID|lastEventId): must be /)
    }
  })

  test('a cursor of an unknown generation is answered with a reset and everything there is', async () => {
    const engine = open()
    const oldest = await produceAll(engine, 'reset', texts(3, 'oldest'))
    await produceAll(engine, 'reset', texts(3, 'older'))
    await produceAll(engine, 'reset', texts(3, 'current'))
    for (const cursor of [`${UNKNOWN}.2`, `${oldest.generation}.3`]) {
      const reader = await readEvents(await engine.respond(get('', { 'last-event-id': cursor }), 'reset'))
      const [first] = reader.parser.events
      assert.equal(first?.event, 'reset')
      assert.equal(first?.hasId, false)
      assert.deepEqual(JSON.parse(first?.data ?? ''), { reason: 'what the cursor stands for is gone' })
      const whole = { ...reader, outcome: reader.outcome, from: 6 }
      checkHistory({ written: numbered(texts(3, 'current'), 7), first: 7, readers: [whole] })
    }
  })

  test('another owner is a 403, a stream that does not come a 404', async () => {
    const engine = open()
    await produceAll(engine, 'owned', texts(2), { owner: 'alice' })
    for (const owner of [undefined, 'bob']) {
      const response = await engine.respond(get(), 'owned', { owner })
      assert.equal(response.status, 403)
      assert.equal((await response.json()).code, 'ERR_FORBIDDEN')
      const body = engine.subscribe('owned', { owner }).toSSE()
      await assert.rejects(body.getReader().read(), { code: 'ERR_FORBIDDEN' })
    }
    assert.equal((await engine.respond(get(), 'owned', { owner: 'alice' })).status, 200)
    const missing = await engine.respond(get(), 'missing', { wait: '50ms' })
    assert.equal(missing.status, 404)
    assert.equal((await missing.json()).code, 'ERR_NOT_FOUND')
    await assert.rejects(engine.subscribe('missing', { wait: 0 }).toSSE().getReader().read(), {
      code: 'ERR_NOT_FOUND',
    })
  })

  test('heartbeats come while nothing else does, and are not stored', async () => {
    const engine = open()
    const producer = await engine.produce('quiet')
    const reader = new EventReader()
    const reading = reader.read((await engine.respond(get(), 'quiet', { heartbeatMs: 20 })).body)
    const silent = new EventReader()
    const waiting = silent.read((await engine.respond(get(), 'quiet', { heartbeatMs: 0 })).body)
    await until(() => reader.parser.comments.length >= 3)
    producer.write('a')
    await until(() => reader.chunks.length === 1)
    const heard = reader.parser.comments.length
    await until(() => reader.parser.comments.length > heard)
    await producer.complete()
    await Promise.all([reading, waiting])
    assert.deepEqual(new Set(reader.parser.comments), new Set([' heartbeat']))
    assert.deepEqual(silent.parser.comments, [])
    const later = await readEvents(await engine.respond(get(), 'quiet'))
    assert.deepEqual(later.parser.comments, [])
    checkHistory({ written: numbered(['a']), readers: [reader, silent, later] })
  })

  test('maxDurationMs ends a response between two events and without an end, for the client to come back', async () => {
    const engine = open()
    const producer = await engine.produce('long')
    await writeAll(producer, texts(5, 'before'))
    const first = await readEvents(await engine.respond(get(), 'long', { maxDurationMs: 100 }))
    assert.deepEqual([first.end, first.error, first.parser.unfinished], [undefined, undefined, ''])
    assert.equal(producer.signal.aborted, false)
    await writeAll(producer, texts(5, 'after'))
    await producer.complete()
    const headers = { 'last-event-id': first.lastEventId }
    const second = await readEvents(await engine.respond(get('', headers), 'long', { maxDurationMs: 60_000 }))
    const whole = { name: 'both', chunks: [...first.chunks, ...second.chunks], outcome: second.outcome }
    checkHistory({
      written: numbered([...texts(5, 'before'), ...texts(5, 'after')]),
      readers: [whole],
    })
  })

  test('item 16 signals end a response without an end, and the stream goes on', async () => {
    const engine = open()
    const producer = await engine.produce('signals')
    producer.write('a')
    await producer.flush()
    const [own, client, late] = [new AbortController(), new AbortController(), new AbortController()]
    const bodies = [
      (await engine.respond(get(), 'signals', { signal: own.signal })).body,
      (await engine.respond(new Request(get(), { signal: client.signal }), 'signals')).body,
      engine.subscribe('signals', { signal: late.signal }).toSSE(),
    ]
    const readers = bodies.map(() => new EventReader())
    const reading = readers.map((reader, index) => reader.read(bodies[index] ?? null))
    await until(() => readers.every(({ chunks }) => chunks.length === 1))
    for (const controller of [own, client, late]) controller.abort()
    await Promise.all(reading)
    for (const reader of readers) assert.deepEqual([reader.end, reader.error], [undefined, undefined])
    assert.equal(producer.signal.aborted, false)
    const aborted = await engine.respond(get(), 'signals', { signal: AbortSignal.abort() })
    assert.equal(await aborted.text(), '')
    await producer.complete()
    checkHistory({ written: numbered(['a']), readers: [await follow(engine, 'signals').end()] })
  })

  test('toSSE goes on where the loop was left', async () => {
    const engine = open()
    await produceAll(engine, 'loop', texts(10))
    const subscription = engine.subscribe('loop')
    const [first, second] = [await subscription.next(), await subscription.next()]
    assert.deepEqual([first.value?.seq, second.value?.seq], [1, 2])
    const rest = await new EventReader('the rest').read(subscription.toSSE())
    assert.deepEqual(await subscription.next(), { done: true, value: undefined })
    assert.deepEqual(
      rest.chunks.map(({ seq }) => seq),
      [3, 4, 5, 6, 7, 8, 9, 10],
    )
    assert.equal(rest.end.outcome, 'complete')
  })

  test('G7 a body that nobody reads holds a bounded part of its stream', async () => {
    const engine = open()
    const chunks = texts(400, 'x'.repeat(20_000))
    const bodies = []
    await produceAll(engine, 'large', chunks)
    const before = process.memoryUsage().arrayBuffers
    for (let count = 0; count < 20; count++) bodies.push((await engine.respond(get(), 'large')).body)
    // Twenty times 8 MB, of which each may hold 64 KiB and what one drain brings.
    for (let turns = 0; turns < 20; turns++) await engine.status('large')
    assert.ok(process.memoryUsage().arrayBuffers - before < 20 * 400_000)
    const reader = await new EventReader().read(bodies[0] ?? null)
    checkHistory({ written: numbered(chunks), readers: [reader] })
    await Promise.all(bodies.slice(1).map((body) => body?.cancel()))
  })

  test('follow: all goes on into the next generation', async () => {
    const engine = open()
    const first = await engine.produce('all')
    const reader = new EventReader()
    const controller = new AbortController()
    const { body } = await engine.respond(get(), 'all', { follow: 'all', signal: controller.signal })
    const reading = reader.read(body)
    await writeAll(first, texts(3, 'first'))
    await first.complete()
    await produceAll(engine, 'all', texts(3, 'second'))
    await until(() => reader.chunks.length === 6)
    controller.abort()
    await reading
    assert.equal(reader.end, undefined)
    const written = numbered([...texts(3, 'first'), ...texts(3, 'second')])
    checkHistory({ written, readers: [{ ...reader, outcome: reader.outcome, to: 6 }] })
  })

  test('the AI SDK gets its own dialect, with the end that the chunks did not tell', async () => {
    const engine = open()
    const delta = '{"type":"text-delta","id":"1","delta":"a\\r\\nb"}'
    const abort = '{"type":"abort"}'
    await produceAll(engine, 'ai-complete', [delta])
    for (const [streamId, closing] of /** @type {const} */ ([
      ['ai-stopped', undefined],
      ['ai-aborted', abort],
    ])) {
      const producer = await engine.produce(streamId)
      producer.write(delta)
      await engine.stop(streamId, 'user')
      if (closing) producer.write(closing)
      await producer.complete()
    }
    const failing = await engine.produce('ai-failed')
    await failing.fail(new Error('no'))
    /** @type {[string, unknown[]][]} */
    const table = [
      ['ai-complete', [JSON.parse(delta)]],
      ['ai-stopped', [JSON.parse(delta), { type: 'abort', reason: 'user' }]],
      ['ai-aborted', [JSON.parse(delta), { type: 'abort' }]],
      ['ai-failed', [{ type: 'error', errorText: 'no' }]],
    ]
    for (const [streamId, chunks] of table) {
      const response = await engine.respond(get(), streamId, { format: 'ui-messages' })
      assert.equal(response.headers.get('x-vercel-ai-ui-message-stream'), 'v1')
      const { parser } = await readEvents(response)
      assert.ok(parser.events.every(({ event }) => event === 'message'))
      const data = parser.events.map((event) => event.data)
      assert.equal(data.pop(), '[DONE]')
      assert.deepEqual(
        data.map((text) => JSON.parse(text)),
        chunks,
      )
    }
  })

  test('an engine that closes leaves its clients to come back to another', async () => {
    const [writer, closing] = [open(), open()]
    const producer = await writer.produce('deploy')
    producer.write('a')
    const reader = new EventReader()
    const reading = reader.read((await closing.respond(get(), 'deploy')).body)
    await until(() => reader.chunks.length === 1)
    await closing.close()
    await reading
    assert.deepEqual([reader.end, reader.error], [undefined, undefined])
    const late = await closing.respond(get(), 'deploy')
    assert.equal(late.status, 503)
    assert.equal(late.headers.get('retry-after'), '1')
    producer.write('b')
    await producer.complete()
    const headers = { 'last-event-id': reader.lastEventId }
    const second = await readEvents(await writer.respond(get('', headers), 'deploy'))
    const whole = { name: 'both', chunks: [...reader.chunks, ...second.chunks], outcome: second.outcome }
    checkHistory({ written: numbered(['a', 'b']), readers: [whole] })
  })

  test('G1 chunks that are gone are a 410 with the cursor of what is left', {
    skip: store.kind !== 'redis',
  }, async () => {
    const keyPrefix = store.prefix()
    // A stream that is sealed whole has no log to trim.
    const options = { keyPrefix, compression: false }
    const [engine, other] = [open(options), open(options)]
    const producer = await engine.produce('trimmed')
    for (const chunk of texts(10)) await producer.append(chunk)
    await producer.complete()
    const { admin } = store.redis
    const log = `{${keyPrefix}:trimmed}:log`
    const entries = await admin.cmd('XRANGE', log, '-', '+')
    await admin.cmd('XTRIM', log, 'MINID', entries[5][0])
    const response = await other.respond(get(`?cursor=${producer.generation}.2`), 'trimmed')
    assert.equal(response.status, 410)
    const { code, resume } = await response.json()
    assert.equal(code, 'ERR_GAP')
    const rest = await readEvents(await other.respond(get(`?cursor=${resume}`), 'trimmed'))
    assert.deepEqual([rest.chunks[0]?.seq, rest.end.outcome], [6, 'complete'])
    // In the middle of a response it is told at the place where they are missing.
    await admin.cmd('XDEL', log, entries[7][0])
    const holed = await readEvents(await other.respond(get(`?cursor=${resume}`), 'trimmed'))
    assert.deepEqual([holed.chunks.at(-1)?.seq, holed.end.code], [7, 'ERR_GAP'])
    assert.equal(holed.end.resume, `${producer.generation}.8`)
  })
})

test('a store that cannot be reached is a 503', async () => {
  const engine = createEngine({ url: `redis://127.0.0.1:${await freePort()}`, connectTimeout: '50ms' })
  const response = await engine.respond(get(), 'away', { wait: 0, onError: () => {} })
  assert.equal(response.status, 503)
  assert.equal((await response.json()).code, 'ERR_CONNECTION')
  await engine.close()
})
