// The inspector: what it tells of streams, groups and dead letters, and what it does with them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspector } from 'tidemark/inspector'
import { gate } from '../support/gate.mjs'
import { asker, surveyed } from '../support/inspector.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

eachStore('inspector API', (store) => {
  const open = useEngines(store)
  const everybody = () => true

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

  test('G9 the list takes no metadata from the store', { skip: store.kind === 'memory' }, async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const metadata = { question: 'x'.repeat(16_000) }
    for (let index = 0; index < 50; index++) await engine.produce(`chat ${index}`, { metadata })
    const { get } = asker(inspector({ engine, authorize: everybody }))
    const sent = async () => Number((await store.redis.admin.info('stats')).total_net_output_bytes)
    const before = await sent()
    assert.equal((await get('/api/look?fresh=1')).list.rows.length, 50)
    const bytes = (await sent()) - before
    // Of the metadata there are 800,000.
    assert.ok(bytes < 100_000, `${bytes} bytes`)
  })

  test('rates are counted between looks, and what happens between them is in the timeline', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    const { get } = asker(inspector({ engine, authorize: everybody }))
    let producer = await engine.produce('busy')
    await producer.append('one')
    await get('/api/look')
    const writing = setInterval(() => producer.write('more'), 20)
    await until(async () => (await get('/api/stream?id=busy')).stream.rate > 10)
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

  test('a page that reads no further costs nothing more, however often it stops', async (t) => {
    const engine = open()
    const producer = await engine.produce('slow')
    const { raw } = asker(inspector({ engine, showData: true, authorize: everybody }))
    /** How many listeners a signal has. @type {Map<AbortSignal, number>} */
    const listeners = new Map()
    /** How often the player has found no room for more. */
    let stops = 0
    let hasRoom = true
    const { addEventListener, removeEventListener } = EventTarget.prototype
    const count = (/** @type {EventTarget} */ target, /** @type {number} */ more) => {
      if (target instanceof AbortSignal) listeners.set(target, (listeners.get(target) ?? 0) + more)
    }
    t.mock.method(EventTarget.prototype, 'addEventListener', function (...args) {
      count(this, 1)
      return addEventListener.apply(this, args)
    })
    t.mock.method(EventTarget.prototype, 'removeEventListener', function (...args) {
      count(this, -1)
      return removeEventListener.apply(this, args)
    })
    const room = Object.getOwnPropertyDescriptor(
      ReadableStreamDefaultController.prototype,
      'desiredSize',
    )?.get
    t.mock.getter(ReadableStreamDefaultController.prototype, 'desiredSize', function () {
      const size = room?.call(this)
      hasRoom = size > 0
      if (!hasRoom) stops++
      return size
    })
    // Two thousand are an event, and there is room for four.
    for (let index = 0; index < 40_000; index++) if (!producer.write('x'.repeat(300))) await producer.ready
    await producer.complete()
    listeners.clear()
    const reader = (await raw('/api/play?id=slow')).body?.getReader()
    // The player's own: it listens to that first.
    const [signal] = listeners.keys()
    assert.ok(signal)
    const before = listeners.get(signal) ?? 0
    for (let reads = 0; reads < 14; reads++) {
      // It goes on until there is no room again.
      await until(() => !hasRoom)
      const text = new TextDecoder().decode((await reader?.read())?.value)
      assert.match(text, /^event: chunks\n/)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(stops >= 10, `stopped ${stops} times`)
    assert.ok(before > 0)
    assert.ok(Number(listeners.get(signal)) <= before + 2, `${listeners.get(signal)} listeners, of ${before}`)
    await reader?.cancel()
  })

  test('a stream that begins while all are looked at, and is looked at itself, is not called gone', async () => {
    const engine = open({ keyPrefix: store.prefix() })
    await (await engine.produce('first')).append('x')
    const { opened, open: goOn } = gate()
    let looks = 0
    const held = surveyed(engine, () => ++looks === 2 && opened)
    const { get } = asker(inspector({ engine: held, authorize: everybody }))
    assert.equal((await get('/api/look')).list.total, 1)
    const look = get('/api/look?fresh=1')
    await until(() => looks === 2)
    await (await engine.produce('second')).append('x')
    assert.equal((await get('/api/stream?id=second')).stream.lastSeq, 1)
    goOn()
    assert.equal((await look).list.total, 2)
    const { stream } = await get('/api/stream?id=second')
    assert.deepEqual(
      stream.timeline.filter((/** @type {any} */ { kind }) => kind === 'gone'),
      [],
    )
  })

  test('the metrics are read for those who ask for them, and for each of them', async () => {
    const { get } = asker(inspector({ engine: open(), authorize: everybody }))
    const known = async (/** @type {string} */ path) => (await get(path)).engine.inside !== null
    for (const path of ['/api/look?', '/api/stream?id=none&', '/api/groups?'])
      assert.deepEqual(
        [await known(path), await known(`${path}metrics=1`), await known(`${path}metrics=1`)],
        [false, true, true],
        path,
      )
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
