// A response ends when its client leaves, also when nobody holds the request any more (Node drops its signal then).

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { beforeEach, test } from 'node:test'
import { durableStreams } from 'tidemark/durable-streams'
import { inspector } from 'tidemark/inspector'
import { chatRoutes, resumeResponse } from 'tidemark/next'
import { collectAll } from '../support/garbage.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline } from '../support/wait.mjs'

const owner = 'ann'

eachStore('requests that nobody holds', (store) => {
  const open = useEngines(store)
  /** @type {import('tidemark').Engine} */
  let engine
  /** @type {AbortController} */
  let client
  /** @type {string} */
  let id
  /** @type {unknown[]} */
  const errors = []

  beforeEach(async () => {
    engine = open()
    client = new AbortController()
    id = randomUUID()
    const producer = await engine.produce(id, { owner })
    await producer.write('{"type":"data-one"}')
  })

  const asked = (/** @type {string} */ path) =>
    new Request(`http://localhost${path}`, { signal: client.signal })

  /** Each gives a response that has begun and goes on. @type {Record<string, () => Promise<Response>>} */
  const RESPONSES = {
    respond: () => engine.respond(asked('/'), id, { owner, onError }),
    resumeResponse: () => resumeResponse(engine, asked('/'), id, { owner, onError }),
    'GET of chatRoutes': () => routes().GET(asked('/'), { params: { id } }),
    'GET ?watch': () => routes().GET(asked('/?watch='), { params: { id } }),
    'GET ?startIndex': () => routes().GET(asked('/?startIndex=0'), { params: { id } }),
    'play of the inspector': () =>
      inspector({ engine, authorize: () => true, showData: true })(asked(`/api/play?id=${id}`)),
    async 'live=sse of Durable Streams'() {
      const handler = durableStreams({ engine, authorize: () => true })
      const path = `/v1/stream/log-${id}`
      const put = { method: 'PUT', headers: { 'content-type': 'text/plain' }, body: 'a' }
      await handler(new Request(`http://localhost${path}`, put))
      return handler(asked(`${path}?offset=-1&live=sse`))
    },
  }
  const generate = () => assert.fail('not asked')
  const onError = (/** @type {unknown} */ error) => {
    errors.push(error)
    return 'sorry'
  }
  const routes = () => chatRoutes({ engine, authorize: () => owner, generate, onError })

  for (const [name, begin] of Object.entries(RESPONSES)) {
    test(name, async () => {
      const response = await begin()
      assert.equal(response.status, 200, await (response.ok ? '' : response.text()))
      const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader()
      assert.equal((await reader.read()).done, false)
      await collectAll()
      client.abort()
      const ended = async () => {
        while (!(await reader.read()).done);
      }
      const broken = (/** @type {Error} */ error) => assert.equal(error.name, 'ResponseAborted')
      await deadline(ended().catch(broken), 20_000, 'the response ends')
      assert.deepEqual(errors, [])
    })
  }
})
