// Bad arguments of the engine's methods are refused: with the code, the name of the field, and nothing half done.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { createEngine } from 'tidemark'
import { badDurations, lone, MIB, refusal } from '../support/refusals.mjs'

const engine = createEngine({ url: `memory:${randomUUID()}` })
after(() => engine.close())

const circular = {}
circular.self = circular

const badIds = [undefined, null, 5, {}, [], '', 'x'.repeat(513), 'é'.repeat(257), lone]
const badConsumers = [undefined, null, 5, {}, '', 'x'.repeat(257), lone]
const badOwners = [null, 5, {}, '', 'x'.repeat(513), lone]

/** @type {[options: unknown, field: string][]} */
const badProduceOptions = [
  ...[null, 5, 'owner', []].map((bad) => /** @type {[unknown, string]} */ ([bad, 'options'])),
  [{ reason: 'x' }, 'options.reason'],
  ...badOwners.map((bad) => /** @type {[unknown, string]} */ ([{ owner: bad }, 'options.owner'])),
  ...[circular, 5n, () => 1, Symbol('s'), 'x'.repeat(65_535), { toJSON: () => lone.at(9) }].map(
    (bad) => /** @type {[unknown, string]} */ ([{ metadata: bad }, 'options.metadata']),
  ),
  ...[null, '', 'steal', 5].map(
    (bad) => /** @type {[unknown, string]} */ ([{ ifActive: bad }, 'options.ifActive']),
  ),
  ...[null, '', 'ignore'].map(
    (bad) => /** @type {[unknown, string]} */ ([{ ifEnded: bad }, 'options.ifEnded']),
  ),
  [{ ttl: { active: 0 } }, 'options.ttl.active'],
  ...[-1, 0.5, 10_001, '5ms'].map(
    (bad) => /** @type {[unknown, string]} */ ([{ flushIntervalMs: bad }, 'options.flushIntervalMs']),
  ),
]

describe('methods that return promises reject', () => {
  test('produce', async () => {
    for (const id of badIds)
      await assert.rejects(engine.produce(/** @type {any} */ (id)), refusal('streamId'))
    for (const [options, field] of badProduceOptions) {
      await assert.rejects(engine.produce('refused', /** @type {any} */ (options)), refusal(field))
    }
    await assert.rejects(
      engine.produce('refused', /** @type {any} */ ({ waitUntil: () => {} })),
      refusal('options.waitUntil'),
    )
    assert.equal(await engine.status('refused'), null, 'nothing was done')
  })

  test('stop', async () => {
    for (const id of badIds) await assert.rejects(engine.stop(/** @type {any} */ (id)), refusal('streamId'))
    for (const reason of [null, 5, lone, 'x'.repeat(1025)]) {
      await assert.rejects(engine.stop('unstopped', /** @type {any} */ (reason)), refusal('reason'))
      const options = /** @type {any} */ ({ reason })
      await assert.rejects(engine.stop('unstopped', options), refusal('options.reason'))
    }
    await assert.rejects(engine.stop('unstopped', /** @type {any} */ ([])), refusal('options'))
    const both = [{ reason: 'x' }, { owner: 'ann' }]
    await assert.rejects(engine.stop('unstopped', .../** @type {[any]} */ (both)), refusal('options'))
    for (const owner of badOwners) {
      await assert.rejects(
        engine.stop('unstopped', '', /** @type {any} */ ({ owner })),
        refusal('options.owner'),
      )
    }
    await assert.rejects(engine.stop('unstopped', '', { keep: '999ms' }), refusal('options.keep'))
    await assert.rejects(
      engine.stop('unstopped', '', /** @type {any} */ ({ why: 1 })),
      refusal('options.why'),
    )
    const producer = await engine.produce('unstopped')
    assert.equal(producer.signal.aborted, false, 'no stop was kept')
    await producer.complete()
  })

  test('ack', async () => {
    const cursor = '01M82E32S4EYSMNYABHA889SSS.1'
    for (const id of badIds) {
      await assert.rejects(engine.ack(/** @type {any} */ (id), 'c', cursor), refusal('streamId'))
    }
    for (const bad of badConsumers) {
      await assert.rejects(engine.ack('s', /** @type {any} */ (bad), cursor), refusal('consumer'))
    }
    for (const bad of [undefined, null, 5, {}, '', 'start', 'now', cursor.slice(1), `${cursor} `]) {
      await assert.rejects(engine.ack('s', 'c', /** @type {any} */ (bad)), refusal('cursor'))
      const subscription = engine.subscribe('s', { consumer: 'c' })
      await assert.rejects(subscription.ack(/** @type {any} */ (bad)), refusal('cursor'))
      await subscription.return()
    }
    for (const owner of badOwners) {
      const options = /** @type {any} */ ({ owner })
      await assert.rejects(engine.ack('s', 'c', cursor, options), refusal('options.owner'))
      const all = /** @type {any} */ ({ owner, cursor, consumer: 'c' })
      await assert.rejects(engine.ack('s', all), refusal('options.owner'))
    }
    const lacking = /** @type {any} */ ({ consumer: 'c' })
    await assert.rejects(engine.ack('s', lacking), refusal('options.cursor'))
    await assert.rejects(engine.ack('s', /** @type {any} */ ({ cursor })), refusal('options.consumer'))
  })

  test('status and delete', async () => {
    for (const id of badIds) {
      await assert.rejects(engine.status(/** @type {any} */ (id)), refusal('streamId'))
      await assert.rejects(engine.delete(/** @type {any} */ (id)), refusal('streamId'))
    }
  })

  test('append', async () => {
    const producer = await engine.produce('append')
    for (const bad of badChunks)
      await assert.rejects(producer.append(/** @type {any} */ (bad)), refusal('chunk'))
    assert.match(await producer.append('first'), /\.1$/)
    assert.equal(await producer.complete(), 'complete')
  })
})

const badChunks = [
  undefined,
  null,
  5,
  {},
  ['a'],
  new ArrayBuffer(3),
  new Uint16Array(3),
  new DataView(new ArrayBuffer(3)),
  'x'.repeat(32 * MIB + 1),
  'é'.repeat((32 * MIB) / 2 + 1),
  new Uint8Array(32 * MIB + 1),
]

describe('methods that return something else throw', () => {
  test('write', async () => {
    const producer = await engine.produce('write')
    for (const bad of badChunks)
      assert.throws(() => producer.write(/** @type {any} */ (bad)), refusal('chunk'))
    await producer.flush()
    assert.equal((await engine.status('write'))?.lastSeq, 0, 'nothing was written')
    const good = [
      '',
      'x'.repeat(MIB),
      'é'.repeat(MIB / 2),
      new Uint8Array(MIB),
      Buffer.alloc(0),
      '\u0000',
      '🎉',
    ]
    for (const chunk of good) producer.write(chunk)
    const largest = ['x'.repeat(32 * MIB), 'é'.repeat(16 * MIB), new Uint8Array(32 * MIB)]
    for (const chunk of largest) {
      await producer.flush()
      producer.write(chunk)
    }
    await producer.complete()
    const read = []
    for await (const { data } of engine.subscribe('write')) read.push(data)
    assert.ok(
      read.splice(good.length).every((data, index) => Buffer.from(data).equals(Buffer.from(largest[index]))),
    )
    assert.deepEqual(
      read,
      good.map((chunk) => (typeof chunk === 'string' ? chunk : new Uint8Array(chunk))),
    )
  })

  test('subscribe', () => {
    for (const id of badIds)
      assert.throws(() => engine.subscribe(/** @type {any} */ (id)), refusal('streamId'))
    const ulid = '01M82E32S4EYSMNYABHA889SSS'
    const badCursors = [null, 5, {}, '', 'end', ulid, `${ulid}.`, `${ulid}.-1`, `${ulid}.01`, `${ulid}.1.2`]
    badCursors.push(
      `${ulid}.1 `,
      `${ulid}.+1`,
      `${ulid}.9007199254740992`,
      `${ulid.toLowerCase()}.1`,
      `8${ulid.slice(1)}.1`,
    )
    badCursors.push(`${ulid.slice(1)}.1`, `${ulid.replace('S', 'U')}.1`, `${ulid}.1e3`)
    /** @type {[options: unknown, field: string][]} */
    const table = [
      ...[null, 5, 'start', []].map((bad) => /** @type {[unknown, string]} */ ([bad, 'options'])),
      ...badCursors.map((bad) => /** @type {[unknown, string]} */ ([{ from: bad }, 'options.from'])),
      ...[null, 5, {}, new AbortController(), { aborted: false }].map(
        (bad) => /** @type {[unknown, string]} */ ([{ signal: bad }, 'options.signal']),
      ),
      ...badOwners.map((bad) => /** @type {[unknown, string]} */ ([{ owner: bad }, 'options.owner'])),
      ...badDurations.map((bad) => /** @type {[unknown, string]} */ ([{ wait: bad }, 'options.wait'])),
      [{ wait: '25h' }, 'options.wait'],
      ...[null, true, 'both'].map(
        (bad) => /** @type {[unknown, string]} */ ([{ follow: bad }, 'options.follow']),
      ),
      ...badConsumers
        .slice(1)
        .map((bad) => /** @type {[unknown, string]} */ ([{ consumer: bad }, 'options.consumer'])),
      ...[null, '', true, 'none'].map(
        (bad) => /** @type {[unknown, string]} */ ([{ consumer: 'c', ack: bad }, 'options.ack']),
      ),
      [{ ack: 'manual' }, 'options.ack'],
      [{ ack: 'auto' }, 'options.ack'],
      ...[null, '5', 0, -1, 1.5, Number.NaN, 1_000_001].map(
        (bad) => /** @type {[unknown, string]} */ ([{ window: bad }, 'options.window']),
      ),
      ...[null, '5s', 0, 0.5, 86_400_001].map(
        (bad) =>
          /** @type {[unknown, string]} */ ([
            { window: 5, ack: 'manual', ackTimeoutMs: bad },
            'options.ackTimeoutMs',
          ]),
      ),
      [{ window: 5, ackTimeoutMs: 5 }, 'options.ackTimeoutMs'],
      [{ windows: 5 }, 'options.windows'],
    ]
    for (const [options, field] of table) {
      assert.throws(() => engine.subscribe('s', /** @type {any} */ (options)), refusal(field))
    }
  })

  test('respond and toSSE', async () => {
    /** @type {[options: unknown, field: string][]} */
    const table = [
      ...[null, 5, 'events', []].map((bad) => /** @type {[unknown, string]} */ ([bad, 'options'])),
      ...[null, 'event', 1].map(
        (bad) => /** @type {[unknown, string]} */ ([{ format: bad }, 'options.format']),
      ),
      ...[null, 'all', true].map(
        (bad) => /** @type {[unknown, string]} */ ([{ replay: bad }, 'options.replay']),
      ),
      ...['heartbeatMs', 'retryMs', 'maxDurationMs'].flatMap((name) =>
        [null, '5s', -1, 1.5, Number.NaN, 86_400_001].map(
          (bad) => /** @type {[unknown, string]} */ ([{ [name]: bad }, `options.${name}`]),
        ),
      ),
      [{ maxDurationMs: 0 }, 'options.maxDurationMs'],
    ]
    const subscription = engine.subscribe('sse')
    const request = new Request('http://localhost/')
    for (const [options, field] of table) {
      assert.throws(() => subscription.toSSE(/** @type {any} */ (options)), refusal(field))
      await assert.rejects(engine.respond(request, 'sse', /** @type {any} */ (options)), refusal(field))
    }
    await subscription.return()
    assert.throws(() => subscription.toSSE(/** @type {any} */ ({ headers: {} })), refusal('options.headers'))
    for (const headers of [null, 5, { 'not a name': 'x' }, [['a']]]) {
      const options = /** @type {any} */ ({ headers })
      await assert.rejects(engine.respond(request, 'sse', options), refusal('options.headers'))
    }
    for (const [options, field] of [
      [{ from: 'end' }, 'options.from'],
      [{ signal: {} }, 'options.signal'],
      [{ owner: '' }, 'options.owner'],
      [{ wait: -1 }, 'options.wait'],
    ]) {
      const given = /** @type {any} */ (options)
      await assert.rejects(engine.respond(request, 'sse', given), refusal(/** @type {string} */ (field)))
    }
    for (const id of badIds)
      await assert.rejects(engine.respond(request, /** @type {any} */ (id)), refusal('streamId'))
    for (const bad of [undefined, null, 5, 'GET /', {}, { headers: 'x' }])
      await assert.rejects(engine.respond(/** @type {any} */ (bad), 'sse'), refusal('request'))
  })

  test('consume, finished and deadLetters', () => {
    for (const id of badIds) {
      assert.throws(
        () => engine.consume(/** @type {any} */ (id), { group: 'g', consumer: 'c' }),
        refusal('streamId'),
      )
    }
    /** @type {[options: unknown, field: string][]} */
    const table = [
      ...[null, 5, 'g'].map((bad) => /** @type {[unknown, string]} */ ([bad, 'options'])),
      [undefined, 'options.group'],
      [{ group: 'g' }, 'options.consumer'],
      ...['group', 'consumer'].flatMap((name) =>
        badConsumers.map(
          (bad) =>
            /** @type {[unknown, string]} */ ([
              { group: 'g', consumer: 'c', [name]: bad },
              `options.${name}`,
            ]),
        ),
      ),
      ...[
        [0, 101, 1.5, '5', null],
        [0, 86_400_001, '1s'],
        [0, 1_000_001, null],
        [5, {}],
      ].flatMap((bads, index) => {
        const name = ['batch', 'claimIdleMs', 'maxDeliveries', 'signal'][index] ?? ''
        return bads.map(
          (bad) =>
            /** @type {[unknown, string]} */ ([
              { group: 'g', consumer: 'c', [name]: bad },
              `options.${name}`,
            ]),
        )
      }),
      [{ group: 'g', consumer: 'c', from: 'end' }, 'options.from'],
      [{ group: 'g', consumer: 'c', follow: 'all' }, 'options.follow'],
    ]
    for (const [options, field] of table) {
      assert.throws(() => engine.consume('s', /** @type {any} */ (options)), refusal(field))
      assert.throws(() => engine.finished(/** @type {any} */ (options)), refusal(field))
    }
    const only = { group: 'g', consumer: 'c', owner: 'o' }
    assert.throws(() => engine.finished(/** @type {any} */ (only)), refusal('options.owner'))
    for (const [options, field] of /** @type {[unknown, string][]} */ ([
      [undefined, 'options.group'],
      [{ group: '' }, 'options.group'],
      [{ group: 'g', streamId: '' }, 'options.streamId'],
      [{ group: 'g', owner: 5 }, 'options.owner'],
    ])) {
      assert.throws(() => engine.deadLetters(/** @type {any} */ (options)), refusal(field))
    }
  })

  test('pipe', async () => {
    async function* source() {
      yield assert.fail('must not be read')
    }
    for (const id of badIds)
      assert.throws(() => engine.pipe(/** @type {any} */ (id), source()), refusal('streamId'))
    for (const [options, field] of badProduceOptions) {
      assert.throws(() => engine.pipe('piped', source(), /** @type {any} */ (options)), refusal(field))
    }
    for (const waitUntil of [null, 5, Promise.resolve()]) {
      assert.throws(
        () => engine.pipe('piped', source(), /** @type {any} */ ({ waitUntil })),
        refusal('options.waitUntil'),
      )
    }
    const locked = new ReadableStream()
    locked.getReader()
    for (const bad of [undefined, null, 5, 'text', {}, ['a'], Promise.resolve(), locked]) {
      assert.throws(() => engine.pipe('piped', /** @type {any} */ (bad)), refusal('source'))
    }
    assert.throws(
      () => engine.pipe('piped', source(), { waitUntil: () => assert.fail('the host has no request') }),
      /the host has no request/,
    )
    assert.equal(await engine.status('piped'), null, 'nothing was done')
  })
})
