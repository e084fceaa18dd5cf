// The examples of servers, over HTTP, as browsers use them.

import assert from 'node:assert/strict'
import test from 'node:test'
import { EventReader } from '../support/event-source.mjs'
import { startExample } from '../support/example.mjs'
import { checkHistory } from '../support/history.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { deadline, until } from '../support/wait.mjs'

const WORDS =
  'Rivers remember where they have been, and a stream that is resumed goes on from where you left it.'.split(
    /(?<= )/,
  )

/**
 * What a framework's routes are called.
 * @typedef {object} Routes
 * @property {(id: string) => [path: string, init: RequestInit]} start
 * @property {(id: string) => string} follow
 * @property {(id: string) => [path: string, init: RequestInit]} stop
 * @property {(data: string) => string} text of an event
 * @property {(reader: EventReader) => string | undefined} outcome that the event stream tells
 */

/** @type {Routes} */
const rest = {
  start: (id) => [`/chats/${id}`, { method: 'POST' }],
  follow: (id) => `/chats/${id}/stream`,
  stop: (id) => [`/chats/${id}`, { method: 'DELETE' }],
  text: (data) => data,
  outcome: ({ end }) => end?.outcome,
}

const json = (/** @type {string} */ id) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ id }),
})

/** tRPC's own protocol: a subscription ends with an event `return`, whatever the outcome. @type {Routes} */
const trpc = {
  start: (id) => ['/start', json(id)],
  follow: (id) => `/follow?input=${encodeURIComponent(JSON.stringify({ id }))}`,
  stop: (id) => ['/stop', json(id)],
  text: (data) => JSON.parse(data),
  outcome: ({ parser }) => (parser.events.some(({ event }) => event === 'return') ? 'complete' : undefined),
}

const frameworks = { 'node-http': rest, express: rest, fastify: rest, hono: rest, trpc }

/** @param {import('node:test').TestContext} t @param {string} name @param {Record<string, string>} [env] */
const serve = async (t, name, env) => (await startExample(t, `servers/${name}`, env)).address

/** Follows a chat in the background. @param {string} server @param {Routes} routes @param {string} id @param {string} [after] */
function follow(server, routes, id, after) {
  const reader = new EventReader(after ? 'the one who came back' : 'the first')
  const headers = after ? { 'last-event-id': after } : undefined
  const done = fetch(server + routes.follow(id), { headers, signal: reader.signal }).then(({ body }) =>
    reader.read(body),
  )
  done.catch(() => {})
  return { reader, end: () => deadline(done, 10_000, 'the event stream ends') }
}

/** @param {Routes} routes @param {{ reader: EventReader, from?: number }[]} readers */
function check(routes, readers) {
  checkHistory({
    written: WORDS.map((data, index) => ({ data, seq: index + 1 })),
    readers: readers.map(({ reader, from = 0 }) => ({
      name: reader.name,
      from,
      chunks: reader.chunks.map(({ seq, data }) => ({ seq, data: routes.text(String(data)) })),
      outcome: routes.outcome(reader) ?? 'left',
    })),
  })
}

for (const [name, routes] of Object.entries(frameworks)) {
  test(`${name}: an answer survives its readers, and is resumed where they left`, async (t) => {
    const server = await serve(t, name)
    await fetch(server + routes.start('a')[0], routes.start('a')[1])
    const first = follow(server, routes, 'a')
    await until(() => first.reader.chunks.length >= 4)
    first.reader.leave()
    const cursor = first.reader.chunks[3]?.cursor
    const back = follow(server, routes, 'a', cursor)
    const late = follow(server, routes, 'a')
    await Promise.all([back.end(), late.end()])
    assert.deepEqual(
      [back, late].map(({ reader }) => routes.outcome(reader)),
      ['complete', 'complete'],
    )
    check(routes, [first, { ...back, from: 4 }, late])
  })

  test(`${name}: Stop ends an answer and keeps what there was`, async (t) => {
    const server = await serve(t, name)
    await fetch(server + routes.start('a')[0], routes.start('a')[1])
    const reader = follow(server, routes, 'a')
    await until(() => reader.reader.chunks.length >= 3)
    const stopped = await fetch(server + routes.stop('a')[0], routes.stop('a')[1])
    assert.match(await stopped.text(), /stopping/)
    await reader.end()
    const seen = reader.reader.chunks.map(({ data }) => routes.text(String(data)))
    assert.ok(seen.length >= 3 && seen.length < WORDS.length, `${seen.length} words`)
    assert.deepEqual(seen, WORDS.slice(0, seen.length))
    const again = follow(server, routes, 'a')
    await again.end()
    assert.deepEqual(again.reader.chunks, reader.reader.chunks)
  })

  test(`${name}: two servers on one Redis`, async (t) => {
    const redis = await startRedis()
    t.after(() => redis.close())
    const env = { TIDEMARK_URL: redis.url }
    const [one, other] = await Promise.all([serve(t, name, env), serve(t, name, env)])
    await fetch(one + routes.start('a')[0], routes.start('a')[1])
    const here = follow(one, routes, 'a')
    await until(() => here.reader.chunks.length >= 2)
    const there = follow(other, routes, 'a', here.reader.chunks[1]?.cursor)
    await Promise.all([here.end(), there.end()])
    check(routes, [here, { ...there, from: 2 }])
    await fetch(one + routes.start('b')[0], routes.start('b')[1])
    const stopped = follow(one, routes, 'b')
    await until(() => stopped.reader.chunks.length >= 2)
    await fetch(other + routes.stop('b')[0], routes.stop('b')[1])
    await stopped.end()
    assert.ok(stopped.reader.chunks.length < WORDS.length)
  })
}
