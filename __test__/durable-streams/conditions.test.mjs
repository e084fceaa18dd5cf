// Headers that say more than the body: tags, conditions, encodings.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { durableStreams } from 'tidemark/durable-streams'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const TEXT = { 'Content-Type': 'text/plain' }
const JSON_TYPE = { 'Content-Type': 'application/json' }

/** A stream's requests. @param {import('tidemark').Engine} engine @param {string} id */
function stream(engine, id) {
  const handle = durableStreams({ engine, authorize: () => true })
  return async (
    /** @type {string} */ method,
    /** @type {Record<string, string>} */ headers = {},
    /** @type {any} */ body = undefined,
    query = '',
  ) => {
    const url = `http://streams.test/v1/stream/${id}${query}`
    const answer = await handle(new Request(url, { method, headers, body }))
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  }
}

eachStore('conditions and encodings of Durable Streams', (store) => {
  const open = useEngines(store)

  test('a body that is encoded is refused, since its readers would not know', async () => {
    const engine = open()
    const send = stream(engine, 'encoded')
    const packed = gzipSync('{"a":1}')
    await send('PUT', JSON_TYPE)
    for (const [name, value, status] of /** @type {const} */ ([
      ['Content-Encoding', 'gzip', 415],
      ['Content-Encoding', 'identity, gzip', 415],
      ['Content-Encoding', 'br', 415],
      ['Transfer-Encoding', 'gzip, chunked', 501],
    ])) {
      for (const type of [JSON_TYPE, TEXT]) {
        for (const method of ['POST', 'PUT']) {
          const answer = await send(method, { ...type, [name]: value }, packed)
          assert.deepEqual([answer.status, JSON.parse(answer.text).code], [status, 'bad_encoding'], value)
          assert.equal(answer.headers.get('accept-encoding'), status === 415 ? 'identity' : null)
        }
      }
      const other = stream(engine, 'never')
      assert.equal((await other('PUT', { ...TEXT, [name]: value }, packed)).status, status)
    }
    assert.equal((await engine.status('encoded'))?.lastSeq, 0)
    assert.equal(await engine.status('never'), null)
    for (const value of ['identity', 'Identity', '']) {
      assert.equal((await send('POST', { ...JSON_TYPE, 'Content-Encoding': value }, '{"a":1}')).status, 204)
    }
    const chunked = { ...JSON_TYPE, 'Transfer-Encoding': 'chunked' }
    assert.equal((await send('POST', chunked, '{"a":1}')).status, 204)
    // Without a body there is nothing to encode.
    assert.equal((await send('POST', { 'Content-Encoding': 'gzip', 'Stream-Closed': 'true' })).status, 204)
  })

  test('what a long poll finds has the tag that a read has, and is not sent to whoever has it', async () => {
    const engine = open()
    const send = stream(engine, 'tagged')
    const get = (/** @type {string} */ query, headers = {}) => send('GET', headers, undefined, query)
    const made = await send('PUT', TEXT, 'one')
    const start = '?offset=-1&live=long-poll'
    const polled = await get(start)
    const tag = String(polled.headers.get('etag'))
    assert.match(tag, /^"[0-9A-Z_]+:[0-9A-Z_]+"$/)
    assert.equal((await get('?offset=-1')).headers.get('etag'), tag)
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      for (const query of [start, '?offset=-1']) {
        const answer = await get(query, { 'If-None-Match': known })
        assert.deepEqual([answer.status, answer.text], [304, ''], `${query} ${known}`)
        assert.equal(answer.headers.get('etag'), tag)
        assert.equal(answer.headers.get('stream-next-offset'), made.headers.get('stream-next-offset'))
      }
    }
    assert.equal((await get(start, { 'If-None-Match': '"other"' })).text, 'one')
    // What was waited for has one too; what comes after `now` is something else each time.
    const next = made.headers.get('stream-next-offset')
    const waited = get(`?offset=${next}&live=long-poll`)
    await until(() => engine.metrics().readers === 1)
    await send('POST', TEXT, 'two')
    const after = await waited
    assert.deepEqual(
      [after.text, after.headers.get('etag')],
      ['two', (await get(`?offset=${next}`)).headers.get('etag')],
    )
    await until(() => engine.metrics().readers === 0)
    const coming = get('?offset=now&live=long-poll')
    await until(() => engine.metrics().readers === 1)
    await send('POST', TEXT, 'three')
    const now = await coming
    assert.deepEqual([now.text, now.headers.get('etag')], ['three', null])
    // The end changes it.
    const before = String((await get(start)).headers.get('etag'))
    await send('POST', { 'Stream-Closed': 'true' })
    const closed = await get(start, { 'If-None-Match': before })
    assert.deepEqual(
      [closed.status, closed.text, closed.headers.get('stream-closed')],
      [200, 'onetwothree', 'true'],
    )
    assert.equal(closed.headers.get('etag'), before.replace(/"$/, ':c"'))
    const over = await get(`?offset=${closed.headers.get('stream-next-offset')}&live=long-poll`, {
      'If-None-Match': '*',
    })
    assert.deepEqual([over.status, over.headers.get('stream-closed')], [204, 'true'])
  })

  test('a PUT for a new stream alone, and conditions that are never met, change nothing', async () => {
    const engine = open()
    const send = stream(engine, 'conditions')
    const onlyNew = { ...TEXT, 'If-None-Match': '*' }
    assert.equal((await send('PUT', onlyNew, 'one')).status, 201)
    for (const headers of [onlyNew, { ...JSON_TYPE, 'If-None-Match': '*' }]) {
      const again = await send('PUT', headers)
      assert.deepEqual([again.status, JSON.parse(again.text).code], [412, 'exists'])
    }
    const offset = String((await send('HEAD')).headers.get('stream-next-offset'))
    for (const [method, name, value, status] of /** @type {const} */ ([
      ['POST', 'If-Match', '"one"', 412],
      ['DELETE', 'If-Match', '"one"', 412],
      ['PUT', 'If-Match', '*', 412],
      ['POST', 'If-None-Match', '*', 412],
      ['DELETE', 'If-None-Match', '*', 412],
      ['POST', 'Stream-Expected-Offset', offset, 501],
    ])) {
      const body = method === 'DELETE' ? undefined : 'two'
      const answer = await send(method, { ...TEXT, [name]: value }, body)
      assert.deepEqual(
        [answer.status, JSON.parse(answer.text).code],
        [status, 'bad_condition'],
        `${method} ${name}`,
      )
    }
    assert.equal((await send('GET')).text, 'one')
    assert.equal((await send('POST', { ...TEXT, 'If-Match': '*' }, 'two')).status, 204)
    await engine.produce('produced')
    const put = stream(engine, 'produced')
    for (const [headers, status, code] of /** @type {const} */ ([
      [onlyNew, 412, 'exists'],
      [TEXT, 409, 'not_a_log'],
    ])) {
      const answer = await put('PUT', headers)
      assert.deepEqual([answer.status, JSON.parse(answer.text).code], [status, code])
    }
  })

  test('whoever comes out of order is told where the stream ends', async () => {
    const send = stream(open(), 'order')
    await send('PUT', TEXT)
    const append = (/** @type {string} */ seq) => send('POST', { ...TEXT, 'Stream-Seq': seq }, seq)
    const done = await append('b')
    for (const late of ['b', 'a', 'B']) {
      const { status, headers } = await append(late)
      assert.deepEqual(
        [status, headers.get('stream-next-offset')],
        [409, done.headers.get('stream-next-offset')],
      )
    }
    assert.equal((await append('é')).status, 204, 'bytes are compared')
    assert.equal((await send('GET')).text, 'bé')
  })
})
