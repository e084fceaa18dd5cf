// Stop, and ask again: the next answer waits for the end of the stopped one, on whichever server it is asked for.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { chatRoutes, consumeSseStream } from 'tidemark/next'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const owner = 'ann'

eachStore('next-stop', (store) => {
  const open = useEngines(store)
  let id = ''
  beforeEach(() => {
    id = randomUUID()
  })

  const generate = () => ReadableStream.from([{ type: 'start' }, { type: 'finish' }])

  /** A server. @param {import('tidemark').EngineOptions} [options] */
  function serve(options) {
    const engine = open(options)
    const { POST, DELETE } = chatRoutes({ engine, authorize: () => owner, generate })
    const request = (method) =>
      new Request('http://localhost/', { method, ...(method === 'POST' && { body: '{}' }) })
    const context = { params: { id } }
    return {
      engine,
      post: () => POST(request('POST'), context),
      stop: () => DELETE(request('DELETE'), context),
    }
  }

  test('G6 a POST after a Stop waits for the stopped answer, on one server and on another', async () => {
    for (const [here, there] of [[serve()].flatMap((one) => [one, one]), [serve(), serve()]]) {
      const producer = await here.engine.produce(id, { owner })
      assert.equal((await there.post()).status, 409)
      assert.deepEqual(await (await there.stop()).json(), { result: 'stopping' })
      let isOver = false
      const asked = there.post().finally(() => assert.ok(isOver, 'not before the stopped answer has ended'))
      await until(() => producer.signal.aborted)
      producer.write(JSON.stringify({ type: 'abort' }))
      await producer.flush()
      isOver = true
      await producer.complete()
      const response = await asked
      assert.equal(response.status, 200)
      assert.match(await response.text(), /"finish"/)
      assert.equal((await here.engine.status(id))?.state, 'complete')
    }
  })

  test('G6 Stop and ask again, as fast as the user can: every question is answered', async () => {
    const [here, there] = [serve(), serve()]
    async function* slowly({ signal }) {
      yield { type: 'start' }
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    const { POST } = chatRoutes({ engine: here.engine, authorize: () => owner, generate: slowly })
    for (let round = 0; round < 10; round++) {
      const asked = await POST(new Request('http://localhost/', { method: 'POST', body: '{}' }), {
        params: { id },
      })
      assert.equal(asked.status, 200)
      const [, again] = await Promise.all([there.stop(), sleep(round % 3).then(there.post)])
      // One that has overtaken the stop is refused, as it was asked for while nothing was stopped.
      if (again.status === 409) assert.equal((await there.post()).status, 200)
      else assert.equal(again.status, 200)
      assert.match(await asked.text(), /"abort"/)
      await until(async () => (await here.engine.status(id))?.state === 'complete')
    }
  })

  test('an answer that nobody has stopped refuses the next one at once', async () => {
    // One that waited would wait for that long, and more.
    const { engine, post } = serve({ stopGrace: '1m' })
    await engine.produce(id, { owner })
    const refused = await deadline(post(), 20_000, 'the refusal')
    assert.equal(refused.status, 409)
    assert.equal((await refused.json()).code, 'ERR_ACTIVE')
  })

  test('G6 a producer that ignores the stop is waited for, but not for ever', async () => {
    const deaf = open({ stopGrace: '300ms' })
    await deaf.produce(id, { owner })
    const server = serve()
    await server.stop()
    assert.equal((await server.post()).status, 200, 'its time is up')
    await until(async () => (await server.engine.status(id))?.state === 'complete')

    const patient = open({ stopGrace: '1m' })
    await patient.produce(id, { owner })
    const hasty = serve({ stopGrace: '0ms' })
    await hasty.stop()
    assert.equal((await deadline(hasty.post(), 20_000, 'the refusal')).status, 409)
  })

  test('consumeSseStream waits as well', async () => {
    const engine = open()
    const producer = await engine.produce(id, { owner })
    await engine.stop(id, undefined, { owner })
    /** @type {unknown[]} */
    const errors = []
    const controller = new AbortController()
    const keep = consumeSseStream(engine, id, { owner, controller, onError: (error) => errors.push(error) })
    const kept = keep({ stream: ReadableStream.from(['data: {"type":"start"}\n\n']) })
    await until(() => producer.signal.aborted)
    await producer.complete()
    await kept
    assert.deepEqual(errors, [])
    assert.equal((await engine.status(id))?.state, 'complete')
  })
})
