// The examples of the adapters, started as their first line says.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findNode22 } from '../../scripts/node22.mjs'
import { findWorkflowClient } from '../../scripts/workflow-client.mjs'
import { startChild } from '../support/child.mjs'
import { startExample } from '../support/example.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { deadline, until } from '../support/wait.mjs'

const WORDS =
  'Rivers remember where they have been, and a stream that is resumed goes on from where you left it.'

/** @param {import('node:test').TestContext} t @param {string} name @param {Record<string, string>} [env] */
const serve = (t, name, env) => startExample(t, `adapters/${name}`, { PACE_MS: '10', ...env })

/** @param {string} body of server-sent events of TanStack AI */
const said = (body) => [...body.matchAll(/"delta":"([^"]*)"/g)].map(([, delta]) => delta).join('')

test('TanStack AI: an answer that was asked of one server is followed on another', async (t) => {
  const redis = await startRedis()
  t.after(() => redis.close())
  const env = { TIDEMARK_URL: redis.url }
  const one = await serve(t, 'tanstack', env)
  const two = await serve(t, 'tanstack', env)
  const asked = await fetch(`${one.address}/chat`, { method: 'POST', headers: { 'x-run-id': 'run-1' } })
  const reader = /** @type {ReadableStream<Uint8Array>} */ (asked.body).getReader()
  let seen = ''
  while (said(seen).length < 20) seen += Buffer.from((await reader.read()).value ?? []).toString()
  await reader.cancel()
  seen = seen.slice(0, seen.lastIndexOf('\n\n') + 2)
  const last = [...seen.matchAll(/^id: ?(.*)$/gm)].at(-1)?.[1] ?? ''
  const rest = fetch(`${two.address}/chat`, { headers: { 'last-event-id': last } }).then((got) => got.text())
  assert.equal(said(seen) + said(await deadline(rest, 10_000, 'the rest of the answer')), WORDS)
  const all = await fetch(`${two.address}/chat?runId=run-1&offset=-1`)
  assert.equal(said(await all.text()), WORDS)
})

test('assistant-ui: an answer has one producer, and readers on every server', async (t) => {
  const redis = await startRedis()
  t.after(() => redis.close())
  const env = { TIDEMARK_URL: redis.url }
  const [one, two] = await Promise.all([serve(t, 'assistant-ui', env), serve(t, 'assistant-ui', env)])
  const asked = await fetch(`${one.address}/chats/1`, { method: 'POST' })
  const reader = /** @type {ReadableStream<Uint8Array>} */ (asked.body).getReader()
  await reader.read()
  await reader.cancel()
  const others = [
    fetch(`${two.address}/chats/1`),
    fetch(`${two.address}/chats/1`, { method: 'POST' }),
    fetch(`${one.address}/chats/1`),
  ]
  const texts = others.map((other) => other.then((got) => got.text()))
  assert.deepEqual(await deadline(Promise.all(texts), 10_000, 'all answers'), [WORDS, WORDS, WORDS])
  assert.equal((await fetch(`${one.address}/chats/1`, { method: 'DELETE' })).status, 204)
  assert.equal((await fetch(`${two.address}/chats/1`)).status, 404)
})

test('Workflow: a step that is tried again has written once', async (t) => {
  const script = new URL('../../examples/adapters/workflow.mjs', import.meta.url)
  const env = { TIDEMARK_URL: '', REDIS_URL: '', KV_URL: '', PACE_MS: '5' }
  const child = startChild(script, { env })
  t.after(() => child.kill())
  await until(() => child.ended, { message: () => child.output })
  assert.deepEqual(child.ended, { code: 0, signal: null }, child.output)
  const count = WORDS.split(' ').length
  assert.equal(child.output, `${WORDS}\n${count} chunks, done: true, streams of the run: 1\n`)
})

test('the transports of AI SDK 7: an answer survives its socket, and its response', async () => {
  const program = findNode22()
  assert.ok(program, 'node scripts/setup.mjs node22')
  const client = findWorkflowClient()
  assert.ok(client, 'node scripts/setup.mjs workflow')
  const script = fileURLToPath(new URL('../../examples/adapters/ai-transports.mjs', import.meta.url))
  // `node --test` sets a variable that would make the child use the test runner's protocol.
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  const none = { TIDEMARK_URL: '', REDIS_URL: '', KV_URL: '' }
  const env = { ...inherited, ...none, PACE_MS: '10', WORKFLOW_CLIENT: client }
  const { stdout } = await promisify(execFile)(program, [script], { env, timeout: 60_000 })
  const [socket, run] = stdout.split('\n')
  const [, seen, whole] =
    /^WebSocketChatTransport: (.*)\| the socket is gone, .*: (Rivers.*)$/.exec(socket ?? '') ?? []
  assert.equal(whole, WORDS)
  assert.ok(seen && seen.length < WORDS.length && WORDS.startsWith(seen), stdout)
  assert.equal(run, `WorkflowChatTransport: 2 requests, one answer: ${WORDS}`)
})

test('Durable Streams: a worker is woken by what is appended on another server', async (t) => {
  const redis = await startRedis()
  t.after(() => redis.close())
  const env = { TIDEMARK_URL: redis.url }
  const one = await serve(t, 'durable-streams', env)
  const two = await serve(t, 'durable-streams', env)
  const printed = () => `${one.child.output}${two.child.output}`
  const init = { headers: { 'content-type': 'text/plain' } }
  const url = `${two.address}/streams/notes/1`
  assert.equal((await fetch(url, { ...init, method: 'PUT' })).status, 201)
  for (const text of ['buy milk', 'and bread']) {
    assert.ok((await fetch(url, { ...init, method: 'POST', body: text })).ok)
    await until(() => printed().includes(text), { message: printed })
  }
  assert.deepEqual(printed().match(/notes\/1: .*/g)?.length, 2, printed())
  const all = await fetch(`${one.address}/streams/notes/1?offset=-1`)
  assert.equal(await all.text(), 'buy milkand bread')
})
