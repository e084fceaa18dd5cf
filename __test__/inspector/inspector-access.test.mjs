// The inspector: who is let in, what is told to whom, and from where something may be changed.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { createEngine } from 'tidemark'
import { inspector, toNodeListener } from 'tidemark/inspector'
import { asker, checkHeaders } from '../support/inspector.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const HOSTILE = `"><img src=x onerror=alert(1)><script>alert(2)</script>`

eachStore('inspector access', (store) => {
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
