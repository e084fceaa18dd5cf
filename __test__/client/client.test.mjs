// tidemark/client in Node.js: against real streams, and against servers that behave badly.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow } from 'tidemark/client'
import { bundled } from '../support/bundle.mjs'
import { serve } from '../support/event-source.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { numbered, produceAll, texts, useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const QUICK = { minRetryMs: 5, maxRetryMs: 20 }
const UNKNOWN = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

/** Reads a loop in the background, as `checkHistory` takes it. */
class Reader {
  /** @type {import('tidemark/client').FollowedChunk[]} */
  chunks = []
  /** @type {string | undefined} */
  outcome
  /** @type {any} */
  error

  /** @param {ReturnType<typeof follow>} loop @param {string} [name] */
  constructor(loop, name = 'the client') {
    this.loop = loop
    this.name = name
    this.done = this.#read()
  }

  async end() {
    await deadline(this.done, 15_000, `${this.name} ends`)
    return this
  }

  async #read() {
    try {
      for await (const chunk of this.loop) this.chunks.push(chunk)
      this.outcome = this.loop.outcome ?? 'left'
    } catch (error) {
      this.error = error
      this.outcome = this.loop.outcome ?? 'threw'
    }
  }
}

/** @param {string} url @param {import('tidemark/client').FollowOptions} [options] */
const read = (url, options) => new Reader(follow(url, { ...QUICK, ...options }))

/**
 * A server of prepared answers: one for each request, the last one for all that follow.
 * @param {((request: import('node:http').IncomingMessage) => Response)[]} answers
 */
async function scripted(...answers) {
  /** @type {string[]} */
  const asked = []
  const { url } = await serve(async (request) => {
    asked.push(request.url ?? '')
    const answer = answers[Math.min(asked.length, answers.length) - 1]
    if (answer === undefined) throw new Error('no answer')
    return answer(request)
  })
  return { url, asked }
}

/** @param {string} text */
const events = (text) => () => new Response(text, { headers: { 'content-type': 'text/event-stream' } })

eachStore('client', (store) => {
  const open = useEngines(store)

  test('G1 checklist 3: through drops, refusals and quiet ends it gets everything once', async () => {
    const random = createRandom(31)
    const engine = open()
    const { url } = await serve(async (request) => {
      const dice = random.next()
      if (dice < 0.1) return new Response('overloaded', { status: random.pick([500, 503, 429, 408]) })
      if (dice < 0.2) request.socket.destroy()
      else if (dice < 0.5) setTimeout(() => request.socket.destroy(), random.int(1, 80))
      return engine.respond(request, 'chaos', { maxDurationMs: random.int(20, 200) })
    })
    const producer = await engine.produce('chaos')
    const chunks = texts(600).map((text, index) =>
      index % 50 === 0 ? new TextEncoder().encode(text) : index % 60 === 0 ? `${text}\r\n\0` : text,
    )
    const readers = Array.from({ length: 4 }, (_, index) => new Reader(follow(url, QUICK), `client ${index}`))
    for (const [index, chunk] of chunks.entries()) {
      await producer.append(chunk)
      if (index % 20 === 0) await until(() => readers.every((reader) => reader.chunks.length > index - 40))
    }
    await producer.complete()
    for (const reader of readers) assert.equal((await reader.end()).error, undefined)
    checkHistory({ written: numbered(chunks), readers })
    assert.ok(readers.every(({ chunks }) => chunks.every(({ isReset }) => !isReset)))
  })

  test('it begins where it is told, and its cursor is where it stands', async () => {
    const engine = open()
    const { url } = await serve((request) => engine.respond(request, 'places'))
    const { generation } = await produceAll(engine, 'places', texts(10))
    const readers = []
    for (const [from, seq] of /** @type {const} */ ([
      [undefined, 0],
      ['start', 0],
      ['now', 10],
      [`${generation}.4`, 4],
    ])) {
      const reader = await read(`${url}/x?a=1#b`, { from }).end()
      assert.equal(reader.chunks.length, 10 - seq)
      if (seq < 10) assert.equal(reader.loop.cursor, `${generation}.10`)
      readers.push({ ...reader, from: seq })
    }
    checkHistory({ written: numbered(texts(10)), readers })
  })

  test('how the stream ended: a quiet end, or an error with its code', async () => {
    const [engine, dying] = [open(), open()]
    const { url } = await serve((request) =>
      engine.respond(request, request.url?.slice(1, 5) ?? '', { owner: 'me' }),
    )
    await produceAll(engine, 'done', ['a'])
    const stopping = await engine.produce('stop')
    await engine.stop('stop', 'enough')
    await stopping.complete()
    const failing = await engine.produce('fail')
    failing.write('a')
    await failing.fail(new Error('no more'))
    const interrupted = await dying.produce('dies')
    interrupted.write('a')
    await dying.close()
    /** @type {[string, string, string | undefined, string | undefined][]} */
    const table = [
      ['done', 'complete', undefined, undefined],
      ['stop', 'stopped', 'enough', undefined],
      ['fail', 'failed', 'no more', 'ERR_FAILED'],
      ['dies', 'interrupted', 'closed', 'ERR_INTERRUPTED'],
    ]
    for (const [streamId, outcome, reason, code] of table) {
      const { loop, error } = await read(`${url}/${streamId}`).end()
      assert.deepEqual([loop.outcome, loop.reason, error?.code], [outcome, reason, code])
      if (code) assert.equal(error.name, 'FollowError')
    }
  })

  test('what the server refuses is an error with its status and code', async () => {
    const engine = open()
    const { url } = await serve((request) => {
      const { pathname } = new URL(request.url ?? '', 'http://x')
      return engine.respond(request, pathname.slice(1), { wait: 0, owner: 'me' })
    })
    await produceAll(engine, 'theirs', ['a'], { owner: 'them' })
    for (const [path, from, status, code] of /** @type {const} */ ([
      ['theirs', undefined, 403, 'ERR_FORBIDDEN'],
      ['missing', undefined, 404, 'ERR_NOT_FOUND'],
      ['theirs', '-1', 400, 'ERR_INVALID_ARGUMENT'],
    ])) {
      const { error } = await read(`${url}/${path}`, { from }).end()
      assert.deepEqual([error?.name, error?.status, error?.code], ['FollowError', status, code])
    }
  })

  test('a reset is told with the first chunk that follows', async () => {
    const engine = open()
    const { url } = await serve((request) => engine.respond(request, 'reset'))
    await produceAll(engine, 'reset', texts(3))
    const reader = await read(url, { from: `${UNKNOWN}.2` }).end()
    assert.deepEqual(
      reader.chunks.map(({ isReset }) => isReset),
      [true, false, false],
    )
    checkHistory({ written: numbered(texts(3)), readers: [reader] })
  })

  test('checklist 19, 21: acknowledgements come in batches, and the last one at the end', async () => {
    const engine = open({ ackIntervalMs: 0 })
    let posts = 0
    const { url } = await serve((request) => {
      if (request.method !== 'POST') return engine.respond(request, 'acks')
      posts++
      assert.equal(request.headers.authorization, 'token')
      return engine.acknowledge(request, 'acks')
    })
    const producer = await engine.produce('acks')
    const ack = { url, consumer: 'alice', intervalMs: 30 }
    const reader = read(url, { ack, headers: async () => ({ authorization: 'token' }) })
    for (const text of texts(100)) await producer.append(text)
    const seen = async () => (await engine.status('acks'))?.consumers[0]?.cursor
    await until(async () => (await seen()) === `${producer.generation}.100`)
    producer.write('the last one')
    await producer.complete()
    await reader.end()
    assert.equal(await seen(), `${producer.generation}.101`)
    assert.ok(posts < 50, `${posts} requests`)
    checkHistory({ written: numbered([...texts(100), 'the last one']), readers: [reader] })
    // Whoever comes next goes on after it.
    await engine.ack('acks', 'bob', `${producer.generation}.40`)
    const { url: resumed } = await serve((request) => engine.respond(request, 'acks', { consumer: 'bob' }))
    assert.equal((await read(resumed).end()).chunks.length, 61)
  })

  test('acknowledge refuses what is no acknowledgement', async () => {
    const engine = open({ ackIntervalMs: 0 })
    const { generation } = await produceAll(engine, 'bad acks', ['a'], { owner: 'me' })
    const cursor = `${generation}.1`
    /** @param {unknown} body */
    const request = (body) =>
      new Request('http://localhost/', {
        method: 'POST',
        body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
      })
    const good = { cursor, consumer: 'me' }
    for (const body of [
      '',
      '{',
      '5',
      'null',
      {},
      { cursor },
      { ...good, cursor: '1' },
      { ...good, consumer: 5 },
      // It ends in the middle of a character.
      Buffer.concat([Buffer.from(JSON.stringify(good)), Uint8Array.of(0xe2)]),
    ]) {
      const response = await engine.acknowledge(request(body), 'bad acks', { owner: 'me' })
      assert.equal(response.status, 400, `${body}`)
      assert.equal((await response.json()).code, 'ERR_INVALID_ARGUMENT')
    }
    assert.equal((await engine.acknowledge(request(good), 'bad acks', { owner: 'you' })).status, 403)
    assert.equal((await engine.acknowledge(request(good), 'none')).status, 404)
    const own = { owner: 'me', consumer: 'really me' }
    assert.equal((await engine.acknowledge(request(good), 'bad acks', own)).status, 204)
    assert.equal((await engine.acknowledge({ body: { cursor } }, 'bad acks', own)).status, 204)
    const consumers = (await engine.status('bad acks'))?.consumers.map(({ consumer }) => consumer)
    assert.deepEqual(consumers, ['really me'])
    await assert.rejects(engine.acknowledge(request(good), ''), { code: 'ERR_INVALID_ARGUMENT' })
  })
})

test('chunks that a server repeats are dropped', async () => {
  const id = (/** @type {number} */ seq) => `id: ${UNKNOWN}.${seq}\ndata: ${seq}\n\n`
  const { url, asked } = await scripted(
    events(id(1) + id(2)),
    events(id(1) + id(2) + id(3)),
    events(`${id(2)}event: unknown\ndata: x\n\n${id(4)}event: end\ndata: {"outcome":"complete"}\n\n`),
  )
  const { chunks } = await read(url).end()
  assert.deepEqual(
    chunks.map(({ seq, data }) => [seq, data]),
    [1, 2, 3, 4].map((seq) => [seq, `${seq}`]),
  )
  assert.deepEqual(asked, ['/', `/?cursor=${UNKNOWN}.2`, `/?cursor=${UNKNOWN}.3`])
})

test('a server that is silent is left and asked again', async () => {
  const stalled = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(': hi\n')),
  })
  const { url, asked } = await scripted(
    () => new Response(stalled),
    events('event: end\ndata: {"outcome":"complete"}\n\n'),
  )
  const { outcome } = await read(url, { silenceMs: 500 }).end()
  assert.deepEqual([outcome, asked.length], ['complete', 2])
})

test('the pauses grow while nothing is received, up to the longest', async () => {
  /** @type {number[]} */
  const at = []
  const { url } = await scripted(() => {
    at.push(performance.now())
    return new Response('', { status: at.length < 8 ? 503 : 404 })
  })
  const { error } = await read(url, { minRetryMs: 20, maxRetryMs: 80 }).end()
  assert.deepEqual([error?.status, error?.code, at.length], [404, 'ERR_HTTP', 8])
  const total = /** @type {number} */ (at.at(-1)) - /** @type {number} */ (at[0])
  assert.ok(total < 20 + 40 + 5 * 80 + 400, `${total} ms`)
})

/** Makes the pauses what they are at most. @param {import('node:test').TestContext} t */
const longestPauses = (t) => t.mock.method(Math, 'random', () => 1)

/** When requests came. */
class Times {
  /** @type {number[]} */
  at = []

  note() {
    return this.at.push(performance.now())
  }

  /** Milliseconds between one request and the next, from 0 on. @param {number} index */
  after(index) {
    return Number(this.at[index + 1]) - Number(this.at[index])
  }
}

const chunk = (/** @type {number} */ seq) => `id: ${UNKNOWN}.${seq}\ndata: ${seq}\n\n`

/** Responses of which nothing is new. @type {Record<string, string>} */
const idle = {
  'nothing at all': '',
  'a comment': ': hello\n\n',
  'a pause for EventSource': 'retry: 10\n\n',
  'events without an id': 'data: x\n\nevent: other\ndata: y\n\n',
  'a reset, and nothing': 'event: reset\ndata: {"reason":"unknown"}\n\n',
  'a chunk that it has': chunk(1),
  'half an event': `id: ${UNKNOWN}.2\ndata: 2\n`,
}
for (const [name, text] of Object.entries(idle)) {
  test(`the pauses grow while a server answers with ${name}`, async (t) => {
    longestPauses(t)
    const times = new Times()
    const { url } = await scripted((request) => {
      const count = times.note()
      if (count === 1) return events(chunk(1))(request)
      return count < 7 ? events(text)(request) : new Response('', { status: 404 })
    })
    const { chunks } = await read(url, { minRetryMs: 10, maxRetryMs: 70 }).end()
    assert.deepEqual([chunks.length, times.at.length], [1, 7])
    for (const [index, least] of [10, 20, 40, 70, 70, 70].entries()) {
      assert.ok(times.after(index) >= least - 2, `pause ${index}: ${times.after(index)} ms, not ${least}`)
    }
  })
}

test('a chunk makes the pauses short again', async (t) => {
  longestPauses(t)
  const times = new Times()
  const { url } = await scripted((request) => {
    const count = times.note()
    if (count === 6) return events(chunk(1))(request)
    return new Response('', { status: count < 6 ? 500 : 404 })
  })
  await read(url, { minRetryMs: 60, maxRetryMs: 100_000 }).end()
  assert.ok(times.after(4) >= 60 * 2 ** 4 - 2, `${times.after(4)} ms`)
  assert.ok(times.after(5) < 60 * 2 ** 3, `${times.after(5)} ms`)
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

test('Retry-After comes before the next try, however long it is', async (t) => {
  t.mock.method(Math, 'random', () => 0)
  const inTwoSeconds = () => new Date(Date.now() + 2_000).toUTCString()
  /** @type {[status: number, value: () => string, least: number][]} */
  const answers = [
    [503, () => '1', 990],
    [429, () => ' 1 ', 990],
    // Dates have no milliseconds.
    [503, inTwoSeconds, 950],
    [502, () => '0', 0],
    [503, () => 'soon', 0],
    [503, () => new Date(0).toUTCString(), 0],
    [503, () => '-5', 0],
  ]
  await Promise.all(
    answers.map(async ([status, value, least]) => {
      const times = new Times()
      const { url } = await scripted(() => {
        if (times.note() > 1) return new Response('', { status: 404 })
        return new Response('', { status, headers: { 'retry-after': value() } })
      })
      await read(url, { minRetryMs: 1, maxRetryMs: 1 }).end()
      const pause = times.after(0)
      assert.ok(pause >= least && pause < least + 1_500, `${status} ${value()}: ${pause} ms`)
    }),
  )
  // More than a timer takes, which would fire at once.
  const controller = new AbortController()
  const always = ['99999999', '1e300', new Date(Date.now() + 1e12).toUTCString()].map(async (value) => {
    const { url, asked } = await scripted(
      () => new Response('', { status: 503, headers: { 'retry-after': value } }),
    )
    await read(url, { minRetryMs: 1, maxRetryMs: 1, signal: controller.signal }).end()
    return asked.length
  })
  const witness = await scripted(() => new Response('', { status: 503 }))
  const other = read(witness.url, { minRetryMs: 10, maxRetryMs: 10, signal: controller.signal })
  await until(() => witness.asked.length > 20)
  controller.abort()
  await other.end()
  assert.deepEqual(await Promise.all(always), [1, 1, 1])
})

test('a page that is looked at again tries at once, but not where the server has asked for a pause', async (t) => {
  const page = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const window = new EventTarget()
  const global = /** @type {any} */ (globalThis)
  const own = { document: page, addEventListener: window.addEventListener.bind(window) }
  Object.assign(global, own, { removeEventListener: window.removeEventListener.bind(window) })
  t.after(() => {
    for (const name of ['document', 'addEventListener', 'removeEventListener']) delete global[name]
  })
  // The length of a pause is chosen when it begins.
  const chosen = longestPauses(t)
  for (const pause of ['', '100']) {
    const { url, asked } = await scripted(
      () => new Response('', { status: 503, headers: pause ? { 'retry-after': pause } : {} }),
      events(`event: end\ndata: {"outcome":"complete"}\n\n`),
    )
    const controller = new AbortController()
    const options = { minRetryMs: 100_000, maxRetryMs: 100_000, signal: controller.signal }
    chosen.mock.resetCalls()
    const reader = read(url, options)
    await until(() => chosen.mock.callCount() > 0)
    window.dispatchEvent(new Event('online'))
    if (pause === '') assert.equal((await reader.end()).outcome, 'complete')
    else await fetch(new URL('/witness', url))
    assert.equal(asked[1], pause === '' ? '/' : '/witness')
    controller.abort()
    await reader.end()
  }
})

test('acknowledgements leave a server alone for as long as it wants', async () => {
  const times = new Times()
  const { url } = await serve(async (request) => {
    if (request.method === 'POST') {
      const headers = times.note() === 1 ? { 'retry-after': '1' } : undefined
      return new Response('', { status: 429, headers })
    }
    const many = Array.from({ length: 60 }, (_, index) => chunk(index + 1)).join('')
    return events(`${many}event: end\ndata: {"outcome":"complete"}\n\n`)()
  })
  const loop = follow(url, { ...QUICK, ack: { url, intervalMs: 10 } })
  for await (const _ of loop) await new Promise((resolve) => setTimeout(resolve, 30))
  assert.ok(times.after(0) >= 1_000, `${times.after(0)} ms`)
  assert.ok(times.at.length > 2)
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
  await deadline(loop.return(), 2_000, 'the loop is left')
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

test('it takes less than 3 kB in a bundle, compressed, and imports nothing but itself', async () => {
  const { code, size } = await bundled('client')
  assert.match(code, /text\/event-stream/)
  assert.doesNotMatch(code, /\bimport\b|require\(/)
  assert.ok(size < 3_000, `${size} bytes`)
})
