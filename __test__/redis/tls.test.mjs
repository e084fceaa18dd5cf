// TLS: to those whom Node.js would trust with the same options, and to nobody else.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe } from 'node:test'
import { connect } from 'node:tls'
import { argsOf, certify } from '../support/certificates.mjs'
import { startChild } from '../support/child.mjs'
import {
  checkWritings,
  connections,
  errorOf,
  openEngine,
  openRedis,
  replay,
  test,
} from '../support/fault-scene.mjs'
import { histories, startReaders, Writing } from '../support/fault-work.mjs'
import { freePort } from '../support/free-port.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { numbered, texts } from '../support/streams.mjs'
import { failureOf, until } from '../support/wait.mjs'

const PASSWORD = 'correct-horse-battery'

/** @type {Awaited<ReturnType<typeof certify>>} */
let ours
/** @type {Awaited<ReturnType<typeof certify>>} */
let theirs
before(async () => {
  ours = await certify()
  theirs = await certify()
})
after(() => Promise.all([ours?.close(), theirs?.close()]))

/** A server with TLS, and its URL. @param {import('node:test').TestContext} t @param {string[]} [args] */
async function openSecure(t, args = ours.args) {
  const port = await freePort()
  const redis = await openRedis(t, { password: PASSWORD, args: ['--tls-port', `${port}`, ...args] })
  return { redis, port, url: `rediss://tidemark:${PASSWORD}@127.0.0.1:${port}` }
}

test('rediss: with the authority that signed the certificate everything works', async (t) => {
  const { redis, url } = await openSecure(t)
  const engine = openEngine(t, { url, tls: { ca: ours.ca } })
  const producer = await engine.produce('chat')
  const reading = replay(engine, 'chat')
  const chunks = texts(100)
  for (const chunk of chunks) producer.write(chunk)
  assert.equal(await producer.complete(), 'complete')
  checkHistory({ written: numbered(chunks), readers: [await reading, await replay(engine, 'chat')] })
  assert.deepEqual(await connections(redis), { commands: 1, subscribers: 1 })

  const stopped = await engine.produce('stopped')
  await engine.stop('stopped')
  await until(() => stopped.signal.aborted)
})

test('G8: for a while the server has a certificate that is not trusted', async (t) => {
  const { redis, url } = await openSecure(t)
  const engine = openEngine(t, { url, tls: { ca: ours.ca }, connectTimeout: 500 })
  const random = createRandom()
  const readers = startReaders(engine, ['rotated'], { each: 2, name: 'near ', random, stay: null })
  const writing = new Writing(await engine.produce('rotated'), { random }).start()
  t.after(() => writing.settle(1_000).catch(() => {}))
  await until(() => writing.accepted > 20)
  const { admin } = redis
  await admin.cmd('CONFIG', 'SET', ...theirs.settings)
  await admin.cmd('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await admin.cmd('CLIENT', 'KILL', 'TYPE', 'normal')
  await until(() => engine.state === 'degraded')
  const written = writing.written.length
  await until(() => writing.written.length > written + 50)
  assert.match((await errorOf(engine.status('rotated'), [PASSWORD])).message, /certificate/)
  await admin.cmd('CONFIG', 'SET', ...ours.settings)
  await until(() => writing.accepted > written)
  await writing.finish()
  await checkWritings(engine, [writing], await histories(readers, 10_000))
})

test('G10: a certificate that is not trusted is ERR_CONNECTION, says so, and shows no password', async (t) => {
  const { redis, url } = await openSecure(t)
  const { ca } = ours
  for (const [options, words] of /** @type {[import('..').EngineOptions, RegExp][]} */ ([
    [{ url }, /certificate.*UnknownIssuer/],
    [{ url, tls: { ca: theirs.ca } }, /certificate/],
    [{ url, tls: { ca: 'system' } }, /certificate/],
    [{ url: url.replace('127.0.0.1', 'localhost'), tls: { ca } }, /certificate.*not valid for.*name/i],
    [{ url, tls: { ca, servername: 'localhost' } }, /certificate.*not valid for.*name/i],
    [{ url: url.replace(/\d+$/, `${redis.port}`), tls: { ca } }, /./],
    [{ url: url.replace('rediss', 'redis') }, /./],
  ])) {
    const engine = openEngine(t, { ...options, connectTimeout: 500 })
    const error = await errorOf(engine.connect(), [PASSWORD])
    t.diagnostic(error.message)
    assert.equal(error.code, 'ERR_CONNECTION', String(error))
    assert.match(error.message, words)
    assert.match(error.message, /cannot reach (127\.0\.0\.1|localhost):\d+: /)
  }
})

/** Whether Node.js itself accepts a server. @param {string} host @param {number} port @param {import('..').TlsOptions} options */
function nodeAccepts(host, port, options) {
  return new Promise((resolve) => {
    const socket = connect({ host, port, .../** @type {any} */ (options) })
    const done = (/** @type {boolean} */ accepted) => () => {
      socket.destroy()
      resolve(accepted)
    }
    socket.once('secureConnect', done(true))
    socket.once('error', done(false))
  })
}

test('TLS where there is none, and none where there is: what the URL should begin with', async (t) => {
  const { redis, port } = await openSecure(t)
  for (const [url, words] of /** @type {const} */ ([
    [`redis://127.0.0.1:${port}`, /if the server speaks TLS, the URL begins with rediss:/],
    [
      `rediss://127.0.0.1:${redis.port}`,
      /it does not answer to TLS; if it speaks none, the URL begins with redis:/,
    ],
    [`rediss://127.0.0.1:${port}`, /UnknownIssuer; options\.tls\.ca takes the authority that has signed it/],
  ])) {
    const engine = openEngine(t, { url, connectTimeout: '1s' })
    const { code, message } = await engine.connect().then(assert.fail, (error) => error)
    assert.equal(code, 'ERR_CONNECTION')
    assert.match(message, words)
  }
})

describe('what Node.js accepts with the same options is accepted, and what it refuses is refused', () => {
  /** @type {[name: string, make: () => Promise<import('../support/certificates.mjs').Pair>][]} */
  const certificates = [
    [
      'an authority that is the server itself',
      () => ours.selfSigned('own', '/CN=x', ['subjectAltName=IP:127.0.0.1']),
    ],
    [
      'the same with a host',
      () =>
        ours.selfSigned('own-host', '/CN=x', [
          'subjectAltName=DNS:localhost',
          'basicConstraints=critical,CA:TRUE',
        ]),
    ],
    [
      'a self-signed one that is no authority',
      () =>
        ours.selfSigned('leaf', '/CN=x', [
          'subjectAltName=DNS:localhost',
          'basicConstraints=critical,CA:FALSE',
        ]),
    ],
    ['a self-signed one with a common name alone', () => ours.selfSigned('common', '/O=org/CN=localhost')],
    ['another common name', () => ours.selfSigned('uncommon', '/CN=elsewhere')],
    [
      'a common name beside other names',
      () => ours.selfSigned('beside', '/CN=localhost', ['subjectAltName=DNS:elsewhere']),
    ],
    ['a common name that is an address', () => ours.selfSigned('address', '/CN=127.0.0.1')],
    [
      'a signed one with a common name alone',
      () => ours.signed('common-signed', '/CN=localhost', ['keyUsage=digitalSignature']),
    ],
    ['a signed one of the first version', () => ours.signed('first', '/O=x/CN=localhost')],
    ['a signed one of the first version, for an address', () => ours.signed('first-ip', '/CN=127.0.0.1')],
    [
      'a signed one of the first version, with another name',
      () => ours.signed('first-other', '/CN=elsewhere'),
    ],
    [
      'names with a star',
      () => ours.signed('star', '/CN=x', ['subjectAltName=DNS:*.localhost,DNS:localhost']),
    ],
    ['one that has expired', () => ours.expired('expired', '/CN=localhost')],
    [
      'one for clients alone',
      () => ours.signed('client', '/CN=x', ['subjectAltName=DNS:localhost', 'extendedKeyUsage=clientAuth']),
    ],
  ]
  for (const [name, make] of certificates) {
    test(name, async (t) => {
      const pair = await make()
      const { port, url } = await openSecure(t, argsOf(pair))
      const options = {
        'the certificate': { ca: pair.pem },
        'its authority': { ca: ours.ca },
        'somebody else': { ca: theirs.ca },
        both: { ca: [theirs.ca, Buffer.from(pair.pem)] },
        'another name': { ca: pair.pem, servername: 'localhost' },
        'a name with a part more': { ca: [pair.pem, ours.ca], servername: 'a.localhost' },
        nobody: { rejectUnauthorized: false },
      }
      const tries = ['127.0.0.1', 'localhost'].flatMap((host) =>
        Object.entries(options).map(async ([label, tls]) => {
          const expected = await nodeAccepts(host, port, tls)
          const engine = openEngine(t, { url: url.replace('127.0.0.1', host), tls, connectTimeout: 2_000 })
          const error = await failureOf(engine.connect())
          assert.equal(error === undefined, expected, `${host}, ${label}: ${error?.message}`)
          return expected
        }),
      )
      const accepted = (await Promise.all(tries)).filter(Boolean).length
      t.diagnostic(`${accepted} of 14 are accepted`)
    })
  }
})

test('certificates as text, as bytes, many in one, and with anything around them', async (t) => {
  const { url } = await openSecure(t)
  const around = `Bag Attributes\n  friendlyName: x\nsubject=CN = x\n${theirs.ca}\n# ours\n${ours.ca}trailing`
  for (const ca of [
    ours.ca,
    Buffer.from(ours.ca),
    new Uint8Array(Buffer.from(ours.ca)),
    theirs.ca + ours.ca,
    around,
    Buffer.from(around.replaceAll('\n', '\r\n')),
    [theirs.ca, ours.ca],
    [Buffer.from(theirs.ca), around],
    ['system', ours.ca],
  ]) {
    await openEngine(t, { url, tls: { ca: /** @type {any} */ (ca) } }).connect()
  }
})

test('the authorities of the system, and those that the environment adds', async (t) => {
  const { url } = await openSecure(t)
  /** @param {Record<string, string>} env @param {object} tls */
  const tried = async (env, tls) => {
    const child = startChild(new URL('../children/tls.mjs', import.meta.url), {
      env: { ...env, ENGINE: JSON.stringify({ url, tls, connectTimeout: 2_000 }) },
    })
    t.after(() => child.kill())
    const { error } = await child.next('tried')
    return error
  }
  assert.match(await tried({}, {}), /certificate/)
  assert.match(await tried({}, { ca: 'system' }), /certificate/)
  assert.equal(await tried({ NODE_EXTRA_CA_CERTS: ours.caFile }, {}), null)
  assert.equal(await tried({ NODE_EXTRA_CA_CERTS: ours.caFile }, { ca: 'system' }), null)
  assert.match(await tried({ NODE_EXTRA_CA_CERTS: ours.caFile }, { ca: theirs.ca }), /certificate/)
  // What is in these files is what the system trusts.
  assert.equal(await tried({ SSL_CERT_FILE: ours.caFile }, { ca: 'system' }), null)
  assert.match(await tried({ SSL_CERT_FILE: ours.caFile }, {}), /certificate/)
})

test('a client shows a certificate of its own, where it is asked for one', async (t) => {
  const { url } = await openSecure(t, [
    ...ours.args.slice(0, 4),
    ...['--tls-auth-clients', 'yes', '--tls-ca-cert-file', ours.caFile],
  ])
  const pair = await ours.signed('mutual', '/CN=a client', ['keyUsage=digitalSignature'])
  const key = await readFile(pair.key, 'utf8')
  const passphrase = 'of the key'
  const encrypted = await ours.encrypted(pair, passphrase)
  const { ca } = ours
  for (const tls of [
    { ca, cert: pair.pem, key },
    { ca, cert: Buffer.from(pair.pem + ca), key: Buffer.from(key) },
    { ca, cert: pair.pem, key: encrypted, passphrase },
  ]) {
    await openEngine(t, { url, tls }).connect()
  }
  const error = await errorOf(openEngine(t, { url, tls: { ca }, connectTimeout: 500 }).connect(), [PASSWORD])
  assert.equal(error.code, 'ERR_CONNECTION')
  const other = await readFile((await ours.signed('other', '/CN=another')).key, 'utf8')
  for (const [tls, field] of /** @type {[import('..').TlsOptions, RegExp][]} */ ([
    [{ ca, cert: pair.pem, key: other }, /options\.tls\.key: does not belong to options\.tls\.cert/],
    [{ ca, cert: pair.pem, key: encrypted }, /options\.tls\.key: must be a private key/],
    [{ ca, cert: pair.pem, key: encrypted, passphrase: 'wrong' }, /options\.tls\.key: must be a private key/],
    [{ ca, cert: key, key }, /options\.tls\.cert: must be certificates/],
  ])) {
    assert.throws(() => openEngine(t, { url, tls }), field)
  }
})

test('whoever trusts everybody is told so, once and without a password', async (t) => {
  const { url } = await openSecure(t)
  /** @type {(Error & { code?: string })[]} */
  const warnings = []
  const hear = (/** @type {Error} */ warning) => warnings.push(warning)
  process.on('warning', hear)
  t.after(() => process.off('warning', hear))
  for (let times = 0; times < 3; times++) {
    await openEngine(t, { url, tls: { rejectUnauthorized: false } }).connect()
  }
  await openEngine(t, { url, tls: { rejectUnauthorized: true, ca: ours.ca } }).connect()
  const told = warnings.filter(({ code }) => code === 'TIDEMARK_TLS')
  assert.equal(told.length, 1)
  assert.match(told[0]?.message ?? '', /rejectUnauthorized is false: .*127\.0\.0\.1:\d+.*passwords included/)
  assert.doesNotMatch(told[0]?.message ?? '', new RegExp(PASSWORD))
})
