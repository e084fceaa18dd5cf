// Webhooks over HTTPS, from `tidemark serve` to receivers with certificates of a test's own authority.

import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { certify } from '../support/certificates.mjs'
import { startServe } from '../support/serving.mjs'
import { keyFile } from '../support/signing-keys.mjs'
import { until } from '../support/wait.mjs'

const LONG = { timeout: 20_000 }
const JSON_TYPE = { 'Content-Type': 'application/json' }
const names = fileURLToPath(new URL('../support/names.cjs', import.meta.url))

/**
 * A receiver of webhooks, which says that it is done, and how often somebody has tried to connect.
 * @param {import('node:test').TestContext} t @param {import('../support/certificates.mjs').Pair} pair
 */
async function receiver(t, { cert, key }) {
  /** @type {{ raw: string, signature: string, host: string }[]} */
  const hooks = []
  const [certificate, secret] = await Promise.all([readFile(cert), readFile(key)])
  const server = createServer({ cert: certificate, key: secret }, async (request, response) => {
    let raw = ''
    for await (const chunk of request.setEncoding('utf8')) raw += chunk
    const { 'webhook-signature': signature, host = '' } = request.headers
    hooks.push({ raw, signature: String(signature), host })
    response.writeHead(200, JSON_TYPE).end('{"done":true}')
  })
  let connections = 0
  server.on('connection', () => connections++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  return { hooks, port, connections: () => connections }
}

test('a webhook is delivered over HTTPS to whoever proves its name, on a public address, and to nobody else', async (t) => {
  const certificates = await certify()
  t.after(() => certificates.close())
  const own = ['subjectAltName=DNS:worker.example,DNS:inside.example']
  const right = await receiver(t, await certificates.signed('worker', '/CN=worker', own))
  const wrong = {
    'of another name': await receiver(
      t,
      await certificates.signed('another', '/CN=another', ['subjectAltName=DNS:another.example']),
    ),
    'signed by nobody': await receiver(t, await certificates.selfSigned('nobody', '/CN=worker.example', own)),
    expired: await receiver(t, await certificates.expired('old', '/CN=worker.example')),
  }
  const server = await startServe(
    ['--url', 'memory:', '--subscriptions', '--webhook-keys', await keyFile(t)],
    { NODE_EXTRA_CA_CERTS: certificates.caFile, NODE_OPTIONS: `--require ${JSON.stringify(names)}` },
  )
  t.after(() => server.stop('SIGKILL'))
  const streams = `${server.address}/v1/stream`
  const send = async (
    /** @type {string} */ method,
    /** @type {string} */ path,
    /** @type {unknown} */ body,
  ) => {
    const init = { method, headers: JSON_TYPE, ...(body !== undefined && { body: JSON.stringify(body) }) }
    const response = await fetch(`${streams}/${path}`, init)
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : JSON.parse(text) }
  }
  const shown = async (/** @type {string} */ id) =>
    (await send('GET', `__ds/subscriptions/${id}`, undefined)).body
  const targets = {
    right: `https://worker.example:${right.port}/hook`,
    inside: `https://inside.example:${right.port}/hook`,
    ...Object.fromEntries(
      Object.entries(wrong).map(([why, { port }]) => [why, `https://worker.example:${port}/hook`]),
    ),
  }
  for (const [id, url] of Object.entries(targets)) {
    const made = await send('PUT', `__ds/subscriptions/${encodeURIComponent(id)}`, {
      type: 'webhook',
      pattern: 'runs/*',
      webhook: { url },
    })
    assert.equal(made.status, 201, id)
  }
  assert.equal((await send('PUT', 'runs/1', [{ n: 1 }])).status, 201)

  await until(() => right.hooks.length > 0, LONG)
  const { raw, signature, host } = /** @type {NonNullable<typeof right.hooks[0]>} */ (right.hooks[0])
  assert.equal(host, `worker.example:${right.port}`)
  const { keys } = (await send('GET', '__ds/jwks.json', undefined)).body
  const [, time, kid, signed] = /^t=(\d+),kid=([^,]+),ed25519=([\w-]+)$/.exec(signature) ?? []
  assert.equal(kid, keys[0].kid)
  const key = createPublicKey({ key: keys[0], format: 'jwk' })
  assert.ok(verify(null, Buffer.from(`${time}.${raw}`), key, Buffer.from(String(signed), 'base64url')))
  const [{ path, tail_offset: tail }] = JSON.parse(raw).streams
  assert.equal(path, 'runs/1')
  await until(async () => (await shown('right')).streams[0].acked_offset === tail, LONG)

  for (const id of ['inside', ...Object.keys(wrong)]) {
    await until(async () => (await shown(encodeURIComponent(id))).status === 'failed', LONG)
    assert.notEqual((await shown(encodeURIComponent(id))).streams[0].acked_offset, tail, id)
  }
  for (const [why, { hooks, connections }] of Object.entries(wrong)) {
    assert.ok(connections() > 0, why)
    assert.deepEqual(hooks, [], why)
  }
  assert.deepEqual([right.hooks.length, right.connections()], [1, 1], 'inside was not even tried')
})
