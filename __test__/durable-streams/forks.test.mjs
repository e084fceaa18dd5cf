// Forks over HTTP, beyond the conformance suite: who may, offsets that are those of the other stream, and names that are kept.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { durableStreams } from 'tidemark/durable-streams'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const HOST = 'http://streams.test'
const JSON_TYPE = { 'Content-Type': 'application/json' }

/** @param {Omit<import('tidemark/durable-streams').DurableStreamsOptions, 'authorize'> & { authorize?: any }} options */
function client(options) {
  const handle = durableStreams({ authorize: () => true, prefix: '/s/', ...options })
  return (
    /** @type {string} */ path,
    /** @type {string} */ method = 'GET',
    /** @type {Record<string, string>} */ headers = {},
    /** @type {any} */ body = undefined,
  ) => handle(new Request(`${HOST}/s/${path}`, { method, headers, body }))
}

/** @param {Response} response */
const offset = ({ headers }) => headers.get('stream-next-offset') ?? ''

eachStore('forks over HTTP', (store) => {
  const open = useEngines(store)

  test('authorize is asked for both, and each is its owner’s', async () => {
    const engine = open()
    /** @type {string[]} */
    const asked = []
    /** @type {Record<string, any>} */
    const permissions = { a: { owner: 'anna' }, b: { owner: 'ben' } }
    const send = client({
      engine,
      authorize: (/** @type {Request} */ _, /** @type {string} */ id, /** @type {string} */ action) => {
        asked.push(`${action} ${id}`)
        return permissions[id]
      },
    })
    assert.equal((await send('a', 'PUT', JSON_TYPE, '[1]')).status, 201)
    permissions.a = false
    assert.equal((await send('b', 'PUT', { 'Stream-Forked-From': '/s/a' })).status, 403)
    assert.deepEqual(asked.splice(0), ['create a', 'create b', 'read a'])
    permissions.a = { owner: 'carl' }
    assert.equal((await send('b', 'PUT', { 'Stream-Forked-From': '/s/a' })).status, 403)
    assert.equal((await send('b')).status, 404, 'nothing was made')
    permissions.a = { owner: 'anna' }
    const made = await send('b', 'PUT', { 'Stream-Forked-From': '/s/a' }, Buffer.from('[2]'))
    assert.deepEqual([made.status, made.headers.get('content-type')], [201, 'application/json'])
    assert.equal((await engine.status('b'))?.owner, 'ben')
    assert.deepEqual(await (await send('b')).json(), [1, 2])
    permissions.c = true
    for (const from of [
      'b',
      '/other/a',
      'http://elsewhere.test/s/a',
      '//elsewhere.test/s/a',
      '/s/..',
      '/s/__ds/x',
    ]) {
      const { status } = await send('c', 'PUT', { 'Stream-Forked-From': from })
      assert.ok(status === 400 || status === 404, `${from}: ${status}`)
    }
    for (const at of ['-1', 'now', 'x', '']) {
      const headers = { 'Stream-Forked-From': '/s/a', 'Stream-Fork-Offset': at }
      assert.equal((await send('c', 'PUT', headers)).status, 400, at)
    }
    assert.equal((await send('c', 'PUT', { 'Stream-Fork-Offset': offset(made) })).status, 400)
  })

  test('G1 offsets up to the fork are those of the stream that it is from, and sort with those that follow', async () => {
    const send = client({ engine: open() })
    const source = [offset(await send('one', 'PUT', JSON_TYPE))]
    for (const body of ['1', '2', '3']) source.push(offset(await send('one', 'POST', JSON_TYPE, body)))
    const at = source[2] ?? ''
    const made = await send('two', 'PUT', { 'Stream-Forked-From': '/s/one', 'Stream-Fork-Offset': at })
    assert.equal(offset(made), at)
    const again = await send('two', 'PUT', { 'Stream-Forked-From': '/s/one', 'Stream-Fork-Offset': at })
    assert.deepEqual([again.status, offset(again)], [200, at])
    assert.equal(offset(await send('two', 'HEAD')), at)
    assert.equal(offset(await send('two')), at)
    const own = offset(await send('two', 'POST', JSON_TYPE, '4'))
    assert.ok(own > at, `${own} > ${at}`)
    // A client that has read the one goes on with the other.
    const rest = await send(`two?offset=${source[1]}`)
    assert.deepEqual([await rest.json(), offset(rest)], [[2, 4], own])
    assert.match(String(rest.headers.get('etag')), new RegExp(`^"${source[1]}:${own}"$`))
    assert.equal((await send(`two?offset=${source[3]}`)).status, 410, 'what came after the fork')
    assert.equal((await send(`one?offset=${own}`)).status, 410, 'a place of the other')
    await send('three', 'PUT', { 'Stream-Forked-From': '/s/two' })
    assert.equal(offset(await send('three', 'POST', { 'Stream-Closed': 'true' })), own)
    assert.deepEqual(await (await send(`three?offset=${source[1]}`)).json(), [2, 4])
    const events = await (await send(`three?offset=${at}&live=sse`)).text()
    assert.equal(
      events,
      `event: data\ndata:[4]\n\nevent: control\ndata:{"streamNextOffset":"${own}","streamClosed":true,"upToDate":true}\n\n`,
    )
    const poll = await send(`three?offset=${at}&live=long-poll`)
    assert.deepEqual([await poll.json(), offset(poll)], [[4], own])
  })

  test('a stream that was deleted is gone while forks live, and then it is free', async () => {
    const engine = open()
    const send = client({ engine })
    await send('kept', 'PUT', JSON_TYPE, '[1]')
    await send('short', 'PUT', { 'Stream-Forked-From': '/s/kept', 'Stream-TTL': '1' })
    await send('fork', 'PUT', { 'Stream-Forked-From': '/s/kept' })
    assert.equal((await send('kept', 'DELETE')).status, 204)
    for (const [method, status] of /** @type {[string, number][]} */ ([
      ['GET', 410],
      ['HEAD', 410],
      ['DELETE', 410],
      ['PUT', 409],
    ])) {
      assert.equal((await send('kept', method)).status, status, method)
    }
    assert.equal((await send('kept', 'POST', JSON_TYPE, '1')).status, 410)
    assert.equal((await send('kept', 'POST', { 'Stream-Closed': 'true' })).status, 410)
    assert.equal((await send('kept', 'POST', JSON_TYPE, '{')).status, 410)
    assert.equal((await send('kept?offset=-1&live=sse')).status, 410)
    // By whatever road it goes.
    await engine.delete('fork')
    const isFree = async () => (await send('kept', 'HEAD')).status === 404
    await until(isFree, { interval: 100, message: 'the other fork expires' })
    assert.equal((await send('kept', 'PUT', JSON_TYPE, '[2]')).status, 201)
    assert.deepEqual(await (await send('kept')).json(), [2])
  })
})
