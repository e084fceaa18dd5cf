// The inspector, asked over HTTP: who is let in, what is told to whom, and what may be changed.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { createEngine } from 'tidemark'
import { inspector, toNodeListener } from 'tidemark/inspector'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const HOSTILE = `"><img src=x onerror=alert(1)><script>alert(2)</script>`

/**
 * Asks an inspector that is mounted below `/admin/inspect`.
 * @param {(request: Request) => Promise<Response>} inspect
 */
function asker(inspect) {
  const url = (/** @type {string} */ path) => `http://app.example/admin/inspect${path}`
  return {
    /** @param {string} path @param {RequestInit} [init] */
    raw: (path, init) => inspect(new Request(url(path), init)),
    /** @param {string} path @returns {Promise<any>} */
    async get(path) {
      const response = await inspect(new Request(url(path)))
      return { status: response.status, ...(await response.json()) }
    },
    /** @param {string} name @param {object} body @param {Record<string, string>} [headers] @returns {Promise<any>} */
    async post(name, body, headers) {
      const request = new Request(url(`/api/${name}`), {
        method: 'POST',
        headers: headers ?? { 'content-type': 'application/json', 'x-tidemark-inspector': '1' },
        body: JSON.stringify(body),
      })
      const response = await inspect(request)
      return { status: response.status, ...(await response.json()) }
    },
    /** The events of a stream that has ended. @param {string} query @returns {Promise<{ event: string, data: any }[]>} */
    async play(query) {
      const response = await inspect(new Request(url(`/api/play?${query}`)))
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('content-type'), 'text/event-stream')
      return eventsOf(await response.text())
    },
  }
}

/** @param {string} text */
function eventsOf(text) {
  return text
    .split('\n\n')
    .filter((part) => part.startsWith('event:'))
    .map((part) => ({
      event: /^event: (.*)$/m.exec(part)?.[1] ?? '',
      data: JSON.parse(/^data: (.*)$/m.exec(part)?.[1] ?? 'null'),
    }))
}

/** @param {Response} response */
function checkHeaders(response) {
  const { headers } = response
  assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*script-src 'self'/)
  assert.doesNotMatch(headers.get('content-security-policy') ?? '', /unsafe|\*/)
  assert.match(headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/)
  assert.equal(headers.get('x-content-type-options'), 'nosniff')
  assert.equal(headers.get('cache-control'), 'no-store')
  assert.equal(headers.get('referrer-policy'), 'no-referrer')
  assert.equal(headers.get('access-control-allow-origin'), null)
}

eachStore('inspector', (store) => {
  const open = useEngines(store)
  const everybody = () => true

  test('authorize is required, asked for every request, and anything but yes is no', async () => {
    const engine = open()
    assert.throws(() => inspector(/** @type {any} */ ({ engine })), {
      code: 'ERR_INVALID_ARGUMENT',
      field: 'options.authorize',
    })
    assert.throws(() => inspector(/** @type {any} */ ({ authorize: everybody })), { field: 'options.engine' })
    assert.throws(() => inspector({ engine, authorize: everybody, write: /** @type {any} */ ('no') }), {
      field: 'options.write',
    })
    for (const answer of [null, undefined, false, '', 'ann', 1]) {
      const { raw } = asker(inspector({ engine, authorize: () => /** @type {any} */ (answer) }))
      for (const path of ['', '/', '/page/main.mjs', '/api/look', '/api/stream?id=a', '/api/play?id=a']) {
        const response = await raw(path)
        assert.equal(response.status, 403, `${answer} ${path}`)
        checkHeaders(response)
      }
      assert.equal((await raw('/api/delete', { method: 'POST' })).status, 403)
    }
    /** @type {unknown[]} */
    const told = []
    const authorize = () => {
      throw new Error('the database of users is at 10.0.0.7')
    }
    const { raw } = asker(inspector({ engine, authorize, onError: (error) => void told.push(error) }))
    const response = await raw('/api/look')
    assert.equal(response.status, 500)
    assert.doesNotMatch(await response.text(), /10\.0\.0\.7/)
    assert.match(String(told[0]), /10\.0\.0\.7/)
  })

  test('the page works under any path, and each of its files is there', async () => {
    const inspect = inspector({ engine: open(), authorize: everybody })
    const ask = async (/** @type {string} */ path) => inspect(new Request(`http://app.example${path}`))
    for (const [path, base] of [
      ['/', '/'],
      ['/inspect', '/inspect/'],
      ['/a/b%20c/', '/a/b%20c/'],
      ['//evil.example/x', '/evil.example/x/'],
      [`/a'"><script>alert(1)</script>`, undefined],
    ]) {
      const response = await ask(/** @type {string} */ (path))
      assert.equal(response.status, 200)
      checkHeaders(response)
      const html = await response.text()
      const [, found] = /<base href="([^"]*)">/.exec(html) ?? []
      if (base !== undefined) assert.equal(found, base)
      assert.doesNotMatch(html, /alert/.test(path ?? '') ? /<script>/ : /<script>alert/)
    }
    const html = await (await ask('/inspect')).text()
    const files = [...html.matchAll(/(?:href|src)="(page\/[^"]+)"/g)].map(([, file]) => file ?? '')
    const seen = new Set(files)
    for (const file of seen) {
      const response = await ask(`/inspect/${file}`)
      assert.equal(response.status, 200, file)
      checkHeaders(response)
      const text = await response.text()
      if (!file.endsWith('.mjs')) continue
      assert.equal(response.headers.get('content-type'), 'text/javascript; charset=utf-8')
      assert.doesNotMatch(
        text,
        /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?:\/\/(?!www\.w3\.org)/,
      )
      for (const [, name] of text.matchAll(/from '\.\/([^']+)'/g)) seen.add(`page/${name}`)
    }
    assert.ok(seen.size > 15, `${seen.size} files`)
    for (const path of ['/page/nothing.mjs', '/page/index.html', '/api/nothing', '/api/constructor'])
      assert.equal((await ask(path)).status, 404, path)
  })

  test('the list: states, search by id and owner, order, pages', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const { get } = asker(inspector({ engine, authorize: everybody }))
    assert.deepEqual((await get('/api/look')).list.rows, [])
    for (let index = 0; index < 60; index++) {
      const producer = await engine.produce(`chat ${index}`, {
        owner: index % 2 ? 'ann' : 'bob',
        metadata: { secret: 'hush' },
      })
      for (let count = 0; count <= index; count++) producer.write('x')
      if (index % 3) await producer.complete()
      else await producer.flush()
    }
    const { list, engine: about, viewer } = await get('/api/look?fresh=1&sort=chunks')
    assert.equal(list.total, 60)
    assert.equal(list.states.active, 20)
    assert.equal(list.states.complete, 40)
    assert.deepEqual([list.page, list.pages, list.rows.length], [1, 2, 50])
    assert.equal(list.rows[0].streamId, 'chat 59')
    assert.equal(about.keyPrefix, engine.toJSON().keyPrefix)
    assert.deepEqual(viewer, { write: false, showData: false, owner: null })
    assert.doesNotMatch(JSON.stringify(list), /hush/, 'metadata is no part of a list')
    assert.equal((await get('/api/look?sort=chunks&page=2')).list.rows.at(-1).streamId, 'chat 0')
    assert.equal((await get('/api/look?page=99')).list.page, 2)
    assert.equal((await get('/api/look?sort=chunks&order=up')).list.rows[0].streamId, 'chat 0')
    assert.equal((await get('/api/look?q=ANN')).list.found, 30)
    assert.equal((await get('/api/look?q=hat%201')).list.found, 11)
    assert.equal((await get('/api/look?state=active')).list.rows.length, 20)
    assert.equal((await get('/api/look?sort=constructor')).list.rows.length, 50)
  })

  test('rates are counted between looks, and what happens between them is in the timeline', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const { get } = asker(inspector({ engine, authorize: everybody }))
    let producer = await engine.produce('busy')
    await producer.append('one')
    await get('/api/look')
    const writing = setInterval(() => producer.write('more'), 20)
    await until(async () => (await get('/api/stream?id=busy')).stream.rate > 10, { timeout: 10_000 })
    clearInterval(writing)
    await engine.stop('busy', { reason: 'enough' })
    await producer.complete()
    await until(async () => (await get('/api/stream?id=busy')).stream.state === 'stopped')
    producer = await engine.produce('busy')
    const { stream } = await get('/api/stream?id=busy')
    const kinds = stream.timeline.map((/** @type {any} */ { kind, text }) => `${kind} ${text}`)
    assert.ok(kinds.includes('end stopped: enough'), kinds.join('\n'))
    assert.ok(kinds.includes('start started'), kinds.join('\n'))
    assert.equal(stream.generation, producer.generation)
    await engine.delete('busy')
    assert.equal((await get('/api/stream?id=busy')).stream, null)
  })

  test('G10 without showData no payload and no metadata leaves; with it, both do, and chunks are cut to an excerpt', async () => {
    const engine = open()
    const producer = await engine.produce('secrets', { owner: 'ann', metadata: { note: 'hush' } })
    producer.write('hush, hush')
    producer.write(new TextEncoder().encode('hush'))
    producer.write('long '.repeat(5_000))
    await producer.complete()
    const closed = asker(inspector({ engine, authorize: everybody }))
    const told = [
      await closed.get('/api/stream?id=secrets'),
      await closed.play('id=secrets'),
      await closed.get('/api/look'),
    ]
    assert.doesNotMatch(JSON.stringify(told), /hush|68757368|long long/)
    assert.deepEqual(
      told[1].at(0).data.chunks.map((/** @type {any} */ { seq, bytes }) => [seq, bytes]),
      [
        [1, 10],
        [2, 4],
        [3, 25_000],
      ],
    )
    // One that is let in without payloads gets none although they are offered.
    const some = asker(inspector({ engine, showData: true, authorize: () => ({ showData: false }) }))
    assert.doesNotMatch(JSON.stringify(await some.play('id=secrets')), /hush/)
    const open_ = asker(inspector({ engine, showData: true, authorize: everybody }))
    assert.deepEqual((await open_.get('/api/stream?id=secrets')).stream.metadata, { note: 'hush' })
    const [{ data }, end] = /** @type {any} */ (await open_.play('id=secrets'))
    assert.deepEqual(end, { event: 'end', data: { outcome: 'complete', reason: '' } })
    assert.equal(data.chunks[0].text, 'hush, hush')
    assert.deepEqual([data.chunks[1].text, data.chunks[1].isBytes], ['68757368', true])
    assert.deepEqual([data.chunks[2].text.length, data.chunks[2].isCut], [2_000, true])
  })

  test('G10 an owner sees its own streams, and of the others not that they are there', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    for (const owner of ['ann', 'bob', undefined]) {
      const producer = await engine.produce(`of ${owner}`, { owner })
      await producer.append('mine')
      const group = engine.consume(`of ${owner}`, {
        group: 'g',
        consumer: 'c',
        owner,
        maxDeliveries: 1,
        claimIdleMs: 1,
      })
      await group.next()
      await group.return()
    }
    const { get, post, play, raw } = asker(
      inspector({ engine, write: true, showData: true, authorize: () => ({ owner: 'ann' }) }),
    )
    const { list, viewer, engine: about } = await get('/api/look')
    assert.deepEqual(
      list.rows.map((/** @type {any} */ { streamId }) => streamId),
      ['of ann'],
    )
    assert.deepEqual([list.total, list.active, list.producers], [1, 1, 1])
    assert.equal(viewer.owner, 'ann')
    assert.deepEqual(
      [about.inside, about.memory],
      [null, null],
      'what is counted for all is told to nobody else',
    )
    assert.equal((await get('/api/stream?id=of%20ann')).stream.owner, 'ann')
    for (const other of ['of bob', 'of undefined']) {
      const id = encodeURIComponent(other)
      assert.equal((await get(`/api/stream?id=${id}`)).stream, null)
      assert.equal((await raw(`/api/play?id=${id}`)).status, 404)
      assert.equal((await get(`/api/dead?id=${id}&group=g`)).status, 404)
      assert.equal((await post('stop', { id: other })).status, 404)
      assert.equal((await post('delete', { id: other })).status, 404)
      assert.equal((await post('retry', { id: other, group: 'g', key: 'x' })).status, 404)
    }
    assert.deepEqual((await get('/api/groups')).groups, [])
    assert.equal((await get('/api/dead?group=g')).status, 404)
    assert.equal((await post('cleanup', { olderThan: 0 })).status, 404)
    assert.equal((await post('stop', { id: 'of ann' })).result, 'stopping')
    assert.match(JSON.stringify(await play('id=of%20ann')), /mine/)
    assert.equal((await engine.status('of bob'))?.stop, null)
    // An owner that the application could not name is nobody.
    const nobody = asker(inspector({ engine, authorize: () => ({ owner: undefined }) }))
    assert.deepEqual((await nobody.get('/api/look')).list.rows, [])
  })

  test('nothing is changed without write, from another site, without JSON and the header, or by GET', async () => {
    const engine = open()
    const producer = await engine.produce('kept')
    const readOnly = asker(inspector({ engine, authorize: everybody }))
    const limited = asker(inspector({ engine, write: true, authorize: () => ({ write: false }) }))
    const { post, raw } = asker(inspector({ engine, write: true, authorize: everybody }))
    for (const name of ['stop', 'delete', 'cleanup', 'retry', 'drop']) {
      const body = { id: 'kept' }
      assert.equal((await readOnly.post(name, body)).code, 'ERR_READ_ONLY', name)
      assert.equal((await limited.post(name, body)).code, 'ERR_READ_ONLY', name)
      assert.equal((await post(name, body, { 'content-type': 'application/json' })).status, 403, name)
      assert.equal(
        (await post(name, body, { 'content-type': 'text/plain', 'x-tidemark-inspector': '1' })).status,
        403,
      )
      for (const site of ['cross-site', 'same-site']) {
        const headers = {
          'content-type': 'application/json',
          'x-tidemark-inspector': '1',
          'sec-fetch-site': site,
        }
        assert.equal((await post(name, body, headers)).status, 403, `${name} ${site}`)
      }
      assert.equal((await raw(`/api/${name}?id=kept`)).status, 405)
    }
    assert.equal((await raw('/api/look', { headers: { 'sec-fetch-site': 'cross-site' } })).status, 403)
    assert.equal((await raw('', { headers: { 'sec-fetch-site': 'cross-site' } })).status, 403, 'in a frame')
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
    assert.equal((await raw('', { headers: link })).status, 200, 'by a link')
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD']) {
      for (const path of ['', '/api/look', '/page/main.mjs']) {
        const response = await raw(path, { method })
        assert.equal(response.status, 405, `${method} ${path}`)
        checkHeaders(response)
      }
    }
    assert.equal(producer.signal.aborted, false)
    assert.equal((await engine.status('kept'))?.state, 'active')
  })

  test('G6 stop, delete and clean-up, with write; bad bodies are refused', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const { post } = asker(inspector({ engine, write: true, authorize: everybody }))
    const producer = await engine.produce('running', { owner: 'ann' })
    assert.equal((await post('stop', { id: 'running', reason: 'by hand' })).result, 'stopping')
    await until(() => producer.signal.aborted)
    assert.equal(producer.signal.reason.reason, 'by hand')
    await producer.complete()
    assert.equal((await post('cleanup', { olderThan: '1h', dryRun: true })).removed, 0)
    assert.equal((await post('cleanup', { olderThan: 0, outcomes: ['stopped'] })).removed, 1)
    await engine.produce('alive')
    assert.equal((await post('delete', { id: 'alive' })).existed, true)
    assert.equal(await engine.status('alive'), null)
    assert.equal((await post('stop', { id: 'alive' })).status, 404, 'nothing is kept for what is not there')
    for (const [name, body] of /** @type {[string, any][]} */ ([
      ['stop', {}],
      ['stop', { id: '' }],
      ['stop', { id: 'x', owner: 'ann' }],
      ['stop', []],
      ['stop', { id: 'x', reason: 'x'.repeat(9_000) }],
      ['cleanup', { force: true }],
      ['retry', { group: 'g' }],
    ]))
      assert.equal((await post(name, body)).status, 400, JSON.stringify(body).slice(0, 50))
  })

  test('dead letters are shown, retried and given up, of a stream and of finished generations', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const shown = asker(inspector({ engine, write: true, showData: true, authorize: everybody }))
    const hidden = asker(inspector({ engine, authorize: everybody }))
    const producer = await engine.produce('poisoned', { owner: 'ann' })
    await producer.append('poison')
    const options = { maxDeliveries: 1, claimIdleMs: 1, batch: 1 }
    const consume = () =>
      engine.consume('poisoned', { group: 'workers', consumer: 'w', owner: 'ann', ...options })
    const finished = (/** @type {string} */ consumer) =>
      engine.finished({ group: 'savers', consumer, ...options })
    const deadOf = async (/** @type {string} */ path) => (await shown.get(path)).letters ?? []
    const path = '/api/dead?group=workers&id=poisoned'
    /** Takes what is handed out, acknowledges nothing, and looks again and again. @param {() => AsyncIterable<any>} join */
    const die = async (join, /** @type {string} */ at) => {
      await until(
        async () => {
          const loop = join()[Symbol.asyncIterator]()
          const next = loop.next()
          next.catch(() => {})
          await until(async () => (await deadOf(at)).length === 1, { timeout: 1_000 }).catch(() => {})
          return (await deadOf(at)).length === 1
        },
        { timeout: 15_000 },
      )
    }
    await die(consume, path)
    const { groups } = (await shown.get('/api/stream?id=poisoned')).stream
    assert.deepEqual([groups[0].group, groups[0].dead], ['workers', 1])
    const [letter] = await deadOf(path)
    assert.equal(letter.data.text, 'poison')
    assert.equal((await hidden.get(path)).letters[0].data, null)
    assert.equal(
      (await shown.post('retry', { id: 'poisoned', group: 'workers', key: 'another' })).status,
      404,
    )
    assert.equal(
      (await shown.post('retry', { id: 'poisoned', group: 'workers', key: letter.key })).status,
      200,
    )
    assert.deepEqual(await deadOf(path), [])
    await die(consume, path)
    assert.equal(
      (await shown.post('drop', { id: 'poisoned', group: 'workers', key: letter.key })).status,
      200,
    )
    assert.deepEqual(await deadOf(path), [])

    const first = finished('first').next()
    await until(async () => (await shown.get('/api/groups')).groups.length === 1)
    await producer.complete()
    await first
    await die(() => finished('second'), '/api/dead?group=savers')
    assert.equal((await shown.get('/api/groups')).groups[0].dead, 1)
    const [generation] = await deadOf('/api/dead?group=savers')
    assert.deepEqual([generation.streamId, generation.outcome], ['poisoned', 'complete'])
    assert.equal((await shown.post('drop', { group: 'savers', key: generation.key })).status, 200)
    assert.deepEqual(await deadOf('/api/dead?group=savers'), [])
  })

  test('G1 a stream is played from any cursor, in batches, and a gap is told', async () => {
    const engine = open()
    const producer = await engine.produce('played')
    for (let index = 0; index < 5_000; index++) if (!producer.write(`${index} `)) await producer.ready
    await producer.fail(new Error('cut'))
    const { play, get } = asker(inspector({ engine, showData: true, authorize: everybody }))
    const events = await play('id=played')
    const batches = events.filter(({ event }) => event === 'chunks')
    assert.equal(
      batches.reduce((sum, { data }) => sum + data.count, 0),
      5_000,
    )
    for (const { data } of batches) assert.ok(data.chunks.length <= 200)
    assert.deepEqual(events.at(-1), { event: 'end', data: { outcome: 'failed', reason: 'cut' } })
    const [rest] = await play(`id=played&from=${producer.generation}.4998`)
    assert.deepEqual(
      rest?.data.chunks.map((/** @type {any} */ { seq, text }) => [seq, text]),
      [
        [4_999, '4998 '],
        [5_000, '4999 '],
      ],
    )
    assert.equal((await get('/api/play?id=played&from=nonsense')).status, 400)
    const gone = await play(`id=played&from=01ARZ3NDEKTSV4RRFFQ69G5FAV.3`)
    assert.equal(gone[0]?.event, 'gap')
    assert.equal(gone.at(-1)?.event, 'end')
  })

  test('what is hostile in ids and owners stays text, in JSON', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const producer = await engine.produce(HOSTILE, { owner: HOSTILE })
    await producer.append(HOSTILE)
    await producer.complete()
    const { raw } = asker(inspector({ engine, showData: true, authorize: everybody }))
    const id = encodeURIComponent(HOSTILE)
    for (const path of ['/api/look', `/api/stream?id=${id}`, `/api/play?id=${id}`]) {
      const response = await raw(path)
      checkHeaders(response)
      assert.match(response.headers.get('content-type') ?? '', /^(application\/json|text\/event-stream)$/)
      for (const line of (await response.text()).split('\n')) {
        const json = line.startsWith('data: ') ? line.slice(6) : line.startsWith('{') ? line : undefined
        if (json !== undefined) JSON.parse(json)
        else assert.match(line, /^(|event: \w+|id: [\w.]+)$/)
      }
    }
  })

  test('nobody looking asks the store nothing', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    let asked = 0
    const counted = new Proxy(engine, {
      get(target, name) {
        const value = /** @type {any} */ (target)[name]
        if (typeof value !== 'function') return value
        return (/** @type {unknown[]} */ ...args) => {
          if (['glances', 'glance', 'status', 'groups', 'sampleMemory'].includes(String(name))) asked++
          return value.apply(target, args)
        }
      },
    })
    const { get } = asker(inspector({ engine: counted, authorize: everybody }))
    assert.equal(asked, 0)
    await Promise.all([get('/api/look'), get('/api/look'), get('/api/look')])
    assert.equal(asked, 2, 'one list for all, and one sample of memory')
    // With streams too: what was read for the list is not read once more for its rows. A pause of half a second may get between.
    await (await engine.produce('one')).append('one')
    await until(async () => {
      const other = asker(inspector({ engine: counted, authorize: everybody }))
      asked = 0
      const looks = await Promise.all([1, 2, 3].map(() => other.get('/api/look')))
      assert.deepEqual(
        looks.map(({ list }) => list.rows.length),
        [1, 1, 1],
      )
      return asked === 2
    })
  })
})

test('a node:http server serves it at a path of its own', async () => {
  const engine = createEngine({ url: 'memory:inspected' })
  const producer = await engine.produce('a')
  const server = createServer(toNodeListener(inspector({ engine, authorize: () => true, write: true })))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  after(async () => {
    server.closeAllConnections()
    server.close()
    await engine.close()
  })
  const base = `http://127.0.0.1:${/** @type {any} */ (server.address()).port}/deep/inspect`
  assert.match(await (await fetch(base)).text(), /<base href="\/deep\/inspect\/">/)
  const headers = { 'content-type': 'application/json', 'x-tidemark-inspector': '1' }
  const response = await fetch(`${base}/api/stop`, { method: 'POST', headers, body: '{"id":"a"}' })
  assert.deepEqual(await response.json(), { result: 'stopping' })
  assert.ok(producer.signal.aborted)
  // A page that is closed ends its play.
  const controller = new AbortController()
  const playing = await fetch(`${base}/api/play?id=a`, { signal: controller.signal })
  assert.equal(playing.status, 200)
  await until(() => engine.metrics().readers === 1)
  controller.abort()
  await until(() => engine.metrics().readers === 0)
})
