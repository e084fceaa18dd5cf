// Tabs of a real browser that show `examples/next-chat`, on two servers behind a proxy that ends connections as networks do.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { answerTo } from '../../examples/next-chat/lib/model.js'
import { prepareNextChat } from '../../scripts/next-chat.mjs'
import { startBrowser } from '../support/browser.mjs'
import { startLink } from '../support/cutting-link.mjs'
import { startServers, Tab } from '../support/next-chat.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

await prepareNextChat()
export const browser = await startBrowser()
export const servers = await startServers(2, (await sharedRedis()).url)

/** What the servers are reached through. */
export const link = await startLink(() => servers.filter(({ isGone }) => !isGone).map(({ port }) => port))
export const { origin } = link

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
