// Tabs of a real browser that show `examples/next-chat`, on two servers behind a proxy that ends connections as networks do.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { after } from 'node:test'
import { answerTo } from '../../examples/next-chat/lib/model.js'
import { prepareNextChat } from '../../scripts/next-chat.mjs'
import { startBrowser } from '../support/browser.mjs'
import { startServers, Tab } from '../support/next-chat.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

await prepareNextChat()
export const browser = await startBrowser()
export const servers = await startServers(2, (await sharedRedis()).url)

/** What the servers are reached through. */
export const link = {
  /**
   * How answers' responses are ended: after how many bytes, or at the first byte of a kind, and how.
   * @type {() => { after: number, at?: (byte: number) => boolean, how: 'reset' | 'end' | 'silence' } | undefined}
   */
  cut: () => undefined,
  /** Requests that watch and are under way. */
  watching: 0,
  /** Responses with events that are under way. @type {Set<import('node:http').ServerResponse>} */
  open: new Set(),
}
let turn = 0
const proxy = createServer((incoming, outgoing) => {
  const { method, url = '', headers } = incoming
  const alive = servers.filter(({ isGone }) => !isGone)
  const { port } = /** @type {{ port: number }} */ (alive[turn++ % alive.length])
  const isWatch = url.includes('watch=')
  const upstream = request(
    { host: '127.0.0.1', port, method, path: url, headers, agent: false },
    (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers)
      outgoing.flushHeaders()
      const isEvents = response.headers['content-type']?.startsWith('text/event-stream')
      const end = isEvents && !isWatch ? link.cut() : undefined
      if (isWatch) link.watching++
      if (isEvents) link.open.add(outgoing)
      outgoing.on('close', () => {
        link.open.delete(outgoing)
        if (isWatch) link.watching--
      })
      let left = end?.after ?? Number.POSITIVE_INFINITY
      let isOver = false
      response.on('data', (/** @type {Buffer} */ piece) => {
        if (isOver) return
        const fits = (/** @type {number} */ byte, /** @type {number} */ index) =>
          index >= left - 1 && (end?.at?.(byte) ?? true)
        const last = left <= piece.length ? piece.findIndex(fits) : -1
        left = Math.max(1, left - piece.length)
        isOver = last >= 0
        const sent = isOver ? piece.subarray(0, last + 1) : piece
        if (isOver && end?.how === 'end') outgoing.end(sent)
        // What is written before is to arrive: a client that never gets anything never gets on.
        else outgoing.write(sent, () => isOver && end?.how === 'reset' && outgoing.destroy())
      })
      response.on('end', () => isOver || outgoing.end())
      response.on('close', () => response.complete || isOver || outgoing.destroy())
    },
  )
  upstream.on('error', () => outgoing.destroy())
  outgoing.on('close', () => upstream.destroy())
  incoming.pipe(upstream)
})
proxy.listen(0, '127.0.0.1')
await once(proxy, 'listening')
export const origin = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (proxy.address()).port}`
after(() => {
  proxy.close()
  proxy.closeAllConnections()
})

/** @param {string} question */
export const storyOf = (question) => answerTo(question).story.join('')

/**
 * Tabs that show the same chat, and have been told so.
 * @param {import('node:test').TestContext} t @param {number} count
 * @param {(page: import('playwright-core').Page) => unknown} [prepare] before they are loaded
 */
export async function tabsOf(t, count, prepare) {
  const id = randomUUID()
  const tabs = /** @type {Tab[]} */ ([])
  // Tabs of a test that fails are not to watch on in the next one.
  t.after(() => Promise.all(tabs.map(({ page }) => page.close())))
  for (let index = 0; index < count; index++)
    tabs.push(await Tab.open(browser, `${origin}/chat/${id}`, prepare))
  await until(() => link.watching === 1, { message: () => `one connection watches: ${link.watching}` })
  return { id, tabs }
}

/** A connection that has died without a word is left after 45 s. */
const SHOWN_MS = 75_000

/** The tab has so many messages, the answer as a whole, and no complaint. @param {Tab} tab @param {string} question @param {number} count */
export async function shows(tab, question, count) {
  await until(
    async () =>
      (await tab.page.locator('article').count()) === count && (await tab.text()) === storyOf(question),
    {
      timeout: SHOWN_MS,
      message: `${count} messages and the story`,
    },
  )
  await tab.is('ready')
  const last = tab.page.locator('article').last()
  assert.equal(await last.locator('.thoughts').count(), 1, await last.innerHTML())
  assert.equal(await last.locator('.tool').count(), 1, await last.innerHTML())
  assert.equal(await tab.page.locator('.note').count(), 0)
}

/**
 * The server that calls the model for what is asked here, and one that does not. Whichever of them is ended in the test is there again
 * for the next one.
 * @param {import('node:test').TestContext} t @param {() => Promise<unknown>} ask
 */
export async function serversOf(t, ask) {
  const calls = servers.map((server) => server.model('call'))
  await ask()
  const called = await until(() => {
    const found = servers.filter((server, index) => server.model('call') !== calls[index])
    return found.length === 1 && found
  })
  const [caller] = called
  const other = servers.find((server) => server !== caller)
  assert.ok(caller && other)
  t.after(() => Promise.all([caller, other].map((server) => server.isGone && server.start())))
  return { caller, other }
}

export const leave = async (/** @type {Tab[]} */ tabs) => {
  for (const tab of tabs) {
    tab.noErrors()
    await tab.page.close()
  }
  await until(() => link.watching === 0)
}
