// Server-sent events over real HTTP: clients that are cut off and come back, leave, or do not read.

import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import polyfill from 'event-source-polyfill'
import { EventReader, serve, webRequest } from '../support/event-source.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, texts, useEngines, writeAll } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

eachStore('sse over HTTP', (store) => {
  const open = useEngines(store)

  /** A server of its own engine, which gets Node's request or, as a framework would have it, a web one. */
  async function serveStreams({ web = false, ...options } = {}) {
    const engine = open()
    return serve((request) => {
      const streamId = new URL(request.url ?? '', 'http://x').pathname.slice(1)
      return engine.respond(web ? webRequest(request) : request, streamId, options)
    })
  }

  test('G1 checklist 3: clients that are cut off again and again miss nothing and get nothing twice', async () => {
    const random = createRandom(20)
    const engine = open()
    const servers = [await serveStreams(), await serveStreams({ web: true, maxDurationMs: 60 })]
    const producer = await engine.produce('cut')
    const chunks = texts(2_000)

    const readers = Array.from({ length: 6 }, (_, index) => new EventReader(`client ${index}`))
    const clients = readers.map(async (reader) => {
      let connections = 0
      while (reader.end === undefined) {
        const controller = new AbortController()
        const headers = reader.lastEventId ? { 'last-event-id': reader.lastEventId } : undefined
        const { url } = random.pick(servers)
        const response = await fetch(`${url}/cut`, { signal: controller.signal, headers })
        assert.equal(response.status, 200)
        connections++
        const leaveAfter = reader.chunks.length + random.int(1, 300)
        const reading = reader.read(response.body)
        await until(() => reader.isOver || reader.chunks.length >= leaveAfter, { interval: 1 })
        controller.abort()
        await reading
      }
      return connections
    })
    for (const [index, chunk] of chunks.entries()) {
      if (!producer.write(chunk)) await producer.ready
      if (random.chance(0.1)) await turn()
      // Never so far ahead that one connection could bring everything.
      if (index % 100 === 0) await until(() => readers.every((reader) => reader.chunks.length > index - 300))
    }
    await producer.complete()
    const done = await deadline(Promise.all(clients), 15_000, 'the clients end')
    assert.ok(Math.min(...done) > 2, `${done} connections`)
    checkHistory({ written: numbered(chunks), readers })
  })

  test('G1 a polyfill of EventSource, which sends the last id as a parameter, goes on where it was', async () => {
    const engine = open()
    const producer = await engine.produce('polyfill')
    const { url } = await serveStreams({ maxDurationMs: 100 })
    const { EventSourcePolyfill } = /** @type {any} */ (polyfill)
    const source = new EventSourcePolyfill(`${url}/polyfill?cursor=start`)
    /** @type {{ seq: number, data: string }[]} */
    const chunks = []
    let connections = 0
    source.onopen = () => connections++
    source.onmessage = (/** @type {{ data: string, lastEventId: string }} */ { data, lastEventId }) =>
      chunks.push({ seq: Number(lastEventId.split('.')[1]), data })
    try {
      for (const text of texts(50)) {
        await producer.append(text)
        if (connections < 3)
          await until(() => connections >= 3 || chunks.at(-1)?.data === text, { interval: 5 })
      }
      await until(() => connections >= 3)
      await producer.append('last')
      await until(() => chunks.at(-1)?.data === 'last')
    } finally {
      source.close()
    }
    await producer.complete()
    const written = numbered([...texts(50), 'last'])
    checkHistory({ written, readers: [{ name: 'the polyfill', chunks, outcome: 'left' }] })
  })

  test('G7 item 7 a client that leaves frees its subscription and stops nothing', async () => {
    const engine = open()
    const producer = await engine.produce('left')
    const server = open()
    const { url, bodies } = await serve((request) => server.respond(request, 'left'))
    const controllers = Array.from({ length: 20 }, () => new AbortController())
    const readers = controllers.map((_, index) => new EventReader(`client ${index}`))
    const reading = controllers.map(async ({ signal }, index) =>
      readers[index]?.read((await fetch(`${url}/left`, { signal })).body),
    )
    producer.write('a')
    await until(() => readers.every(({ chunks }) => chunks.length === 1))
    assert.equal(server.metrics().readers, 20)
    for (const controller of controllers) controller.abort()
    await Promise.all(reading)
    await until(() => server.metrics().readers === 0)
    await until(() => bodies.length === 20)
    await deadline(Promise.all(bodies), 20_000, 'the server ends its responses')
    if (store.kind === 'redis') {
      const { admin } = store.redis
      await until(async () => (await admin.channels('*left}:live')).length === 0, {
        message: 'no channel is left',
      })
    }
    assert.equal(producer.signal.aborted, false)
    producer.write('b')
    await producer.complete()
    checkHistory({ written: numbered(['a', 'b']), readers: [await follow(engine, 'left').end()] })
  })

  test('G7 a client that does not read holds its subscription back, and gets everything once it does', async () => {
    const engine = open()
    const producer = await engine.produce('slow')
    let sent = 0
    const { url } = await serve(async (request) => {
      const { body, ...response } = await open().respond(request, 'slow')
      const counted = new TransformStream({
        transform(bytes, controller) {
          sent += bytes.byteLength
          controller.enqueue(bytes)
        },
      })
      return new Response(body?.pipeThrough(counted), response)
    })
    /** @type {import('node:http').IncomingMessage} */
    const response = await new Promise((resolve, reject) => {
      httpRequest(`${url}/slow`, resolve).on('error', reject).end()
    })
    response.pause()
    const chunks = texts(400, 'y'.repeat(100_000))
    await writeAll(producer, chunks)
    await producer.complete()
    let before = -1
    while (sent > before) {
      before = sent
      for (let turns = 0; turns < 20; turns++) await engine.status('slow')
    }
    // What the sockets' buffers took, of 40 MB.
    assert.ok(sent > 0 && sent < 20_000_000, `${sent} bytes`)
    const reader = new EventReader()
    await reader.read(/** @type {any} */ (response))
    checkHistory({ written: numbered(chunks), readers: [reader] })
  })
})
