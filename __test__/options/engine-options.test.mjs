// Bad options of the engine and bad variables are refused: with the code and the name of the field or the variable.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { createEngine } from 'tidemark'
import { badDurations, lone, MIB, refusal } from '../support/refusals.mjs'

const PEM = '-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n'

describe('createEngine', () => {
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
      badDurations.map((bad) => /** @type {[unknown, string]} */ ([{ [name]: bad }, `options.${name}`])),
    ),
    ...['active', 'done'].flatMap((name) =>
      [...badDurations, 0, 999, '999ms', '366d'].map(
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
    ...[null, '2', '2ms', -1, 1001, 0.5].map(
      (bad) => /** @type {[unknown, string]} */ ([{ deliveryIntervalMs: bad }, 'options.deliveryIntervalMs']),
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
