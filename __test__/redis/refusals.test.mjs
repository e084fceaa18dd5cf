// G10: a client that is refused learns the code and what it means; the store's own words are for the application.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { chatRoutes, resumeResponse, stopResponse } from 'tidemark/next'
import { EventReader } from '../support/event-source.mjs'
import { openEngine, openRedis } from '../support/fault-scene.mjs'
import { freePort } from '../support/free-port.mjs'
import { until } from '../support/wait.mjs'

const CURSOR = '01ARZ3NDEKTSV4RRFFQ69G5FAV.1'
const get = () => new Request('http://localhost/')
const post = (/** @type {object} */ body) =>
  new Request('http://localhost/', { method: 'POST', body: JSON.stringify(body) })

/**
 * Everything that answers a request.
 * @param {import('tidemark').Engine} engine
 * @param {((error: any) => any) | undefined} onError
 * @returns {Record<string, () => Promise<Response>>}
 */
function handlers(engine, onError) {
  const owner = 'ann'
  const generate = () => new ReadableStream()
  const params = { id: 'chat' }
  const routes = chatRoutes({ engine, authorize: () => owner, generate, onError })
  const streamed = chatRoutes({
    engine,
    authorize: () => owner,
    generate,
    onError,
    activeStream: { get: () => 'stream', set() {} },
  })
  return {
    respond: () => engine.respond(get(), 'chat', { wait: 0, onError }),
    acknowledge: () => engine.acknowledge(post({ cursor: CURSOR, consumer: 'ann' }), 'chat', { onError }),
    resumeResponse: () => resumeResponse(engine, get(), 'chat', { owner, onError }),
    stopResponse: () => stopResponse(engine, 'chat', { owner, onError }),
    GET: () => routes.GET(get(), { params }),
    DELETE: () => routes.DELETE(get(), { params }),
    'GET with activeStream': () => streamed.GET(get(), { params }),
    'DELETE with activeStream': () => streamed.DELETE(get(), { params }),
    'POST with activeStream': () => streamed.POST(post({}), { params }),
  }
}

test('G10 a store that is away: no address, and the application is told once', async (t) => {
  const port = await freePort()
  const engine = createEngine({ url: `redis://secret:hidden@127.0.0.1:${port}`, connectTimeout: 10 })
  t.after(() => engine.close())
  const log = t.mock.method(console, 'error', () => {})
  for (const isDefault of [false, true]) {
    /** @type {any[]} */
    const told = []
    const onError = isDefault ? undefined : (/** @type {any} */ error) => told.push(error)
    for (const [name, call] of Object.entries(handlers(engine, onError))) {
      told.length = 0
      log.mock.resetCalls()
      const response = await call()
      assert.equal(response.status, 503, name)
      assert.equal(response.headers.get('retry-after'), '1')
      assert.deepEqual(
        await response.json(),
        { code: 'ERR_CONNECTION', message: 'the store cannot be reached' },
        name,
      )
      const errors = isDefault ? log.mock.calls.map((each) => each.arguments[0]) : told
      assert.deepEqual(
        errors.map(({ code }) => code),
        ['ERR_CONNECTION'],
        name,
      )
      assert.match(errors[0].message, new RegExp(`127.0.0.1:${port}`))
    }
  }
  // What onError does is its own affair.
  const failing = () => {
    throw new Error('no log')
  }
  assert.equal((await engine.respond(get(), 'chat', { wait: 0, onError: failing })).status, 503)
  const rejecting = async () => Promise.reject(new Error('no log'))
  assert.equal((await engine.respond(get(), 'chat', { wait: 0, onError: rejecting })).status, 503)
  await turn()
})

test('G10 a store that refuses: no user, no command, and the application is told once', async (t) => {
  const redis = await openRedis(t)
  await redis.admin.cmd('ACL', 'SETUSER', 'secret', 'on', 'nopass', '~*', '&*', '+@all', '-@scripting')
  const engine = openEngine(t, { url: `redis://secret:x@127.0.0.1:${redis.port}` })
  /** @type {any[]} */
  const told = []
  for (const [name, call] of Object.entries(handlers(engine, (error) => told.push(error)))) {
    told.length = 0
    const response = await call()
    assert.equal(response.status, 503, name)
    assert.deepEqual(await response.json(), { code: 'ERR_STORE', message: 'the store refused' }, name)
    assert.equal(told.length, 1, name)
    assert.match(told[0].message, /NOPERM|permission/i)
  }
})

for (const format of /** @type {const} */ (['events', 'ui-messages'])) {
  test(`G10 a store that refuses in mid-stream, told as ${format}`, async (t) => {
    const redis = await openRedis(t)
    const right = (/** @type {string} */ rule) => redis.admin.cmd('ACL', 'SETUSER', 'secret', rule)
    await redis.admin.cmd('ACL', 'SETUSER', 'secret', 'on', 'nopass', '~*', '&*', '+@all')
    const writer = openEngine(t, { url: redis.url })
    const engine = openEngine(t, { url: `redis://secret:x@127.0.0.1:${redis.port}` })
    const producer = await writer.produce('chat')
    // More than a reader is sent before it reads.
    for (let index = 0; index < 40; index++) {
      await producer.append(JSON.stringify({ type: 'data-x', data: 'x'.repeat(50_000) }))
    }
    /** @type {any[]} */
    const told = []
    const { status, body } = await engine.respond(get(), 'chat', {
      format,
      onError: (error) => told.push(error),
    })
    assert.equal(status, 200)
    await right('-@scripting')
    const reader = await new EventReader().read(body)
    const last = reader.parser.events.filter(({ hasId }) => !hasId).map(({ data }) => data)
    await until(() => told.length > 0)
    assert.equal(told.length, 1)
    assert.match(told[0].message, /NOPERM|permission/i)
    const expected = {
      events: [JSON.stringify({ code: 'ERR_STORE', message: 'the store refused' })],
      'ui-messages': [JSON.stringify({ errorText: 'the store refused', type: 'error' }), '[DONE]'],
    }
    assert.deepEqual(last, expected[format])
    await right('+@all')
  })
}
