// G10: a password that was put where it does not belong, or cannot be read, is in no error and in no line of output.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { inspect, promisify } from 'node:util'
import { createCluster } from 'redis'
import { createEngine } from 'tidemark'
import { follow } from 'tidemark/client'
import { createResumableStreamContext, resumeStream } from 'tidemark/resumable-stream'
import { createResumableStreamContext as createRelayContext } from 'tidemark/resumable-stream/generic'

const SECRET = 's3cr3t'
const run = promisify(execFile)
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** Everything that an error shows, to whoever looks at it. @param {any} error */
function allOf(error) {
  const parts = []
  for (let each = error; each !== undefined && each !== null; each = each.cause) {
    parts.push(String(each), each.stack, inspect(each, { depth: Number.POSITIVE_INFINITY, showHidden: true }))
    for (const name of Object.getOwnPropertyNames(each)) parts.push(name, String(each[name]))
    parts.push(JSON.stringify(each))
  }
  return parts.join('\n')
}

/** URLs that hold the password and are malformed, each in another way. */
const MALFORMED = [
  `redis://user:${SECRET}@host:port`,
  `redis://user:${SECRET}@ho st:6379`,
  `redis://user:${SECRET}@[::1`,
  `redis://:${SECRET}@/`,
  `redis//user:${SECRET}@host`,
  `redis:user:${SECRET}@host`,
  `user:${SECRET}@host:6379`,
  `${SECRET}:@host`,
  `//:${SECRET}@host`,
]

/** A client with options that the package itself would refuse: look-alikes do not. @param {string} url */
const lookAlikes = (url) => {
  const methods = { sendCommand() {}, duplicate() {}, publish() {}, connect() {}, isOpen: false }
  return {
    'redis, a URL': { ...methods, options: { url } },
    'a cluster, its nodes': { ...methods, _options: { rootNodes: [{ url }] } },
    'a cluster, its defaults': { ...methods, _options: { rootNodes: [{}], defaults: { url } } },
    'a cluster of ioredis': { defineCommand() {}, isCluster: true, options: {}, startupNodes: [url] },
  }
}

/** What has to fail without a word of the password: a name, and what is called. @type {[string, () => unknown][]} */
const calls = [
  ...MALFORMED.flatMap((url) => {
    /** @type {[string, () => unknown][]} */
    const each = [
      [`url ${url}`, () => createEngine({ url })],
      [`options ${url}`, () => createEngine(/** @type {any} */ (url))],
      [`tls ${url}`, () => createEngine(/** @type {any} */ ({ url: 'rediss://h', tls: url }))],
      [`keyPrefix ${url}`, () => createEngine({ keyPrefix: `${url} ` })],
      [`ttl ${url}`, () => createEngine({ ttl: { active: url } })],
      [`environment ${url}`, () => fromEnvironment('TIDEMARK_URL', url)],
      [`TTL ${url}`, () => fromEnvironment('TIDEMARK_TTL_DONE_SECONDS', url)],
      [`publisher ${url}`, () => createResumableStreamContext(context({ publisher: url, subscriber: url }))],
      [`generic ${url}`, () => createRelayContext(context({ publisher: url, subscriber: url }))],
      [
        `resume ${url}`,
        () => resumeStream(context({ keyPrefix: 'k', publisher: url, subscriber: url }), 's'),
      ],
      [`ttlSeconds ${url}`, () => createResumableStreamContext(context({ ttlSeconds: url, engine: {} }))],
    ]
    return each
  }),
  [
    'headers',
    () =>
      createEngine({ url: 'memory:' }).respond({ headers: {} }, 's', {
        headers: { 'set-cookie': `a\nsession=${SECRET}` },
      }),
  ],
  [
    'headers that are none',
    () =>
      createEngine({ url: 'memory:' }).respond(
        { headers: {} },
        's',
        /** @type {any} */ ({ headers: SECRET }),
      ),
  ],
]

/** @param {any} options @returns {any} */
const context = (options) => ({ waitUntil: null, ...options })

/** @param {string} name @param {string} value */
function fromEnvironment(name, value) {
  process.env[name] = value
  try {
    return createEngine()
  } finally {
    delete process.env[name]
  }
}

describe('secrets', () => {
  for (const [name, call] of calls) {
    test(`G10 ${name.replace(SECRET, '…')}`, async () => {
      const error = await (async () => call())().then(
        () => assert.fail('it is refused'),
        (error) => error,
      )
      const all = allOf(error)
      assert.ok(!all.includes(SECRET), all)
    })
  }

  test('G10 a client whose URL is malformed is used itself, and no error shows it', () => {
    const [port, space, bracket] = /** @type {[string, string, string]} */ (MALFORMED.slice(0, 3))
    for (const url of [port, space, bracket, `redis://user:${SECRET}%@host:6379`]) {
      // A real cluster, too, does not look at its nodes before it connects.
      const clients = {
        ...lookAlikes(url),
        'a cluster that is real': createCluster({ rootNodes: [{ url }] }),
      }
      for (const [name, client] of Object.entries(clients)) {
        try {
          createResumableStreamContext(context({ publisher: client, subscriber: client }))
        } catch (error) {
          assert.fail(`${name}: ${allOf(error)}`)
        }
      }
    }
  })

  test('G10 the command line prints none, wherever it was written', async () => {
    const good = `redis://user:${SECRET}@127.0.0.1:1/0`
    /** @type {[string[], NodeJS.ProcessEnv][]} */
    const runs = [
      [[good], {}],
      [[good, 'ls'], {}],
      [['ls', good, '--url', 'memory:x'], {}],
      [[`--${good}`, 'ls'], {}],
      [[`--url${good}`, 'ls'], {}],
      [['ls', '--json', good], {}],
      [['ls', `--json=${good}`], {}],
      [['ls', '--limit', good, '--url', 'memory:x'], {}],
      [['ls', '--state', good, '--url', 'memory:x'], {}],
      [['cleanup', '--older-than', good, '--url', 'memory:x'], {}],
      [['tail', good, '--url', 'memory:x'], {}],
      [['show', good, '--url', 'memory:x'], {}],
      [['stop', good, '--url', 'memory:x'], {}],
      [['rm', good, '--url', 'memory:x'], {}],
      [['tail', 'x', '--from', good, '-f', '--url', 'memory:x'], {}],
      [['doctor', '--prefix', good], {}],
      [['doctor', '--ca', good], {}],
      [['doctor'], { TIDEMARK_URL: good }],
      // An `@` need not be encoded.
      [['doctor'], { TIDEMARK_URL: `redis://user:p@${SECRET}@127.0.0.1:1` }],
      [['stats', '--json'], { TIDEMARK_URL: `redis+sentinel://:p@${SECRET}@127.0.0.1:1/m` }],
      [['doctor'], { TIDEMARK_URL: `redis+sentinel://127.0.0.1:1/m?sentinelPassword=${SECRET}` }],
      ...MALFORMED.slice(0, 5).map(
        (url) => /** @type {[string[], NodeJS.ProcessEnv]} */ ([['ls', '--url', url], {}]),
      ),
      ...MALFORMED.map(
        (url) => /** @type {[string[], NodeJS.ProcessEnv]} */ ([['doctor'], { REDIS_URL: url }]),
      ),
    ]
    const { TIDEMARK_URL, REDIS_URL, KV_URL, NODE_TEST_CONTEXT, ...inherited } = process.env
    const output = async (/** @type {string[]} */ args, /** @type {NodeJS.ProcessEnv} */ env) => {
      const options = { env: { ...inherited, ...env }, timeout: 60_000 }
      const { stdout, stderr } = await run(process.execPath, [main, ...args], options).catch((error) => error)
      return `${stdout}${stderr}`
    }
    const work = runs.values()
    const worker = async () => {
      for (const [args, env] of work) {
        const text = await output(args, env)
        assert.notEqual(text, '', `${args} says something`)
        assert.ok(!text.includes(SECRET), `${args}: ${text}`)
      }
    }
    await Promise.all([worker(), worker(), worker()])
  })

  test('G10 what a client is told to send is in none of its errors', async () => {
    const wrong = { authorization: `Bearer\n${SECRET}` }
    /** @type {[string, import('tidemark/client').FollowOptions][]} */
    const all = [
      ['http://localhost/', { headers: wrong }],
      ['http://localhost/', { headers: () => wrong }],
      [`http://user:${SECRET}@localhost/`, {}],
      [`http://user:${SECRET}@local host/`, {}],
    ]
    for (const [url, options] of all) {
      await assert.rejects(follow(url, options).next(), (error) => {
        assert.ok(!allOf(error).includes(SECRET), allOf(error))
        return true
      })
    }
  })
})
