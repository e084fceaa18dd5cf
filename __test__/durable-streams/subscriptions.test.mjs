// Subscriptions beyond the conformance suite: several servers, leases, webhooks that fail, and who may.

import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { test } from 'node:test'
import { durableStreams } from 'tidemark/durable-streams'
import { startServe } from '../support/serving.mjs'
import { keyFile, signingKey } from '../support/signing-keys.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { claimed, LONG, PULL, receiver, subscriptionServer, wakes, woken } from '../support/subscriptions.mjs'
import { until } from '../support/wait.mjs'

eachStore('subscriptions', (store) => {
  const open = useEngines(store)

  /** Two servers with the same streams. @param {object} [options] */
  const servers = (options = {}) => {
    const keyPrefix = store.prefix()
    const engines = [open({ keyPrefix }), open({ keyPrefix })]
    return { keyPrefix, engines, both: engines.map((engine) => subscriptionServer({ engine, ...options })) }
  }
  /** @typedef {import('../support/subscriptions.mjs').Server} Server */

  test('G4 work is given to one worker, on whichever server, and the one before is fenced', async () => {
    const { both } = servers()
    const [a, b] = /** @type {[Server, Server]} */ (both)
    await a.call('PUT', 'wakes', [])
    await a.append('runs/old')
    const { status, body } = await a.sub('PUT', 's', { ...PULL, pattern: 'runs/**', lease_ttl_ms: 1000 })
    assert.equal(status, 201)
    const old = body.streams[0].acked_offset
    assert.match(old, /_0{15}1$/, 'what is there is begun at its end')
    assert.deepEqual([(await b.sub('PUT', 's', { ...PULL, pattern: 'runs/**' })).status], [409])
    assert.equal((await b.sub('PUT', 's', { ...PULL, pattern: 'runs/**', lease_ttl_ms: 1000 })).status, 200)
    assert.equal((await b.sub('POST', 's/claim', { worker: 'w' })).body.error.code, 'NO_PENDING_WORK')
    await b.append('runs/a/1')
    await woken(a, 1)
    const first = await claimed(b, 's', 'one')
    const { tail_offset: tail, ...work } = first.streams.find(
      (/** @type {any} */ each) => each.path === 'runs/a/1',
    )
    assert.deepEqual(work, {
      path: 'runs/a/1',
      link_type: 'glob',
      acked_offset: '0000000000000000_0000000000000000',
      has_pending: true,
    })
    const busy = await a.sub('POST', 's/claim', { worker: 'two' })
    assert.deepEqual(
      [busy.status, busy.body.error.code, busy.body.error.current_holder, busy.body.error.generation],
      [409, 'ALREADY_CLAIMED', 'one', 1],
    )
    // Its lease ends: there is another wake, and the cursor is where it was.
    await woken(b, 2)
    const word = { wake_id: first.wake_id, generation: first.generation }
    const acks = [{ stream: 'runs/a/1', offset: tail }]
    for (const server of [a, b]) {
      for (const action of ['ack', 'release']) {
        const { status, body } = await server.sub(
          'POST',
          `s/${action}`,
          { ...word, acks, done: true },
          first.token,
        )
        assert.deepEqual([status, body.error.code], [409, 'FENCED'])
      }
    }
    const second = await claimed(a, 's', 'two')
    assert.equal(second.generation, 2)
    const mixed = await b.sub('POST', 's/ack', { ...word, generation: 2, acks }, first.token)
    assert.equal(mixed.body.error.code, 'FENCED', 'a token is of one generation')
    const now = { wake_id: second.wake_id, generation: 2 }
    assert.equal((await b.sub('POST', 's/ack', { ...now, acks }, `${second.token}x`)).status, 401)
    assert.equal((await b.sub('POST', 's/ack', { ...now, acks })).status, 401)
    // What is appended meanwhile is another wake's, and said so.
    await a.append('runs/a/1')
    const { status: ok, body: done } = await b.sub(
      'POST',
      's/ack',
      { ...now, acks, done: true },
      second.token,
    )
    assert.deepEqual([ok, done], [200, { ok: true, next_wake: true }])
    const third = await claimed(a, 's')
    assert.equal(third.generation, 3)
    const released = await b.sub('POST', 's/release', { wake_id: third.wake_id, generation: 3 }, third.token)
    assert.equal(released.status, 204)
    const events = await until(async () => {
      const events = await wakes(b)
      return events.at(-1)?.generation === 4 && events
    }, LONG)
    // Who claims first makes the event of the third one needless.
    const told = events.filter((/** @type {any} */ each) => each.generation !== 3)
    assert.deepEqual(
      told.map((/** @type {any} */ { ts, ...event }) => event),
      [1, 2, 4].map((generation) => ({ type: 'wake', subscription_id: 's', stream: 'runs/a/1', generation })),
    )
    assert.equal((await a.sub('DELETE', 's')).status, 204)
    assert.equal((await b.sub('GET', 's')).status, 404)
    assert.equal((await b.sub('POST', 's/ack', now, second.token)).status, 404)
  })

  test('G4 cursors move forward, to where a stream of the subscription has been', async () => {
    const { both } = servers()
    const [a, b] = /** @type {[Server, Server]} */ (both)
    await a.call('PUT', 'wakes', [])
    await a.sub('PUT', 's', { ...PULL, streams: ['one'] })
    await b.append('one')
    await b.append('one')
    const { wake_id, generation, token, streams } = await claimed(a, 's')
    const tail = await until(async () => {
      const { headers } = await a.call('GET', 'one?offset=now')
      return headers.get('stream-next-offset')
    })
    assert.equal(streams.length, 1)
    const ack = (/** @type {string} */ stream, /** @type {unknown} */ offset) =>
      b.sub('POST', 's/ack', { wake_id, generation, acks: [{ stream, offset }] }, token)
    assert.equal((await ack('one', tail)).status, 200)
    const beyond = tail.replace(/\d$/, '9')
    const before = tail.replace(/\d$/, '1')
    for (const [stream, offset] of [
      ['one', beyond],
      ['one', before],
      ['one', '-1'],
      ['one', 'now'],
      ['one', 7],
      ['other', tail],
    ]) {
      const { status, body } = await ack(/** @type {string} */ (stream), offset)
      assert.deepEqual([status, body.error.code], [409, 'INVALID_OFFSET'], `${stream} ${offset}`)
    }
    assert.equal((await a.sub('GET', 's')).body.streams[0].acked_offset, tail)
  })

  test('G3 a wake is written once its stream is there, and once', async () => {
    const { both } = servers()
    const [a, b] = /** @type {[Server, Server]} */ (both)
    await a.sub('PUT', 's', { ...PULL, pattern: '*' })
    await a.append('x')
    await until(async () => (await b.sub('GET', 's')).body.status === 'failed', LONG)
    await b.call('PUT', 'wakes', [])
    await woken(a, 1)
    await until(async () => (await b.sub('GET', 's')).body.status === 'active', LONG)
    assert.equal(
      (await wakes(b)).length,
      1,
      'its own wakes are no work, although the pattern matches their stream',
    )
  })

  test('G1 a fork ends at an offset of the stream that it is from', async () => {
    const { engines, both } = servers()
    const [a] = /** @type {[Server]} */ (both)
    await a.call('PUT', 'wakes', [])
    await a.call('PUT', 'source', ['one', 'two'])
    await a.sub('PUT', 's', { ...PULL, streams: ['fork'] })
    await engines[0]?.log('fork', { contentType: 'application/json' }).createFrom('source')
    const { streams } = await claimed(a, 's')
    const ends = await Promise.all(['fork', 'source'].map((path) => a.call('HEAD', path)))
    const [fork, source] = ends.map(({ headers }) => headers.get('stream-next-offset'))
    assert.deepEqual([streams[0].tail_offset, fork], [source, source])
  })

  test('streams are added and taken away; what the pattern matches stays', async () => {
    const { both } = servers()
    const [a, b] = /** @type {[Server, Server]} */ (both)
    await a.call('PUT', 'wakes', [])
    await a.append('runs/1')
    await a.sub('PUT', 's', { ...PULL, pattern: 'runs/*', streams: ['/else/where', 'runs/1'] })
    const shown = async () => {
      const { streams } = (await b.sub('GET', 's')).body
      return streams.map((/** @type {any} */ { path, link_type }) => `${link_type} ${path}`).sort()
    }
    assert.deepEqual(await shown(), ['explicit else/where', 'explicit runs/1'])
    assert.equal((await b.sub('POST', 's/streams', { streams: ['a b/ü', 'runs/2'] })).status, 204)
    assert.equal((await b.sub('DELETE', `s/streams/${encodeURIComponent('a b/ü')}`)).status, 204)
    assert.equal((await b.sub('DELETE', 's/streams/runs/1')).status, 204)
    assert.equal((await b.sub('DELETE', 's/streams/nothing')).status, 204)
    assert.deepEqual(await shown(), ['explicit else/where', 'explicit runs/2', 'glob runs/1'])
    for (const body of [{ streams: [] }, { streams: [1] }, { streams: ['__ds/x'] }, {}, [], 'x']) {
      assert.equal((await b.sub('POST', 's/streams', body)).body.error.code, 'INVALID_REQUEST')
    }
    await a.call('DELETE', 'runs/1')
    await b.append('else/where')
    const { streams, wake_id, generation, token } = await claimed(b, 's')
    const pending = streams.filter((/** @type {any} */ each) => each.has_pending)
    assert.deepEqual(
      pending.map((/** @type {any} */ each) => each.path),
      ['else/where'],
    )
    // A stream that was recreated is another one, and begun at its beginning.
    await a.append('runs/1')
    const acks = pending.map((/** @type {any} */ each) => ({ stream: each.path, offset: each.tail_offset }))
    await until(async () => (await shown()).includes('glob runs/1'), LONG)
    const done = await a.sub('POST', 's/ack', { wake_id, generation, acks, done: true }, token)
    assert.deepEqual(done.body, { ok: true, next_wake: true })
  })

  test('webhooks are signed, are sent again, and answer for themselves', async (t) => {
    const keys = [signingKey(), signingKey()]
    const { both } = servers({
      subscriptions: { keys, allowLocalhost: true, origin: 'https://chat.example' },
    })
    const [a, b] = /** @type {[Server, Server]} */ (both)
    const { url, hooks } = await receiver(t, (hook, number) => {
      if (number === 1) hook.answer(500)
      else if (number === 2) hook.answer(302)
      else if (number === 3) hook.answer(200, { done: true })
      else hook.answer(202)
    })
    const made = await a.sub('PUT', 's', {
      type: 'webhook',
      pattern: '*',
      webhook: { url },
      lease_ttl_ms: 60_000,
    })
    assert.equal(made.status, 201)
    const { signing } = made.body.webhook
    assert.equal(signing.jwks_url, 'https://chat.example/v1/stream/__ds/jwks.json')
    assert.ok(!JSON.stringify(made.body).includes('secret'))
    await b.append('one')
    await until(() => hooks.length >= 3, LONG)
    const [first, , third] = hooks
    const jwks = (await b.call('GET', '__ds/jwks.json')).body.keys
    assert.equal(jwks.length, 2)
    for (const { raw, signature } of hooks) {
      const [, time, kid, signed] = /^t=(\d+),kid=([^,]+),ed25519=([\w-]+)$/.exec(signature) ?? []
      assert.equal(kid, signing.kid)
      const key = createPublicKey({
        key: jwks.find((/** @type {any} */ each) => each.kid === kid),
        format: 'jwk',
      })
      const bytes = Buffer.from(`${time}.${raw}`)
      assert.ok(verify(null, bytes, key, Buffer.from(String(signed), 'base64url')))
      assert.ok(Math.abs(Number(time) - Date.now() / 1000) < 60)
    }
    assert.equal(first?.raw, third?.raw, 'the same wake says the same')
    const tail = third?.body.streams[0].tail_offset
    await until(async () => (await a.sub('GET', 's')).body.streams[0].acked_offset === tail, LONG)
    // The next one works on its own, and says how far it is.
    await a.append('two')
    const { body } = await until(() => hooks[3], LONG)
    assert.equal(body.generation, 2)
    assert.equal(body.callback_url, 'https://chat.example/v1/stream/__ds/subscriptions/s/callback')
    const { wake_id, generation, streams, callback_token } = body
    const acks = streams
      .filter((/** @type {any} */ each) => each.has_pending)
      .map((/** @type {any} */ each) => ({ stream: each.path, offset: each.tail_offset }))
    assert.deepEqual(
      acks.map((/** @type {any} */ each) => each.stream),
      ['two'],
    )
    const word = { wake_id, generation, acks }
    assert.equal((await b.sub('POST', 's/ack', word, callback_token)).status, 400, 'is for pull-wake')
    assert.equal((await b.sub('POST', 's/claim', { worker: 'w' })).status, 400)
    const renewed = await b.sub('POST', 's/callback', word, callback_token)
    assert.deepEqual(renewed.body, { ok: true, next_wake: false })
    const done = await a.sub('POST', 's/callback', { ...word, done: true }, callback_token)
    assert.deepEqual(done.body, { ok: true, next_wake: false })
    assert.equal((await a.sub('POST', 's/callback', word, callback_token)).body.error.code, 'FENCED')
    assert.equal((await b.sub('DELETE', 's')).status, 204)
    const again = await a.sub('PUT', 's', { type: 'webhook', pattern: '*', webhook: { url } })
    assert.equal(again.status, 201)
    const other = await a.sub('POST', 's/callback', word, callback_token)
    assert.deepEqual([other.status, other.body.error.code], [401, 'TOKEN_INVALID'])
  })

  test('the end of a producer is growth too, and what another process appends is found', async () => {
    const { both, engines, keyPrefix } = servers()
    const [a] = /** @type {[Server, Server]} */ (both)
    await a.call('PUT', 'wakes', [])
    await a.sub('PUT', 's', { ...PULL, pattern: 'chat/*' })
    const producer = await engines[1]?.produce('chat/1')
    producer?.write('hello')
    await producer?.complete()
    const { streams, wake_id, generation, token } = await claimed(a, 's')
    const acks = streams.map((/** @type {any} */ each) => ({ stream: each.path, offset: each.tail_offset }))
    await a.sub('POST', 's/ack', { wake_id, generation, acks, done: true }, token)
    if (store.kind === 'memory') return
    // A server without subscriptions; its turn comes at once.
    const elsewhere = open({ keyPrefix })
    await elsewhere.log('chat/2').append(['x'])
    for (const key of ['round', 'subscription s']) {
      await until(
        async () => {
          await store.redis.admin.cmd('ZADD', `${keyPrefix}:{reminders}:due`, 'XX', '1', 'round')
          await store.redis.admin.cmd('ZADD', `${keyPrefix}:{reminders}:due`, 'XX', '1', key)
          const { body } = await a.sub('POST', 's/claim', { worker: 'w' })
          return body.streams?.find((/** @type {any} */ each) => each.path === 'chat/2')?.has_pending
        },
        { ...LONG, interval: 200 },
      )
      await a.sub('DELETE', 's')
      await a.sub('PUT', 's', { ...PULL, streams: ['chat/2'] })
      await elsewhere.log('chat/2').append(['y'])
    }
  })

  test('G10 authorize is asked for everything, and an owner keeps its own', async () => {
    /** @type {string[]} */
    const asked = []
    /** @type {Set<string>} */
    const denied = new Set()
    let owner = 'ann'
    const authorize = (/** @type {Request} */ _, /** @type {string} */ id, /** @type {string} */ action) => {
      asked.push(`${action} ${id}`)
      return denied.has(`${action} ${id}`) ? false : { owner }
    }
    const { both, engines } = servers({ authorize })
    const [a] = /** @type {[Server, Server]} */ (both)
    await a.call('PUT', 'wakes', [])
    await engines[0]?.log('runs/bob', { owner: 'bob' }).append(['x'])
    await a.append('runs/ann')
    const config = { ...PULL, pattern: 'runs/*', streams: ['x/y'] }
    for (const each of ['subscribe s', 'match runs/*', 'read x/y', 'append wakes']) {
      denied.add(each)
      const { status, body } = await a.sub('PUT', 's', config)
      assert.deepEqual([status, body.error.code], [403, 'FORBIDDEN'], each)
      denied.clear()
    }
    asked.length = 0
    const made = await a.sub('PUT', 's', config)
    assert.deepEqual(asked, ['subscribe s', 'match runs/*', 'read x/y', 'append wakes'])
    const paths = made.body.streams.map((/** @type {any} */ each) => each.path)
    assert.deepEqual(paths.sort(), ['runs/ann', 'x/y'])
    await engines[0]?.log('runs/bob2', { owner: 'bob' }).append(['x'])
    await a.append('runs/ann')
    const { streams } = await claimed(a, 's')
    assert.ok(!streams.some((/** @type {any} */ each) => each.path.startsWith('runs/bob')))
    owner = 'bob'
    for (const [method, path, body] of /** @type {[string, string, any][]} */ ([
      ['GET', 's', undefined],
      ['PUT', 's', config],
      ['DELETE', 's', undefined],
      ['POST', 's/claim', { worker: 'w' }],
      ['POST', 's/streams', { streams: ['x'] }],
      ['DELETE', 's/streams/x', undefined],
    ])) {
      asked.length = 0
      assert.equal((await a.sub(method, path, body)).status, 403, `${method} ${path}`)
      assert.equal(asked[0], 'subscribe s')
    }
  })

  test('what is asked for is checked, and nothing is there without the option', async () => {
    const engine = open()
    const off = durableStreams({ engine, authorize: () => true })
    for (const path of [
      '__ds',
      '__ds/',
      '__ds/jwks.json',
      '__ds/subscriptions/s',
      '__ds/subscriptions/s/claim',
    ]) {
      for (const method of ['GET', 'PUT', 'POST', 'DELETE']) {
        const { status } = await off(new Request(`http://streams.test/v1/stream/${path}`, { method }))
        assert.equal(status, 404, `${method} ${path}`)
      }
    }
    const a = subscriptionServer({ engine })
    for (const config of [
      { ...PULL },
      { ...PULL, pattern: 7 },
      { ...PULL, streams: 'x' },
      { ...PULL, type: 'other', pattern: '*' },
      { ...PULL, pattern: '*', lease_ttl_ms: 999 },
      { ...PULL, pattern: '*', lease_ttl_ms: 600_001 },
      { ...PULL, pattern: '*', wake_stream: undefined },
      { ...PULL, pattern: '*', wake_stream: '__ds/x' },
      { ...PULL, pattern: 'x'.repeat(1025) },
      { type: 'webhook', pattern: '*' },
      { type: 'webhook', pattern: '*', webhook: { url: 'https://worker.example/hook' } },
    ]) {
      const { status, body } = await a.sub('PUT', 's', config)
      assert.deepEqual([status, body.error.code], [400, 'INVALID_REQUEST'], JSON.stringify(config))
    }
    assert.equal((await a.call('GET', '__ds/jwks.json')).status, 404, 'without keys')
    assert.equal((await a.call('GET', '__ds/other')).status, 404)
    assert.equal((await a.sub('PATCH', 's')).status, 405)
    assert.equal((await a.sub('PUT', '%00', { ...PULL, pattern: '*' })).status, 400)
    assert.equal((await a.sub('POST', 's/callback', {}, 'token')).status, 400)
    for (const [subscriptions, field] of /** @type {[any, string][]} */ ([
      [{ keys: 'no key' }, 'options.subscriptions.keys'],
      [{ keys: [7] }, 'options.subscriptions.keys[0]'],
      [{ origin: 'chat.example' }, 'options.subscriptions.origin'],
      [{ origin: 'https://chat.example/path' }, 'options.subscriptions.origin'],
      [{ other: 1 }, 'options.subscriptions.other'],
      [true, 'options.subscriptions'],
      [null, 'options.subscriptions'],
    ])) {
      const make = () => durableStreams({ engine, authorize: () => true, subscriptions })
      assert.throws(make, { code: 'ERR_INVALID_ARGUMENT', field })
    }
  })
})

test('tidemark serve has subscriptions if it is told to', async (t) => {
  await assert.rejects(startServe(['--url', 'memory:', '--webhook-localhost']), /--subscriptions/)
  const file = await keyFile(t, [signingKey(), signingKey()])
  const server = await startServe(['--url', 'memory:', '--subscriptions', '--webhook-keys', file])
  const { keys } = await (await fetch(`${server.address}/v1/stream/__ds/jwks.json`)).json()
  assert.equal(keys.length, 2)
  assert.equal(await server.stop(), 0, server.errors())
})
