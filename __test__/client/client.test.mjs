// tidemark/client in Node.js, against real streams on both stores.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow } from 'tidemark/client'
import { bundled } from '../support/bundle.mjs'
import { serve } from '../support/event-source.mjs'
import { QUICK, Reader, read, UNKNOWN } from '../support/following.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { numbered, produceAll, texts, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

eachStore('client', (store) => {
  const open = useEngines(store)

  test('G1 checklist 3: through drops, refusals and quiet ends it gets everything once', async () => {
    const random = createRandom(31)
    const engine = open()
    const { url } = await serve(async (request) => {
      const dice = random.next()
      if (dice < 0.1) return new Response('overloaded', { status: random.pick([500, 503, 429, 408]) })
      if (dice < 0.2) request.socket.destroy()
      else if (dice < 0.5) setTimeout(() => request.socket.destroy(), random.int(1, 80))
      return engine.respond(request, 'chaos', { maxDurationMs: random.int(20, 200) })
    })
    const producer = await engine.produce('chaos')
    const chunks = texts(600).map((text, index) =>
      index % 50 === 0 ? new TextEncoder().encode(text) : index % 60 === 0 ? `${text}\r\n\0` : text,
    )
    const readers = Array.from({ length: 4 }, (_, index) => new Reader(follow(url, QUICK), `client ${index}`))
    for (const [index, chunk] of chunks.entries()) {
      await producer.append(chunk)
      if (index % 20 === 0) await until(() => readers.every((reader) => reader.chunks.length > index - 40))
    }
    await producer.complete()
    for (const reader of readers) assert.equal((await reader.end()).error, undefined)
    checkHistory({ written: numbered(chunks), readers })
    assert.ok(readers.every(({ chunks }) => chunks.every(({ isReset }) => !isReset)))
  })

  test('it begins where it is told, and its cursor is where it stands', async () => {
    const engine = open()
    const { url } = await serve((request) => engine.respond(request, 'places'))
    const { generation } = await produceAll(engine, 'places', texts(10))
    const readers = []
    for (const [from, seq] of /** @type {const} */ ([
      [undefined, 0],
      ['start', 0],
      ['now', 10],
      [`${generation}.4`, 4],
    ])) {
      const reader = await read(`${url}/x?a=1#b`, { from }).end()
      assert.equal(reader.chunks.length, 10 - seq)
      if (seq < 10) assert.equal(reader.loop.cursor, `${generation}.10`)
      readers.push({ ...reader, from: seq })
    }
    checkHistory({ written: numbered(texts(10)), readers })
  })

  test('how the stream ended: a quiet end, or an error with its code', async () => {
    const [engine, dying] = [open(), open()]
    const { url } = await serve((request) =>
      engine.respond(request, request.url?.slice(1, 5) ?? '', { owner: 'me' }),
    )
    await produceAll(engine, 'done', ['a'])
    const stopping = await engine.produce('stop')
    await engine.stop('stop', 'enough')
    await stopping.complete()
    const failing = await engine.produce('fail')
    failing.write('a')
    await failing.fail(new Error('no more'))
    const interrupted = await dying.produce('dies')
    interrupted.write('a')
    await dying.close()
    /** @type {[string, string, string | undefined, string | undefined][]} */
    const table = [
      ['done', 'complete', undefined, undefined],
      ['stop', 'stopped', 'enough', undefined],
      ['fail', 'failed', 'no more', 'ERR_FAILED'],
      ['dies', 'interrupted', 'closed', 'ERR_INTERRUPTED'],
    ]
    for (const [streamId, outcome, reason, code] of table) {
      const { loop, error } = await read(`${url}/${streamId}`).end()
      assert.deepEqual([loop.outcome, loop.reason, error?.code], [outcome, reason, code])
      if (code) assert.equal(error.name, 'FollowError')
    }
  })

  test('what the server refuses is an error with its status and code', async () => {
    const engine = open()
    const { url } = await serve((request) => {
      const { pathname } = new URL(request.url ?? '', 'http://x')
      return engine.respond(request, pathname.slice(1), { wait: 0, owner: 'me' })
    })
    await produceAll(engine, 'theirs', ['a'], { owner: 'them' })
    for (const [path, from, status, code] of /** @type {const} */ ([
      ['theirs', undefined, 403, 'ERR_FORBIDDEN'],
      ['missing', undefined, 404, 'ERR_NOT_FOUND'],
      ['theirs', '-1', 400, 'ERR_INVALID_ARGUMENT'],
    ])) {
      const { error } = await read(`${url}/${path}`, { from }).end()
      assert.deepEqual([error?.name, error?.status, error?.code], ['FollowError', status, code])
    }
  })

  test('a reset is told with the first chunk that follows', async () => {
    const engine = open()
    const { url } = await serve((request) => engine.respond(request, 'reset'))
    await produceAll(engine, 'reset', texts(3))
    const reader = await read(url, { from: `${UNKNOWN}.2` }).end()
    assert.deepEqual(
      reader.chunks.map(({ isReset }) => isReset),
      [true, false, false],
    )
    checkHistory({ written: numbered(texts(3)), readers: [reader] })
  })

  test('checklist 19, 21: acknowledgements come in batches, and the last one at the end', async () => {
    const engine = open({ ackIntervalMs: 0 })
    let posts = 0
    const { url } = await serve((request) => {
      if (request.method !== 'POST') return engine.respond(request, 'acks')
      posts++
      assert.equal(request.headers.authorization, 'token')
      return engine.acknowledge(request, 'acks')
    })
    const producer = await engine.produce('acks')
    const ack = { url, consumer: 'alice', intervalMs: 30 }
    const reader = read(url, { ack, headers: async () => ({ authorization: 'token' }) })
    for (const text of texts(100)) await producer.append(text)
    const seen = async () => (await engine.status('acks'))?.consumers[0]?.cursor
    await until(async () => (await seen()) === `${producer.generation}.100`)
    producer.write('the last one')
    await producer.complete()
    await reader.end()
    assert.equal(await seen(), `${producer.generation}.101`)
    assert.ok(posts < 50, `${posts} requests`)
    checkHistory({ written: numbered([...texts(100), 'the last one']), readers: [reader] })
    // Whoever comes next continues after it.
    await engine.ack('acks', 'bob', `${producer.generation}.40`)
    const { url: resumed } = await serve((request) => engine.respond(request, 'acks', { consumer: 'bob' }))
    assert.equal((await read(resumed).end()).chunks.length, 61)
  })

  test('acknowledge refuses what is no acknowledgement', async () => {
    const engine = open({ ackIntervalMs: 0 })
    const { generation } = await produceAll(engine, 'bad acks', ['a'], { owner: 'me' })
    const cursor = `${generation}.1`
    /** @param {unknown} body */
    const request = (body) =>
      new Request('http://localhost/', {
        method: 'POST',
        body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
      })
    const good = { cursor, consumer: 'me' }
    for (const body of [
      '',
      '{',
      '5',
      'null',
      {},
      { cursor },
      { ...good, cursor: '1' },
      { ...good, consumer: 5 },
      // It ends in the middle of a character.
      Buffer.concat([Buffer.from(JSON.stringify(good)), Uint8Array.of(0xe2)]),
    ]) {
      const response = await engine.acknowledge(request(body), 'bad acks', { owner: 'me' })
      assert.equal(response.status, 400, `${body}`)
      assert.equal((await response.json()).code, 'ERR_INVALID_ARGUMENT')
    }
    assert.equal((await engine.acknowledge(request(good), 'bad acks', { owner: 'you' })).status, 403)
    assert.equal((await engine.acknowledge(request(good), 'none')).status, 404)
    const own = { owner: 'me', consumer: 'really me' }
    assert.equal((await engine.acknowledge(request(good), 'bad acks', own)).status, 204)
    assert.equal((await engine.acknowledge({ body: { cursor } }, 'bad acks', own)).status, 204)
    const consumers = (await engine.status('bad acks'))?.consumers.map(({ consumer }) => consumer)
    assert.deepEqual(consumers, ['really me'])
    await assert.rejects(engine.acknowledge(request(good), ''), { code: 'ERR_INVALID_ARGUMENT' })
  })
})

test('it takes less than 3 kB in a bundle, compressed, and imports nothing but itself', async () => {
  const { code, size } = await bundled('client')
  assert.match(code, /text\/event-stream/)
  assert.doesNotMatch(code, /\bimport\b|require\(/)
  assert.ok(size < 3_000, `${size} bytes`)
})
