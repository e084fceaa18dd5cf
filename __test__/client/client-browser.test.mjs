// tidemark/client in a real browser: reload, second tab, offline and online, drops, and a page that slept.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { startBrowser } from '../support/browser.mjs'
import { serve } from '../support/event-source.mjs'
import { checkHistory } from '../support/history.mjs'
import { numbered, texts } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const PAGE = `<!doctype html><title>chat</title><main></main><script type="module">
import { follow } from '/esm/client.js'
const { searchParams, pathname } = new URL(location)
const id = pathname.slice(6)
const state = (globalThis.state = { chunks: [], outcome: undefined, error: undefined })
const ack = { url: '/ack/' + id, consumer: 'browser', intervalMs: 20 }
const loop = follow('/stream/' + id, { minRetryMs: 20, maxRetryMs: 200, ack })
try {
  for await (const { seq, data } of loop) {
    state.chunks.push({ seq, data })
    document.querySelector('main').append(data)
  }
  state.outcome = loop.outcome
} catch (error) {
  state.error = state.outcome = error.code
}
</script>`

const engine = createEngine({ url: 'memory:client-browser', ackIntervalMs: 0 })
const browser = await startBrowser()
/** Requests for streams, by stream. @type {Map<string, number>} */
const requests = new Map()
/** The sockets of live responses. @type {Set<import('node:net').Socket>} */
const sockets = new Set()

const { url: origin } = await serve(async (request) => {
  const { pathname } = new URL(request.url ?? '', 'http://x')
  const [, kind, name = ''] = pathname.split('/')
  if (kind === 'page') return new Response(PAGE, { headers: { 'content-type': 'text/html' } })
  if (kind === 'ack') return engine.acknowledge(request, name)
  if (kind === 'esm') {
    const code = await readFile(new URL(`../../dist${pathname}`, import.meta.url))
    return new Response(code, { headers: { 'content-type': 'text/javascript' } })
  }
  if (kind !== 'stream') return new Response('', { status: 404 })
  requests.set(name, (requests.get(name) ?? 0) + 1)
  sockets.add(request.socket)
  return engine.respond(request, name, { heartbeatMs: 50 })
})

/** @param {string} streamId */
async function openPage(streamId) {
  const page = await browser.newPage()
  await page.goto(`${origin}/page/${streamId}`)
  return page
}

/** @typedef {{ chunks: { seq: number, data: string }[], outcome?: string, error?: string }} State */
/** @param {import('playwright-core').Page} page @returns {Promise<State>} */
const stateOf = (page) => page.evaluate('globalThis.state ?? { chunks: [] }')

/** @param {import('playwright-core').Page} page @param {number} count */
const has = (page, count) =>
  until(async () => (await stateOf(page)).chunks.length >= count, {
    interval: 20,
    message: `${count} chunks`,
  })

/** @param {import('playwright-core').Page} page @param {string} name */
async function ended(page, name) {
  await until(async () => (await stateOf(page)).outcome, { interval: 20, message: `${name} ends` })
  return { name, ...(await stateOf(page)) }
}

test('reload, a second tab, offline and online, drops: every tab has the whole text', async () => {
  const producer = await engine.produce('chat')
  const chunks = texts(300)
  let written = 0
  const write = async (/** @type {number} */ count) => {
    for (const end = written + count; written < end; written++) {
      await producer.append(/** @type {string} */ (chunks[written]))
    }
  }
  const first = await openPage('chat')
  await write(50)
  await has(first, 50)
  for (let reloads = 0; reloads < 3; reloads++) {
    await first.reload()
    await write(10)
    await has(first, written)
  }
  const second = await openPage('chat')
  await has(second, written)
  for (const socket of sockets) socket.destroy()
  await write(40)
  await has(first, written)
  await has(second, written)
  const before = requests.get('chat') ?? 0
  await browser.setOffline(true)
  for (const socket of sockets) socket.destroy()
  await write(40)
  await browser.setOffline(false)
  await has(first, written)
  await has(second, written)
  assert.ok((requests.get('chat') ?? 0) > before)
  await write(chunks.length - written)
  await producer.complete()
  const readers = [await ended(first, 'first'), await ended(second, 'second')]
  checkHistory({ written: numbered(chunks), readers })
  assert.equal(await first.locator('main').textContent(), chunks.join(''))
  await until(async () => {
    const [consumer] = (await engine.status('chat'))?.consumers ?? []
    return consumer?.consumer === 'browser' && consumer.lag === 0
  })
  await Promise.all([first.close(), second.close()])
})

test('a network that is back, and a page that is looked at again, do not wait for a dead connection', async () => {
  const producer = await engine.produce('asleep')
  producer.write('a')
  const page = await openPage('asleep')
  await has(page, 1)
  await page.evaluate('dispatchEvent(new Event("online"))')
  await until(() => requests.get('asleep') === 2)
  await until(async () => {
    // Chromium reports the page as visible; what it cannot do here is sleep for a while.
    await page.evaluate('{ const { now } = Date; Date.now = () => now() + 60_000 }')
    await page.evaluate('document.dispatchEvent(new Event("visibilitychange"))')
    return (requests.get('asleep') ?? 0) >= 3
  })
  producer.write('b')
  await producer.complete()
  checkHistory({ written: numbered(['a', 'b']), readers: [await ended(page, 'the page')] })
  await page.close()
})

test('a page that is closed stops nothing', async () => {
  const producer = await engine.produce('closed')
  producer.write('a')
  const page = await openPage('closed')
  await has(page, 1)
  await page.close()
  await until(() => engine.metrics().readers === 0)
  assert.equal(producer.signal.aborted, false)
  producer.write('b')
  await producer.complete()
  const again = await openPage('closed')
  checkHistory({ written: numbered(['a', 'b']), readers: [await ended(again, 'again')] })
})
