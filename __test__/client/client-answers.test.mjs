// tidemark/client against prepared answers: what it takes from them, and what ends its loop.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow } from 'tidemark/client'
import { chunk, events, QUICK, read, scripted, UNKNOWN } from '../support/following.mjs'
import { deadline, until } from '../support/wait.mjs'

test('chunks that a server repeats are dropped', async () => {
  const { url, asked } = await scripted(
    events(chunk(1) + chunk(2)),
    events(chunk(1) + chunk(2) + chunk(3)),
    events(`${chunk(2)}event: unknown\ndata: x\n\n${chunk(4)}event: end\ndata: {"outcome":"complete"}\n\n`),
  )
  const { chunks } = await read(url).end()
  assert.deepEqual(
    chunks.map(({ seq, data }) => [seq, data]),
    [1, 2, 3, 4].map((seq) => [seq, `${seq}`]),
  )
  assert.deepEqual(asked, ['/', `/?cursor=${UNKNOWN}.2`, `/?cursor=${UNKNOWN}.3`])
})

const page = '<!doctype html><form action="/login">'
const kinds = /** @type {const} */ ({
  'a login page': () => new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } }),
  'a page that looks like events': () => new Response(chunk(1), { headers: { 'content-type': 'text/html' } }),
  'JSON, even with a code': () => Response.json({ code: 'ERR_GAP', message: 'what?' }),
  'plain text': () => new Response('data: x\n\n'),
  'another stream': () => new Response('{}', { headers: { 'content-type': 'text/event-streams' } }),
})
for (const [name, answer] of Object.entries(kinds)) {
  test(`${name} with the status 200 is an error, at once`, async () => {
    const { url, asked } = await scripted(answer)
    const { error } = await read(url).end()
    assert.deepEqual(
      [error.name, error.code, error.status, asked.length],
      ['FollowError', 'ERR_HTTP', 200, 1],
    )
    const type = answer().headers.get('content-type')
    assert.equal(error.message, `the server answered with ${type}`)
  })
}

test('a redirect to a login page is an error, at once, and one to the stream is followed', async () => {
  const { url, asked } = await scripted(
    () => new Response(null, { status: 302, headers: { location: '/login?next=%2F' } }),
    kinds['a login page'],
  )
  assert.equal((await read(url).end()).error?.code, 'ERR_HTTP')
  assert.deepEqual(asked, ['/', '/login?next=%2F'])
  const type = { 'content-type': 'Text/Event-Stream;charset=UTF-8' }
  const moved = await scripted(
    () => new Response(null, { status: 307, headers: { location: '/there' } }),
    () => new Response(`${chunk(1)}event: end\ndata: {"outcome":"complete"}\n\n`, { headers: type }),
  )
  assert.deepEqual((await read(moved.url).end()).chunks.length, 1)
  // In circles it is no answer, and one that is asked for ever less often.
  const circle = await scripted(() => new Response(null, { status: 302, headers: { location: '/' } }))
  const controller = new AbortController()
  const lost = read(circle.url, { ...QUICK, signal: controller.signal })
  await until(() => circle.asked.length > 40)
  controller.abort('enough')
  assert.equal((await lost.end()).error, 'enough')
})

test('a refusal ends the loop, whatever it says', async () => {
  /** @type {[string, string, string][]} */
  const bodies = [
    ['null', 'the server answered with 403', 'ERR_HTTP'],
    ['[]', 'the server answered with 403', 'ERR_HTTP'],
    ['"no"', 'the server answered with 403', 'ERR_HTTP'],
    ['{"code":5,"message":{},"resume":[]}', 'the server answered with 403', 'ERR_HTTP'],
    ['{"code":"ERR_FORBIDDEN","message":"not yours"}', 'not yours', 'ERR_FORBIDDEN'],
    ['<html>', 'the server answered with 403', 'ERR_HTTP'],
    ['', 'the server answered with 403', 'ERR_HTTP'],
  ]
  for (const [body, message, code] of bodies) {
    const { url, asked } = await scripted(() => new Response(body, { status: 403 }))
    const { error } = await read(url).end()
    assert.deepEqual(
      [error?.name, error?.message, error?.code, error?.status, error?.resume, asked.length],
      ['FollowError', message, code, 403, undefined, 1],
    )
  }
})

test('events that cannot be read end the loop', async () => {
  for (const bad of [
    'event: end\ndata: bye\n\n',
    `event: text\nid: ${UNKNOWN}.1\ndata: {\n\n`,
    `event: bytes\nid: ${UNKNOWN}.1\ndata: !\n\n`,
  ]) {
    const { url, asked } = await scripted(events(bad))
    const { error } = await read(url).end()
    assert.deepEqual([error?.name, error?.code, asked.length], ['FollowError', 'ERR_HTTP', 1], bad)
  }
  const { url } = await scripted(events('event: end\ndata: null\n\n'))
  assert.deepEqual((await read(url).end()).error, undefined)
})

test('what cannot be requested ends the loop; a token that cannot be had is tried again', async () => {
  const { url, asked } = await scripted(events(`event: end\ndata: {"outcome":"complete"}\n\n`))
  for (const [at, options] of /** @type {[string, import('tidemark/client').FollowOptions][]} */ ([
    ['/relative', {}],
    ['http://[/', {}],
    [url.replace('//', '//user:password@'), {}],
    [url, { headers: { 'not a name': 'x' } }],
    [url, { headers: async () => ({ authorization: 'a\nb' }) }],
  ])) {
    const { error } = await read(at, options).end()
    assert.deepEqual([error?.name, error?.code], ['FollowError', 'ERR_INVALID_ARGUMENT'], at)
  }
  assert.equal(asked.length, 0)
  let calls = 0
  const headers = async () => {
    if (++calls < 4) throw new Error('no token yet')
    return { authorization: 'x' }
  }
  assert.equal((await read(url, { headers }).end()).outcome, 'complete')
  assert.deepEqual([calls, asked.length], [4, 1])
})

test('throw() rejects with its error, wherever the loop is', async () => {
  const { url } = await scripted(events(chunk(1)))
  for (const isBegun of [false, true]) {
    const loop = follow(url, QUICK)
    if (isBegun) assert.equal((await loop.next()).value?.data, '1')
    await assert.rejects(loop.throw(new Error('mine')), /mine/)
    assert.deepEqual(await loop.next(), { done: true, value: undefined })
  }
})

test('a UI message stream ends with [DONE], and 204 is nothing to follow', async () => {
  const ui = () =>
    new Response(`id: ${UNKNOWN}.1\ndata: {"type":"start"}\n\ndata: [DONE]\n\n`, {
      headers: { 'x-vercel-ai-ui-message-stream': 'v1' },
    })
  const { url, asked } = await scripted(ui)
  const reader = await read(url).end()
  assert.deepEqual(reader.chunks[0]?.json(), { type: 'start' })
  assert.deepEqual([reader.outcome, asked.length], ['complete', 1])
  const empty = await scripted(() => new Response(null, { status: 204 }))
  assert.equal((await read(empty.url).end()).outcome, 'left')
})

test('item 16 a signal ends the loop with its reason, wherever it is', async () => {
  const stalled = () =>
    new Response(new ReadableStream({ start: (c) => c.enqueue(new TextEncoder().encode(':\n')) }))
  const { url: quiet, asked } = await scripted(stalled)
  const { url: down } = await scripted(() => new Response('', { status: 503 }))
  for (const [url, options] of /** @type {const} */ ([
    [quiet, {}],
    [down, { minRetryMs: 100_000, maxRetryMs: 100_000 }],
    ['http://127.0.0.1:1/', { minRetryMs: 100_000, maxRetryMs: 100_000 }],
  ])) {
    const controller = new AbortController()
    const reader = read(url, { ...options, signal: controller.signal })
    if (url === quiet) await until(() => asked.length > 0)
    controller.abort('gone')
    assert.equal((await reader.end()).error, 'gone')
  }
  assert.equal((await read(quiet, { signal: AbortSignal.abort('before') }).end()).error, 'before')
  assert.equal(asked.length, 1)
  const loop = follow(quiet)
  const next = loop.next()
  await until(() => asked.length === 2)
  await deadline(loop.return(), 20_000, 'the loop is left')
  assert.deepEqual(await next, { done: true, value: undefined })
})

test('no request waits for a response that another tab has: browsers are told not to store any', async (t) => {
  const asked = /** @type {unknown[]} */ ([])
  const ask = async (/** @type {unknown} */ _, /** @type {RequestInit} */ init) => {
    asked.push(init.cache)
    return new Response(null, { status: 204 })
  }
  const options = { fetch: /** @type {typeof fetch} */ (ask) }
  await read('http://localhost/', options).end()
  assert.deepEqual(asked, ['no-store'])
  // As where requests have no such option, and a `fetch` throws at it.
  const { Request } = globalThis
  t.after(() => {
    globalThis.Request = Request
  })
  globalThis.Request = /** @type {any} */ (class {})
  await read('http://localhost/', options).end()
  assert.deepEqual(asked, ['no-store', undefined])
})
