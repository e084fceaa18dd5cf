// What the documentation of @durable-streams/client promises, with that client against a server of ours.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DurableStream, IdempotentProducer, StaleEpochError, stream } from '@durable-streams/client'
import { durableStreams, toNodeListener } from 'tidemark/durable-streams'
import { PATIENT } from '../support/patient.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const JSON_TYPE = 'application/json'
/** Quick, and as patient as the test. */
const BACKOFF = { initialDelay: 20, maxDelay: 100, multiplier: 1.5 }
/** Event streams of ours that end soon are not broken ones. */
const SHORT = { minConnectionDuration: 50 }
const range = (/** @type {number} */ count) => Array.from({ length: count }, (_, index) => index)

/** Tries again, which a producer leaves to its `fetch`. @param {typeof fetch} unreliable @returns {typeof fetch} */
function patient(unreliable) {
  return async (input, init) => {
    for (;;) {
      const response = await unreliable(input, init).catch(() => null)
      if (response !== null && response.status < 500) return response
      await sleep(10)
    }
  }
}

/** @param {import('tidemark').Engine} engine @param {Partial<import('tidemark/durable-streams').DurableStreamsOptions>} [options] */
async function serve(engine, options) {
  const handle = durableStreams({ engine, authorize: () => true, longPollMs: 500, ...options })
  const server = createServer(PATIENT, toNodeListener(handle))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  after(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  return (/** @type {string} */ id) => `http://127.0.0.1:${port}/v1/stream/${id}`
}

eachStore('the client of Durable Streams', (store) => {
  const open = useEngines(store)

  test('reads what is there: as text, bytes, JSON, streams, and from where it left off', async () => {
    const at = await serve(open())
    const text = await DurableStream.create({ url: at('text'), contentType: 'text/plain', ttlSeconds: 3600 })
    await text.append('one ')
    const { offset } = await text.head()
    await text.append('tŵo')
    const url = at('text')
    assert.equal(await (await stream({ url, live: false })).text(), 'one tŵo')
    assert.deepEqual(Buffer.from(await (await stream({ url, live: false, offset })).body()).toString(), 'tŵo')
    let streamed = ''
    for await (const part of (await stream({ url, live: false })).textStream()) streamed += part
    assert.equal(streamed, 'one tŵo')
    const json = await DurableStream.create({ url: at('json'), contentType: JSON_TYPE })
    await Promise.all(range(20).map((number) => json.append(JSON.stringify({ number }))))
    const items = await (await stream({ url: at('json'), live: false })).json()
    assert.deepEqual(
      items.map(({ number }) => number).sort((one, other) => one - other),
      range(20),
    )
    const resumed = await stream({ url: at('json'), live: false, offset: (await json.head()).offset })
    assert.deepEqual(await resumed.json(), [])
    assert.equal(resumed.upToDate, true)
    const bytes = await DurableStream.create({ url: at('bytes') })
    await bytes.append(new Uint8Array([0, 255, 128]))
    assert.deepEqual([...(await (await bytes.stream({ live: false })).body())], [0, 255, 128])
  })

  for (const live of /** @type {const} */ ([true, 'long-poll', 'sse'])) {
    test(`G1 follows a stream to its close (live: ${live})`, async () => {
      // Its event streams end again and again, and it comes back.
      const at = await serve(open(), { sseMs: 150 })
      const url = at(`live ${live}`)
      const writer = await DurableStream.create({ url, contentType: JSON_TYPE })
      await writer.append('0')
      /** @type {number[]} */
      const seen = []
      const response = await stream({ url, live, backoffOptions: BACKOFF, sseResilience: SHORT })
      response.subscribeJson(async ({ items }) => {
        seen.push(.../** @type {number[]} */ (items))
      })
      for (let number = 1; number < 40; number++) {
        await writer.append(String(number))
        if (number % 10 === 0) await until(() => seen.length === number + 1)
      }
      await writer.close({ body: '40' })
      await deadline(response.closed, 20_000, 'the reader ends')
      // What it has got is handed over in a moment.
      await until(() => seen.length >= 41, { message: () => `${seen}` })
      assert.deepEqual(seen, range(41))
      assert.equal(response.streamClosed, true)
    })

    test(`G1 follows bytes that are cut anywhere (live: ${live})`, async () => {
      const at = await serve(open())
      const url = at(`bytes ${live}`)
      const writer = await DurableStream.create({ url, contentType: 'application/octet-stream' })
      const whole = Buffer.from('é🌊\r\n\n data: '.repeat(50))
      const response = await stream({ url, live: live === true ? 'long-poll' : live })
      const parts = response.bodyStream()
      for (let from = 0; from < whole.length; from += 37) await writer.append(whole.subarray(from, from + 37))
      await writer.close()
      const found = []
      for await (const part of parts) found.push(part)
      assert.deepEqual(Buffer.concat(found).toString(), whole.toString())
    })
  }

  test('makes, describes, closes and removes streams, and is told what stands against it', async () => {
    const at = await serve(open())
    const url = at('life')
    assert.equal((await DurableStream.head({ url })).exists, false)
    const one = await DurableStream.create({ url, contentType: 'text/plain' })
    await DurableStream.create({ url, contentType: 'text/plain' })
    await assert.rejects(DurableStream.create({ url, contentType: JSON_TYPE }), { status: 409 })
    await one.append('b', { seq: '2' })
    await assert.rejects(one.append('a', { seq: '1' }), { status: 409 })
    await one.appendStream(
      (async function* () {
        yield 'c'
        yield 'd'
      })(),
    )
    const head = await DurableStream.head({ url })
    assert.deepEqual([head.exists, head.contentType, head.streamClosed], [true, 'text/plain', false])
    const { finalOffset } = await one.close({ body: 'e' })
    assert.equal((await one.close()).finalOffset, finalOffset)
    await assert.rejects(one.append('f'), { status: 409 })
    assert.equal((await DurableStream.head({ url })).streamClosed, true)
    assert.equal(await (await stream({ url })).text(), 'bcde')
    await DurableStream.delete({ url })
    await assert.rejects(stream({ url }), { status: 404 })
    const piped = await DurableStream.create({ url: at('piped'), contentType: 'text/plain' })
    await new Blob(['x'.repeat(100_000)]).stream().pipeTo(piped.writable())
    assert.equal((await (await piped.stream({ live: false })).text()).length, 100_000)
    const closed = await DurableStream.create({
      url: at('closed'),
      contentType: JSON_TYPE,
      body: '1',
      closed: true,
    })
    assert.deepEqual(await (await closed.stream()).json(), [1])
  })

  test('G3 a producer with several batches under way writes each once, in order, whatever is lost on the way', async () => {
    const random = createRandom(11)
    const at = await serve(open())
    const lossy = /** @type {typeof fetch} */ (
      async (input, init) => {
        const kind = random.int(0, 9)
        if (kind === 0) throw new TypeError('fetch failed')
        if (kind === 1) return new Response(null, { status: 503, headers: { 'Retry-After': '0' } })
        const response = await fetch(input, init)
        if (kind < 4) throw new TypeError('the answer was lost')
        return response
      }
    )
    const handle = await DurableStream.create({ url: at('once'), contentType: JSON_TYPE })
    const lost = new DurableStream({
      url: at('once'),
      contentType: JSON_TYPE,
      fetch: lossy,
      backoffOptions: BACKOFF,
    })
    /** @type {Error[]} */
    const errors = []
    const producer = new IdempotentProducer(lost, 'p', {
      fetch: patient(lossy),
      maxInFlight: 5,
      lingerMs: 1,
      maxBatchBytes: 40,
      onError: (error) => errors.push(error),
    })
    for (const number of range(200)) producer.append(JSON.stringify({ number }))
    await deadline(producer.flush(), 30_000, 'everything is written')
    await deadline(producer.close('{"number":200}'), 30_000, 'it is closed')
    assert.deepEqual(errors, [])
    const found = /** @type {{ number: number }[]} */ (await (await handle.stream({ live: false })).json())
    assert.deepEqual(
      found.map(({ number }) => number),
      range(201),
    )
  })

  test('G4 a producer that claims its name fences the one before it', async () => {
    const at = await serve(open())
    const handle = await DurableStream.create({ url: at('fenced'), contentType: 'text/plain' })
    /** @type {Error[]} */
    const errors = []
    const old = new IdempotentProducer(handle, 'p', { onError: (error) => errors.push(error) })
    old.append('a')
    await old.flush()
    const again = new IdempotentProducer(handle, 'p', { autoClaim: true, epoch: 0 })
    await again.restart()
    again.append('b')
    await again.flush()
    old.append('lost')
    await old.flush().catch(() => {})
    await until(() => errors.length === 1)
    assert.ok(errors[0] instanceof StaleEpochError)
    assert.equal(/** @type {StaleEpochError} */ (errors[0]).currentEpoch, 1)
    const claiming = new IdempotentProducer(handle, 'p', { autoClaim: true })
    claiming.append('c')
    await claiming.flush()
    assert.equal(claiming.epoch, 2)
    assert.equal(await (await handle.stream({ live: false })).text(), 'abc')
    await claiming.detach()
    assert.equal((await handle.head()).streamClosed, false)
  })

  test('backs off while the server is away, and asks for new rights where they are refused', async () => {
    let isAway = true
    let asked = 0
    const at = await serve(open(), {
      authorize: ({ headers }) => {
        asked++
        if (isAway) return new Response(null, { status: 503, headers: { 'Retry-After': '0' } })
        return headers.get('authorization') === 'Bearer new' || new Response(null, { status: 401 })
      },
    })
    const url = at('rights')
    const making = DurableStream.create({
      url,
      contentType: 'text/plain',
      headers: { Authorization: () => 'Bearer new' },
      backoffOptions: BACKOFF,
    })
    await until(() => asked >= 3)
    isAway = false
    await (await making).append('x')
    /** @type {number[]} */
    const refused = []
    const response = await stream({
      url,
      live: false,
      headers: { Authorization: 'Bearer old' },
      onError: (/** @type {any} */ error) => {
        refused.push(error.status)
        return { headers: { Authorization: 'Bearer new' } }
      },
    })
    assert.equal(await response.text(), 'x')
    assert.deepEqual(refused, [401])
  })
})
