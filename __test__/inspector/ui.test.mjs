// `tidemark ui`: the inspector as a process of its own, and who is let in.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'tidemark'
import { reap } from '../support/reaper.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const KEY_PREFIX = 'test-ui'
const redis = await sharedRedis()
const engine = createEngine({ url: redis.url, keyPrefix: KEY_PREFIX })
after(() => engine.close())
const producer = await engine.produce('from elsewhere', { owner: 'ann' })
producer.write('hush')
await producer.flush()

/** @param {string[]} args */
async function startUi(...args) {
  const { NODE_TEST_CONTEXT, ...env } = process.env
  const options = ['ui', '--url', redis.url, '--prefix', KEY_PREFIX, ...args]
  const child = spawn(process.execPath, [MAIN, ...options], { env })
  reap(child)
  // A child that lives keeps the test file from ending.
  after(() => child.kill('SIGKILL'))
  let [output, errors] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text
  })
  const line = await until(() => /\S+\n/.exec(output)?.[0], { timeout: 20_000, message: () => errors })
  return { child, line: line.trim(), errors: () => errors }
}

/** Asks with whatever headers, Host among them. @param {string} url @param {Record<string, string>} headers */
function ask(url, headers = {}, method = 'GET') {
  return new Promise((resolve, reject) => {
    const asking = request(url, { method, headers }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }))
    })
    asking.on('error', reject).end()
  })
}

const ui = await startUi('--port', '0')
const { origin, port, searchParams } = new URL(ui.line)
const token = searchParams.get('token') ?? ''

test('it listens on this machine alone, and prints an address with a token', async () => {
  assert.equal(new URL(ui.line).hostname, '127.0.0.1')
  assert.match(token, /^[\w-]{32}$/)
  await until(() => /read only.*no payloads/.test(ui.errors()), { message: ui.errors })
  assert.doesNotMatch(ui.errors(), new RegExp(token))
})

test('the token is taken once from the address, and then from a cookie or a header; nothing else is', async () => {
  const first = await ask(ui.line)
  assert.equal(first.status, 303)
  assert.equal(first.headers.location, '/')
  const [cookie = ''] = first.headers['set-cookie']
  assert.match(cookie, /HttpOnly; SameSite=Strict/)
  const pair = cookie.split(';')[0] ?? ''
  for (const headers of [
    { cookie: pair },
    { cookie: `a=b; ${pair}` },
    { authorization: `Bearer ${token}` },
  ]) {
    assert.equal((await ask(`${origin}/`, /** @type {any} */ (headers))).status, 200)
    const look = await ask(`${origin}/api/look`, /** @type {any} */ (headers))
    assert.equal(look.headers['content-length'], String(Buffer.byteLength(look.body)), 'in one piece')
    const { list, engine: about } = JSON.parse(look.body)
    assert.deepEqual([list.rows[0].streamId, list.rows[0].owner], ['from elsewhere', 'ann'])
    assert.equal(about.inside, null, 'its own engine writes nothing')
    assert.doesNotMatch(about.url, /@/)
  }
  const name = pair.split('=')[0]
  for (const headers of [
    {},
    { cookie: `${name}=${token.slice(0, -1)}` },
    { cookie: `${name}=` },
    { cookie: `other=${token}` },
    { authorization: token },
    { authorization: `Basic ${token}` },
    { authorization: `Bearer ${token}x` },
  ]) {
    for (const path of ['/', '/page/main.mjs', '/api/look', '/nothing'])
      assert.equal(
        (await ask(origin + path, /** @type {any} */ (headers))).status,
        401,
        JSON.stringify(headers),
      )
  }
  assert.equal((await ask(`${origin}/?token=wrong`)).status, 401)
  assert.equal(
    (await ask(`${origin}/api/look?token=${token}`)).status,
    401,
    'not in the address of what is asked',
  )
  assert.equal((await ask(`${origin}/nothing`, { cookie: pair })).status, 404)
})

test('a foreign name that leads here is not answered, whatever it brings', async () => {
  const headers = { authorization: `Bearer ${token}` }
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    'localhost.evil.example',
    '127.0.0.1.evil.example',
  ])
    assert.equal((await ask(ui.line, { ...headers, host })).status, 403, host)
  for (const host of ['localhost', `localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`])
    assert.equal((await ask(`${origin}/`, { ...headers, host })).status, 200, host)
})

test('it changes nothing and tells no payload unless it was told to', async () => {
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'x-tidemark-inspector': '1',
  }
  assert.match((await ask(`${origin}/api/delete`, headers, 'POST')).body, /ERR_READ_ONLY/)
  const own = 'a-token-of-my-own_1'
  const other = await startUi('--port', '0', '--write', '--show-data', '--json', '--token', own)
  const { url, ...rest } = JSON.parse(other.line)
  assert.deepEqual([rest.write, rest.showData, new URL(url).searchParams.get('token')], [true, true, own])
  const response = await fetch(new URL('/api/stop', url), {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${own}` },
    body: JSON.stringify({ id: 'from elsewhere', reason: 'seen enough' }),
  })
  assert.deepEqual(await response.json(), { result: 'stopping' })
  await until(() => producer.signal.aborted)
  await producer.complete()
  const play = new URL(`/api/play?id=from%20elsewhere`, url)
  assert.match(await (await fetch(play, { headers: { authorization: `Bearer ${own}` } })).text(), /hush/)
  other.child.kill('SIGINT')
  const [code] = await once(other.child, 'close')
  assert.equal(code, 130)
})

test('what cannot be is refused: a taken port, a short token, a bad port', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  after(() => taken.close())
  const run = async (/** @type {string[]} */ ...args) => {
    const child = spawn(process.execPath, [MAIN, 'ui', '--url', 'memory:', ...args])
    reap(child)
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors += text
    })
    const [code] = await once(child, 'close')
    return `${code} ${errors}`
  }
  assert.match(await run('--port', String(/** @type {any} */ (taken.address()).port)), /^1 .*EADDRINUSE/)
  assert.match(await run('--token', 'short'), /^2 .*--token takes/)
  assert.match(await run('--token', 'with spaces and more of them'), /^2 /)
  assert.match(await run('--port', '70000'), /^2 .*--port takes a number/)
})
