// What a client gets that asks again, because a request of its may have been lost: its answer and no other; a Stop of what it means.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { chatRoutes, consumeSseStream, resumeResponse } from 'tidemark/next'
import { gate } from '../support/gate.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'

/** How much a store's clock may differ from a server's, for the routes. */
const SKEW_MS = 2_000
const owner = 'ann'
/** Before and after all generations that an engine makes. */
const [FIRST, LAST] = ['0'.repeat(26), `7${'Z'.repeat(25)}`]

eachStore('next-lost', (store) => {
  const open = useEngines(store)

  /** A chat with an answer in the middle. @param {object} body of its request */
  async function answered(body) {
    const id = randomUUID()
    const { opened, open: goOn } = gate()
    const engine = open()
    const signals = /** @type {AbortSignal[]} */ ([])
    const routes = chatRoutes({
      engine,
      authorize: () => owner,
      async *generate({ signal }) {
        signals.push(signal)
        yield { type: 'start' }
        await opened
        yield { type: 'finish' }
      },
    })
    const request = (/** @type {string} */ method, /** @type {string} */ query) =>
      new Request(`http://localhost/${query}`, {
        method,
        ...(method === 'POST' && { body: JSON.stringify(body) }),
      })
    const context = { params: { id } }
    const response = await routes.POST(request('POST', ''), context)
    const status = await engine.status(id)
    assert.ok(status)
    return {
      signals,
      status,
      async get(/** @type {string} */ query) {
        const { status, body } = await routes.GET(request('GET', query), context)
        await body?.cancel()
        return status
      },
      stop: async (/** @type {string} */ query) =>
        (await routes.DELETE(request('DELETE', query), context)).json(),
      async end() {
        goOn()
        await response.text()
      },
    }
  }

  const question = { messages: [{ id: 'q', role: 'user', parts: [] }] }

  test('ago: an answer that began so long ago, and a little longer, but no older one', async (t) => {
    const { get, status, end } = await answered(question)
    const age = SKEW_MS + 500
    t.mock.timers.enable({ apis: ['Date'], now: status.startedAt.getTime() + age })
    for (const isOver of [false, true]) {
      if (isOver) await end()
      assert.equal(await get('?after=q&ago=500'), 200)
      assert.equal(await get('?after=q&ago=499'), 204)
      assert.equal(await get('?after=other&ago=500'), 204)
      assert.equal(await get('?after=q&ago=never'), 204)
    }
    t.mock.timers.setTime(status.startedAt.getTime() + SKEW_MS)
    // A client's clock that was put back says nothing.
    assert.equal(await get('?after=q&ago=-3600000'), 200)
  })

  test('past: an answer after that generation', async () => {
    const { get, status, end } = await answered(question)
    for (const isOver of [false, true]) {
      if (isOver) await end()
      assert.equal(await get(`?after=q&ago=60000&past=${FIRST}`), 200)
      assert.equal(await get('?after=q&ago=60000&past='), 200)
      assert.equal(await get(`?after=q&ago=60000&past=${status.generation}`), 204)
      assert.equal(await get(`?after=q&ago=60000&past=${LAST}`), 204)
    }
  })

  test('ago: an active answer that does not say what it follows', async () => {
    const { get, status, end } = await answered({ text: 'hello' })
    assert.equal(await get('?after=q&ago=60000'), 200)
    assert.equal(await get(`?after=q&ago=60000&past=${status.generation}`), 204)
    await end()
    assert.equal(await get('?after=q&ago=60000'), 204)
  })

  test('a Stop of an answer does not stop a later one', async () => {
    const { stop, signals, status, end } = await answered(question)
    assert.deepEqual(await stop(`?generation=${FIRST}`), { result: 'ended' })
    assert.equal(signals[0]?.aborted, false)
    assert.deepEqual(await stop(`?generation=${status.generation}`), { result: 'stopping' })
    await end()
  })

  test('a message that is continued twice, by requests that say nothing of messages, is told by one start', async () => {
    const id = randomUUID()
    const engine = open()
    let calls = 0
    const { POST } = chatRoutes({
      engine,
      authorize: () => owner,
      generate: () =>
        ReadableStream.from([
          { type: 'start', messageId: 'm', messageMetadata: { call: ++calls } },
          { type: 'tool-input-available', toolCallId: `c${calls}`, toolName: 'locate', input: {} },
          { type: 'finish' },
        ]),
    })
    for (let call = 1; call <= 3; call++) {
      const request = new Request('http://localhost/', { method: 'POST', body: '{}' })
      await (await POST(request, { params: { id } })).text()
    }
    const status = await engine.status(id)
    const told = []
    const chunks = engine.subscribe(id, { from: `${status?.generation}.0`, owner })
    for await (const { data } of chunks) told.push(JSON.parse(String(data)))
    assert.deepEqual(
      told.map(({ type, toolCallId = '', messageMetadata }) =>
        `${type} ${toolCallId}${messageMetadata?.call ?? ''}`.trim(),
      ),
      [
        'start 1',
        'tool-input-available c1',
        'message-metadata 2',
        'tool-input-available c2',
        'start 3',
        'tool-input-available c3',
        'finish',
      ],
    )
  })

  test('a continuation that begins with what is no JSON is kept as it is', async () => {
    const id = randomUUID()
    const engine = open()
    const messages = [...question.messages, { id: 'a', role: 'assistant', parts: [] }]
    const consume = consumeSseStream(engine, id, { owner, controller: new AbortController(), messages })
    await consume({ stream: ReadableStream.from(['data: {oops\n\n']) })
    const told = []
    for await (const { data } of engine.subscribe(id, { owner })) told.push(data)
    assert.deepEqual(told, ['{"type":"start","messageId":"a"}', '{"type":"start"}', '{oops'])
  })
})

test('while the store is away, a client that asks again is told to come back', async () => {
  const engine = /** @type {any} */ ({ state: 'degraded' })
  const request = new Request('http://localhost/?after=q&ago=1')
  const response = await resumeResponse(engine, request, 'c', { owner })
  assert.equal(response.status, 503)
  assert.equal((await response.json()).code, 'ERR_CONNECTION')
})
