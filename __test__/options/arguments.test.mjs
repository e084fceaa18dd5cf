// Every bad value is refused at the door: with the code, the name of the field, and nothing half done.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import errors from '../../dist/errors/errors.js'
import { createEngine, InvalidArgumentError, TidemarkError } from '../../dist/index.js'
import native from '../../dist/native/native.js'

const engine = createEngine({ url: `memory:${randomUUID()}` })
after(() => engine.close())

const circular = {}
circular.self = circular
const lone = 'a\ud800b'
const MIB = 1 << 20
const PEM = '-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n'

/** @param {string} field */
function refusal(field) {
  return (/** @type {any} */ error) => {
    assert.ok(error instanceof InvalidArgumentError && error instanceof TidemarkError, String(error))
    assert.equal(error.name, 'InvalidArgumentError')
    assert.equal(error.code, 'ERR_INVALID_ARGUMENT')
    assert.equal(error.field, field)
    assert.ok(error.message.startsWith(`${field}: `), error.message)
    assert.equal(error.retryable, false)
    assert.match(error.stack ?? '', /arguments\.test\.mjs/)
    return true
  }
}

/** @type {[name: string, bad: unknown[], field: string][]} */
const badDurations = [
  ['wrong types', [null, true, [], {}, 5n, Symbol('s'), () => 1], ''],
  ['not numbers of milliseconds', [Number.NaN, Infinity, -Infinity, -1, 1.5, 2 ** 60], ''],
  [
    'not durations',
    ['', '5', 's', '-1s', '1.5h', '1 h', '1H', '1w', '1h30m', ' 1h', '9999999999999d', '0x10ms'],
    '',
  ],
]

describe('createEngine', () => {
  const anyDuration = badDurations.flatMap(([, bad]) => bad)
  /** @type {[options: unknown, field: string][]} */
  const table = [
    ...[null, 5, 'redis://h', [], true].map((bad) => /** @type {[unknown, string]} */ ([bad, 'options'])),
    [{ uri: 'memory:' }, 'options.uri'],
    [{ ttl: { dead: '1h' } }, 'options.ttl.dead'],
    [{ __proto__: null, constructor: 1 }, 'options.constructor'],
    ...[null, '1h', 5, []].map((bad) => /** @type {[unknown, string]} */ ([{ ttl: bad }, 'options.ttl'])),
    ...[
      null,
      5,
      {},
      '',
      'localhost',
      'localhost:6379',
      '://',
      'http://h',
      'redis:',
      'redis://',
      'redis:h',
      'redis:/h',
    ]
      .concat([
        'redis://h:99999',
        'redis://h/x',
        'redis://h/0/1',
        'redis://u:p w@h',
        'redis://a,b',
        'redis://h?db=x',
        'redis://h/1#x',
        'redis://[h]',
        'unix://h/x',
        'unix:',
        'redis+unix://',
        'redis+unix:///x?tls=true',
        '/',
        'valkey://h/x',
        'redis+sentinel://h',
        'redis+sentinel://h/',
        'redis+sentinel://h/main/x',
        'redis+sentinel://h/main/0/1',
        'redis+sentinel://h/m:n',
        'redis+sentinel://h,/main',
        'redis+sentinel://,h/main',
        'redis+sentinel:///main',
        'redis+sentinel://h:1,h:99999/main',
        'redis+sentinel://h/main#x',
        'redis+cluster://',
        'redis+cluster://h/1',
        'redis+cluster://h/main',
        'redis+cluster://h?db=1',
        'redis+other://h',
        'rediss+unix://h',
        'memory: x',
        'memory:\u0000',
      ])
      .map((bad) => /** @type {[unknown, string]} */ ([{ url: bad }, 'options.url'])),
    ...[null, 5, 'pem', []].map((bad) => /** @type {[unknown, string]} */ ([{ tls: bad }, 'options.tls'])),
    ...[null, 5, '', lone, 'x'.repeat(MIB + 1)].map(
      (bad) => /** @type {[unknown, string]} */ ([{ tls: { ca: bad } }, 'options.tls.ca']),
    ),
    [{ url: 'rediss://h', tls: { ca: 'not PEM' } }, 'options.tls.ca'],
    [{ url: 'rediss://h', tls: { ca: PEM } }, 'options.tls.ca'],
    [{ url: 'redis://h', tls: { ca: PEM } }, 'options.tls.ca'],
    [{ url: 'memory:', tls: { ca: PEM } }, 'options.tls.ca'],
    [{ url: 'rediss://h', tls: { key: PEM } }, 'options.tls.cert'],
    [{ url: 'rediss://h', tls: { cert: PEM } }, 'options.tls.key'],
    [{ url: 'rediss://h', tls: { cert: PEM, key: PEM } }, 'options.tls.cert'],
    [{ url: 'rediss://h', tls: { pfx: PEM } }, 'options.tls.pfx'],
    [{ url: 'rediss://h', tls: { ca: [] } }, 'options.tls.ca'],
    [{ url: 'rediss://h', tls: { ca: ['system', 5] } }, 'options.tls.ca[1]'],
    [{ url: 'rediss://h', tls: { ca: Buffer.from(PEM) } }, 'options.tls.ca'],
    [{ url: 'rediss://h', tls: { servername: 'a b' } }, 'options.tls.servername'],
    [{ url: 'rediss://h', tls: { rejectUnauthorized: 'no' } }, 'options.tls.rejectUnauthorized'],
    [{ url: 'redis://h', tls: { rejectUnauthorized: false } }, 'options.tls.rejectUnauthorized'],
    [{ url: 'redis://h', credentials: { password: 'x' } }, 'options.credentials'],
    [{ url: 'memory:', credentials: () => ({ password: 'x' }) }, 'options.credentials'],
    ...[null, 5, '', 'a b', 'a{', '}', 'a\n', 'a\u0000', lone, 'x'.repeat(65)].map(
      (bad) => /** @type {[unknown, string]} */ ([{ keyPrefix: bad }, 'options.keyPrefix']),
    ),
    ...['lease', 'stopGrace', 'connectTimeout', 'commandTimeout'].flatMap((name) =>
      anyDuration.map((bad) => /** @type {[unknown, string]} */ ([{ [name]: bad }, `options.${name}`])),
    ),
    ...['active', 'done'].flatMap((name) =>
      [...anyDuration, 0, 999, '999ms', '366d'].map(
        (bad) => /** @type {[unknown, string]} */ ([{ ttl: { [name]: bad } }, `options.ttl.${name}`]),
      ),
    ),
    [{ lease: 999 }, 'options.lease'],
    [{ lease: '11m' }, 'options.lease'],
    [{ stopGrace: '61s' }, 'options.stopGrace'],
    [{ connectTimeout: 9 }, 'options.connectTimeout'],
    [{ commandTimeout: '11m' }, 'options.commandTimeout'],
    ...['flushIntervalMs', 'ackIntervalMs'].flatMap((name) =>
      [null, '5', '5ms', -1, 10_001, 0.5, Number.NaN].map(
        (bad) => /** @type {[unknown, string]} */ ([{ [name]: bad }, `options.${name}`]),
      ),
    ),
    ...['writeIntervalMs', 'deliveryIntervalMs'].flatMap((name) =>
      [null, '2', '2ms', -1, 1001, 0.5].map(
        (bad) => /** @type {[unknown, string]} */ ([{ [name]: bad }, `options.${name}`]),
      ),
    ),
    ...[null, '8MiB', 0, MIB - 1, 1024 * MIB + 1, Infinity].map(
      (bad) => /** @type {[unknown, string]} */ ([{ maxQueueBytes: bad }, 'options.maxQueueBytes']),
    ),
    ...[null, 'gzip', '6', -1, 0, 10, 1.5, Number.NaN].map(
      (bad) => /** @type {[unknown, string]} */ ([{ compression: bad }, 'options.compression']),
    ),
  ]
  test(`refuses ${table.length} bad options`, () => {
    for (const [options, field] of table) {
      assert.throws(() => createEngine(/** @type {any} */ (options)), refusal(field), JSON.stringify(field))
    }
  })

  test('takes the bounds themselves, and undefined for absent', async () => {
    for (const options of [
      undefined,
      {},
      { url: undefined, ttl: undefined, lease: undefined },
      { ttl: { active: undefined, done: '365d' }, lease: '1s', stopGrace: 0, connectTimeout: '10ms' },
      { ttl: { active: '1s', done: 31_536_000_000 }, lease: 600_000, stopGrace: '1m', commandTimeout: '10m' },
      { keyPrefix: '🎉'.repeat(64), flushIntervalMs: 10_000, maxQueueBytes: MIB },
      { keyPrefix: 'a:b%c', flushIntervalMs: 0, maxQueueBytes: 1024 * MIB },
      { compression: true },
      { compression: false },
      { compression: 1 },
      { compression: 9 },
      { url: 'memory:' },
      { url: 'MEMORY:name' },
      { url: 'REDIS://u:p%40@h:1/2' },
      { url: 'redis://[::1]?protocol=2' },
      { url: 'redis+sentinel://h/main' },
      { url: 'RedisS+Sentinel://u:p@h:1,[::1],c/a.B-c_9/2?sentinelUser=u&sentinelPassword=p%26' },
      { url: 'redis+cluster://h' },
      { url: 'rediss+cluster://:p@h:1,[::1]:2/0' },
      { url: 'rediss://h', tls: {} },
      { url: 'rediss://h', tls: { ca: 'system', servername: 'other.h' } },
      { url: 'redis://h', tls: {} },
      { url: 'redis://h', credentials: () => ({ password: 'x' }) },
    ]) {
      await createEngine({ url: 'memory:', ...options }).close()
    }
  })

  test('never repeats a password', () => {
    for (const url of [
      'redis://user:hunter2@h:99999',
      'redis://:hunter2@',
      'redis://:hunt/er2hunter2@h/x',
      'https://user:hunter2@h',
      'redis+sentinel://user:hunter2@h',
      'redis+cluster://user:hunt/er2hunter2@h',
      'hunter2',
    ]) {
      assert.throws(
        () => createEngine({ url }),
        (error) =>
          !/hunt/.test(JSON.stringify(error) + String(error) + error.stack) || assert.fail(error.stack),
      )
    }
  })
})

describe('the environment', () => {
  const names = [
    'TIDEMARK_URL',
    'REDIS_URL',
    'KV_URL',
    'TIDEMARK_TTL_ACTIVE_SECONDS',
    'TIDEMARK_TTL_DONE_SECONDS',
  ]
  const before = { ...process.env }

  /** @template T @param {Record<string, string>} environment @param {() => T} run @returns {T} */
  function within(environment, run) {
    for (const name of names) delete process.env[name]
    Object.assign(process.env, environment)
    try {
      return run()
    } finally {
      for (const name of names) {
        if (before[name] === undefined) delete process.env[name]
        else process.env[name] = before[name]
      }
    }
  }

  test('is refused by the name of the variable', () => {
    for (const name of ['TIDEMARK_URL', 'REDIS_URL', 'KV_URL']) {
      within({ [name]: 'postgres://h' }, () => assert.throws(() => createEngine(), refusal(name)))
    }
    for (const name of ['TIDEMARK_TTL_ACTIVE_SECONDS', 'TIDEMARK_TTL_DONE_SECONDS']) {
      for (const value of ['0', '-1', '1.5', '1h', 'NaN', '31536001', '1e3', ' 5']) {
        within({ [name]: value }, () => assert.throws(() => createEngine({ url: 'memory:' }), refusal(name)))
      }
    }
  })

  test('gives way to options, in the documented order, and empty means unset', () => {
    /** @param {Record<string, string>} environment @param {object} [options] */
    const works = (environment, options) => within(environment, () => void createEngine(options).close())
    works({ TIDEMARK_URL: 'bad', TIDEMARK_TTL_DONE_SECONDS: 'bad' }, { url: 'memory:', ttl: { done: '1h' } })
    works({ TIDEMARK_URL: 'memory:', REDIS_URL: 'bad', KV_URL: 'bad' })
    works({ TIDEMARK_URL: '', REDIS_URL: 'memory:', KV_URL: 'bad' })
    works({ TIDEMARK_URL: '', REDIS_URL: '', KV_URL: '', TIDEMARK_TTL_ACTIVE_SECONDS: '' })
    within({ REDIS_URL: 'bad', KV_URL: 'memory:' }, () =>
      assert.throws(() => createEngine(), refusal('REDIS_URL')),
    )
  })

  test('sets the TTLs', async () => {
    const own = within({ TIDEMARK_TTL_ACTIVE_SECONDS: '100', TIDEMARK_TTL_DONE_SECONDS: '31536000' }, () =>
      createEngine({ url: `memory:${randomUUID()}` }),
    )
    const producer = await own.produce('s')
    const active = (await own.status('s'))?.ttlMs ?? 0
    await producer.complete()
    const done = (await own.status('s'))?.ttlMs ?? 0
    await own.close()
    assert.ok(active > 90_000 && active <= 100_000, `${active}`)
    assert.ok(done > 31_535_000_000 && done <= 31_536_000_000, `${done}`)
  })
})

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
      ...badDurations.flatMap(([, bad]) =>
        bad.map((value) => /** @type {[unknown, string]} */ ([{ wait: value }, 'options.wait'])),
      ),
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

test('the codes are those of the native side, each with a class of its own', () => {
  assert.deepEqual(errors.ERROR_CODES, native.loadNative().errorCodes())
  const classes = new Set()
  for (const code of errors.ERROR_CODES) {
    const error = errors.fromNative({ code, message: 'm', streamId: 's', retryable: true })
    assert.ok(error instanceof TidemarkError)
    assert.notEqual(error.constructor, TidemarkError)
    assert.deepEqual([error.code, error.message, error.streamId, error.retryable], [code, 'm', 's', true])
    assert.equal(error.name, code === 'ERR_STOPPED' ? 'AbortError' : error.constructor.name)
    classes.add(error.constructor)
  }
  assert.equal(classes.size, errors.ERROR_CODES.length)
})
