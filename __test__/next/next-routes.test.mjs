// The routes of `tidemark/next` without the SDK: what they take, what they refuse, and what hosts offer them.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'tidemark'
import { chatRoutes, consumeSseStream, resumeResponse, stopResponse, withTidemark } from 'tidemark/next'
import { freePort } from '../support/free-port.mjs'
import { until } from '../support/wait.mjs'

const engine = createEngine({ url: `memory:${randomUUID()}` })
after(() => engine.close())

const CHUNKS = [{ type: 'start', messageId: 'm' }, { type: 'data-x', data: 1 }, { type: 'finish' }]
const BODY = `${CHUNKS.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')}data: [DONE]\n\n`
/** A response's events without the cursors of its chunks. @param {Response} response */
const eventsOf = async (response) => (await response.text()).replace(/^id: .*\n/gm, '')
const generate = () => ReadableStream.from(CHUNKS)
const authorize = () => 'ann'

/** @param {unknown} body */
const post = (body) =>
  new Request('http://localhost/', {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
const get = () => new Request('http://localhost/')
/** @param {unknown} params @returns {any} */
const at = (params) => ({ params })

test('options are checked when the routes are made', () => {
  const good = { engine, authorize, generate }
  const bad = /** @type {[string, any][]} */ ([
    ['options', null],
    ['options.engine', { ...good, engine: undefined }],
    ['options.engine', { ...good, engine: {} }],
    ['options.authorize', { engine, generate }],
    ['options.authorize', { ...good, authorize: 'ann' }],
    ['options.generate', { engine, authorize }],
    ['options.activeStream', { ...good, activeStream: { get() {} } }],
    ['options.ifActive', { ...good, ifActive: 'share' }],
    ['options.lastMessage', { ...good, lastMessage: {} }],
    ['options.aiVersion', { ...good, aiVersion: 4 }],
    ['options.ttl.done', { ...good, ttl: { done: 0 } }],
    ['options.waitUntil', { ...good, waitUntil: true }],
    ['options.onError', { ...good, onError: null }],
    ['options.maxBodyBytes', { ...good, maxBodyBytes: '16mb' }],
    ['options.onFinish', { ...good, onFinish: {} }],
    ['options.deployment', { ...good, deployment: '' }],
    ['options.onFinished', { ...good, onFinished() {} }],
  ])
  for (const [field, options] of bad) {
    assert.throws(() => chatRoutes(options), { code: 'ERR_INVALID_ARGUMENT', field }, field)
  }
  const controller = new AbortController()
  const own = /** @type {[string, any][]} */ ([
    ['options.owner', { controller }],
    ['options.controller', { owner: 'ann' }],
    ['options.controller', { owner: 'ann', controller: controller.signal }],
    ['options.onError', { owner: 'ann', controller, onError: 'log' }],
    ['options.messages', { owner: 'ann', controller, messages: {} }],
  ])
  for (const [field, options] of own) {
    assert.throws(
      () => consumeSseStream(engine, 'x', options),
      { code: 'ERR_INVALID_ARGUMENT', field },
      field,
    )
  }
})

test('authorize that returns no id: 403, and the application is told, unless it says no', async () => {
  for (const [owner, words] of /** @type {[any, RegExp | undefined][]} */ ([
    [true, /the result of authorize: must be the owner's id, .* got boolean/],
    [{ userId: 'ann' }, /got object/],
    [undefined, undefined],
    [null, undefined],
    [false, undefined],
    ['', undefined],
  ])) {
    /** @type {any[]} */
    const told = []
    const onError = (/** @type {unknown} */ error) => String(told.push(error))
    const routes = chatRoutes({ engine, generate, authorize: () => owner, onError })
    assert.equal((await routes.GET(get(), at({ id: 'typed' }))).status, 403)
    assert.equal(told.length, words === undefined ? 0 : 1)
    if (words !== undefined) assert.match(told[0].message, words)
  }
})

test('generate that returns nothing: the application is told what may be missing', async () => {
  /** @type {any[]} */
  const told = []
  const onError = (/** @type {unknown} */ error) => String(told.push(error))
  const routes = chatRoutes({ engine, authorize, generate: () => /** @type {any} */ (undefined), onError })
  await (await routes.POST(post({ id: 'nothing', messages: [] }))).text()
  assert.match(told[0].message, /the result of generate: .* got undefined; is a return missing\?/)
})

test('an owner is required of the pieces too', async () => {
  const nobody = /** @type {any} */ ({})
  await assert.rejects(resumeResponse(engine, get(), 'x', nobody), { field: 'options.owner' })
  await assert.rejects(stopResponse(engine, 'x', nobody), { field: 'options.owner' })
})

test('the chat is named by the route or by the body', async () => {
  const { POST, GET, DELETE } = chatRoutes({ engine, authorize, generate })
  for (const [body, context] of /** @type {[unknown, any][]} */ ([
    [{ id: 'by body' }, undefined],
    [{ id: 'by body' }, at(Promise.resolve({}))],
    [{}, at(Promise.resolve({ id: 'by promise' }))],
    [{ id: 'ignored' }, at({ id: 'by object' })],
  ])) {
    assert.equal(await eventsOf(await POST(post(body), context)), BODY)
  }
  for (const id of ['by body', 'by promise', 'by object']) {
    assert.equal((await engine.status(id))?.state, 'complete', id)
    assert.equal((await engine.status(id))?.owner, 'ann')
  }
  assert.equal(await engine.status('ignored'), null)
  for (const response of [
    await POST(post('not JSON'), at({ id: 'x' })),
    await POST(post('null'), at({ id: 'x' })),
    await POST(post({})),
    await POST(post({ id: 7 })),
    await POST(post({}), at({ id: 'x'.repeat(513) })),
    await POST(post({}), at({ id: ['x'] })),
    await GET(get(), at({})),
    await DELETE(get(), at({ id: '' })),
  ]) {
    assert.equal(response.status, 400)
    assert.equal((await response.json()).code, 'ERR_INVALID_ARGUMENT')
  }
})

test('authorize decides: an owner, nobody, or a response of its own', async () => {
  for (const [owner, status] of /** @type {[any, number][]} */ ([
    ['ann', 204],
    [Promise.resolve('ann'), 204],
    [undefined, 403],
    [null, 403],
    ['', 403],
    [7, 403],
    [new Response('who are you?', { status: 401 }), 401],
  ])) {
    const { GET } = chatRoutes({ engine, authorize: () => owner, generate })
    assert.equal((await GET(get(), at({ id: randomUUID() }))).status, status)
  }
  const failing = chatRoutes({ engine, authorize: () => Promise.reject(new Error('no database')), generate })
  await assert.rejects(failing.GET(get(), at({ id: 'x' })), { message: 'no database' })
})

test('stream ids of the application: one for each answer, until it has ended', async () => {
  /** @type {Map<string, string | null>} */
  const column = new Map()
  /** @type {(string | null)[]} */
  const seen = []
  const activeStream = {
    get: (/** @type {string} */ chatId) => column.get(chatId),
    set: (/** @type {string} */ chatId, /** @type {string | null} */ streamId) => {
      seen.push(streamId)
      column.set(chatId, streamId)
    },
  }
  let goOn = () => {}
  const gate = new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
    goOn = resolve
  })
  async function* slowly() {
    yield* CHUNKS.slice(0, 2)
    await gate
    yield* CHUNKS.slice(2)
  }
  const { POST, GET, DELETE } = chatRoutes({ engine, authorize, generate: slowly, activeStream })
  const id = randomUUID()
  assert.equal((await GET(get(), at({ id }))).status, 204)
  assert.deepEqual(await (await DELETE(get(), at({ id }))).json(), { result: 'ended' })
  const first = await POST(post({}), at({ id }))
  assert.equal((await POST(post({}), at({ id }))).status, 409)
  const resumed = await GET(get(), at({ id }))
  assert.equal(resumed.status, 200)
  goOn()
  assert.equal(await eventsOf(first), BODY)
  assert.match(await resumed.text(), /"type":"finish"/)
  await until(() => seen.length === 2)
  assert.equal(seen[1], null)
  assert.notEqual(seen[0], id)
  assert.equal((await GET(get(), at({ id }))).status, 204)
})

test('stream ids of the application: the end of an answer that was taken over forgets nothing', async () => {
  /** @type {string | null} */
  let column = null
  const activeStream = {
    get: () => column,
    set: (/** @type {string} */ _, /** @type {string | null} */ streamId) => {
      column = streamId
    },
  }
  let goOn = () => {}
  const gate = new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
    goOn = resolve
  })
  async function* slowly() {
    yield CHUNKS[0]
    await gate
    yield* CHUNKS.slice(1)
  }
  /** @type {Promise<unknown>[]} */
  const kept = []
  const { POST, GET } = chatRoutes({
    engine,
    authorize,
    generate: slowly,
    activeStream,
    ifActive: 'takeover',
    waitUntil: (done) => kept.push(done),
  })
  const id = randomUUID()
  const first = await POST(post({}), at({ id }))
  const second = await POST(post({}), at({ id }))
  assert.match(await first.text(), /interrupted: superseded/)
  await kept[0]
  assert.notEqual(column, null)
  const resumed = await GET(get(), at({ id }))
  goOn()
  assert.equal(await eventsOf(second), BODY)
  assert.equal((await resumed.text()).match(/"type":"start"/g)?.length, 1, 'the current answer alone')
  await kept[1]
  assert.equal(column, null)
})

test('consumeSseStream reads events with any line ends, in pieces of any size, and nothing but their data', async () => {
  for (const [index, end] of ['\n', '\r\n', '\r'].entries()) {
    const lines = CHUNKS.map((chunk) =>
      [': comment', `id: 1`, `data:${JSON.stringify(chunk)}`, '', ''].join(end),
    )
    const text = `${lines.join('')}data: [DONE]${end}${end}`
    for (const size of [1, 7, text.length]) {
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
      const id = `line ends ${index} ${size}`
      await consumeSseStream(engine, id, { owner: 'ann', controller: new AbortController() })({
        stream: ReadableStream.from(pieces),
      })
      const chunks = []
      for await (const { data } of engine.subscribe(id, { owner: 'ann' }))
        chunks.push(JSON.parse(String(data)))
      assert.deepEqual(chunks, CHUNKS, `${JSON.stringify(end)}, ${size}`)
    }
  }
})

test('what the host offers keeps the function alive', async () => {
  const { POST } = chatRoutes({ engine, authorize, generate })
  for (const name of ['@next/request-context', '@vercel/request-context']) {
    const symbol = Symbol.for(name)
    /** @type {Promise<unknown>[]} */
    const kept = []
    const global = /** @type {any} */ (globalThis)
    global[symbol] = { get: () => ({ waitUntil: (/** @type {Promise<unknown>} */ done) => kept.push(done) }) }
    try {
      await (await POST(post({}), at({ id: randomUUID() }))).text()
    } finally {
      delete global[symbol]
    }
    assert.equal(kept.length, 1, name)
    await kept[0]
  }
})

test('G8 without its Redis the client is answered all the same', async () => {
  const away = createEngine({ url: `redis://127.0.0.1:${await freePort()}`, connectTimeout: 50 })
  after(() => away.close())
  const { POST, GET } = chatRoutes({ engine: away, authorize, generate, onError: () => '' })
  const response = await POST(post({}), at({ id: 'x' }))
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('x-vercel-ai-ui-message-stream'), 'v1')
  assert.match(response.headers.get('cache-control') ?? '', /no-transform/)
  assert.equal(await response.text(), BODY)
  const refused = await GET(get(), at({ id: 'x' }))
  assert.equal(refused.status, 503)
  assert.equal((await refused.json()).code, 'ERR_CONNECTION')
})

test('withTidemark adds the package to any kind of configuration', async () => {
  assert.deepEqual(withTidemark(), { serverExternalPackages: ['tidemark'] })
  assert.deepEqual(withTidemark({ output: 'standalone', serverExternalPackages: ['a', 'tidemark'] }), {
    output: 'standalone',
    serverExternalPackages: ['a', 'tidemark'],
  })
  const make = withTidemark(async (/** @type {string} */ phase) => ({ distDir: phase }))
  assert.deepEqual(await make('x'), { distDir: 'x', serverExternalPackages: ['tidemark'] })
})

test('where there is no Node.js an error says what to do', () => {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  for (const condition of ['edge-light', 'workerd', 'browser']) {
    const script = `
      import { createEngine, GapError } from 'tidemark'
      import { chatRoutes, consumeSseStream, resumeResponse, stopResponse, withTidemark } from 'tidemark/next'
      console.log(GapError.name, withTidemark().serverExternalPackages)
      for (const call of [createEngine, chatRoutes, consumeSseStream, resumeResponse, stopResponse]) {
        try { call() } catch (error) { console.log(error.message) }
      }`
    const args = [`--conditions=${condition}`, '--input-type=module', '--eval', script]
    const said = execFileSync(process.execPath, args, { cwd, encoding: 'utf8' })
    assert.match(said, /^GapError \[ 'tidemark' \]\n/)
    assert.equal(said.match(/^tidemark has native code, so it needs the Node\.js runtime/gm)?.length, 5)
  }
})

test('G1 a burst is sent in few pieces, each chunk once, in order and with its cursor', async () => {
  const COUNT = 500
  const chunks = Array.from({ length: COUNT }, (_, data) => ({ type: 'data-x', data }))
  const { POST } = chatRoutes({ engine, authorize, generate: () => ReadableStream.from(chunks) })
  const { body } = await POST(post({ messages: [] }), at({ id: 'burst' }))
  assert.ok(body)
  const pieces = []
  for await (const piece of body) {
    pieces.push(Buffer.from(piece).toString())
    // Long enough for others to gather, as with a client that is not the fastest.
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(pieces.length < COUNT / 4, `${pieces.length} pieces`)
  const generation = (await engine.status('burst'))?.generation
  const events = chunks.map(
    (chunk, index) => `id: ${generation}.${index + 1}\ndata: ${JSON.stringify(chunk)}\n\n`,
  )
  assert.equal(pieces.join(''), `${events.join('')}data: [DONE]\n\n`)
})

test('an answer that the SDK sends itself is followed by nobody here', async () => {
  let close = () => {}
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(`data: ${JSON.stringify(CHUNKS[0])}\n\n`)
      close = () => controller.close()
    },
  })
  const followed = () => {
    const { readers, resumeHits, resumeMisses } = engine.metrics()
    return [readers, resumeHits + resumeMisses]
  }
  const before = followed()
  const controller = new AbortController()
  const keeping = consumeSseStream(engine, 'unread', { owner: 'ann', controller })({ stream })
  await until(async () => (await engine.status('unread'))?.lastSeq === 1)
  assert.deepEqual(followed(), before)
  close()
  await keeping
  assert.equal((await engine.status('unread'))?.state, 'complete')
})

test('a chunk beyond the limit costs the live client nothing: the answer cannot be kept, and onError is told', async () => {
  const chunks = [CHUNKS[0], { type: 'data-x', data: 'x'.repeat(32 << 20) }, CHUNKS[2]]
  const errors = /** @type {any[]} */ ([])
  const onError = (/** @type {unknown} */ error) => {
    errors.push(error)
    return 'Sorry.'
  }
  const { POST } = chatRoutes({ engine, authorize, onError, generate: () => ReadableStream.from(chunks) })
  const response = await POST(post({ messages: [] }), at({ id: 'huge' }))
  const events = (await eventsOf(response)).split('\n\n').filter(Boolean)
  assert.deepEqual(events, [...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}`), 'data: [DONE]'])
  await until(() => errors.length > 0)
  assert.deepEqual([errors.length, errors[0].code, errors[0].field], [1, 'ERR_INVALID_ARGUMENT', 'chunk'])
  assert.equal((await engine.status('huge'))?.state, 'failed')

  const own = /** @type {any[]} */ ([])
  const [live, kept] = ReadableStream.from(
    [...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]'].map((data) => `data: ${data}\n\n`),
  ).tee()
  const keeping = consumeSseStream(engine, 'huge own', {
    owner: 'ann',
    controller: new AbortController(),
    onError: (error) => own.push(error),
  })({ stream: kept })
  const seen = []
  for await (const event of live) seen.push(event.length)
  assert.equal(seen.length, 4)
  await keeping
  assert.deepEqual([own.length, own[0].field], [1, 'chunk'])
})
