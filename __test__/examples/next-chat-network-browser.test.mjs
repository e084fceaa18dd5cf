// `examples/next-chat` in several tabs, on networks that do what networks do: in all of them one message, the model's text, no error.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom } from '../support/seed.mjs'
import { until } from '../support/wait.mjs'
import { browser, leave, link, servers, serversOf, shows, tabsOf } from './tabs.mjs'

/** @typedef {import('../support/next-chat.mjs').Tab} Tab */

/** How long the browser has no network; `npm run soak` has it wait longer than any retry. */
const OFFLINE_MS = Number(process.env.TIDEMARK_OFFLINE_MS ?? 2_000)

for (const [place, at] of /** @type {const} */ ([
  // Each wave of the story is four bytes.
  ['a character', (/** @type {number} */ byte) => byte >= 0xf0],
  ['a line', (/** @type {number} */ byte) => byte === 0x22],
])) {
  for (const how of /** @type {const} */ (['reset', 'end'])) {
    test(`cuts in the middle of ${place} (${how})`, async (t) => {
      const { tabs } = await tabsOf(t, 2)
      const random = createRandom(place.length)
      let cuts = 0
      link.cut = () => (cuts++ < 12 ? { after: random.int(1, 900), at, how } : undefined)
      const question = 'A story of 200 words at 150/s'
      await /** @type {Tab} */ (tabs[0]).ask(question)
      for (const tab of tabs) await shows(tab, question, 2)
      assert.ok(cuts > 4, `${cuts} responses`)
      link.cut = () => undefined
      await leave(tabs)
    })
  }
}

test('connections that say nothing more, and do not end: left after their time', async (t) => {
  const { tabs } = await tabsOf(t, 2, (page) => page.clock.install())
  const done = () => servers.reduce((sum, server) => sum + server.model('done'), 0)
  const before = done()
  let cuts = 0
  link.cut = () => (cuts++ < 2 ? { after: 4_000, how: 'silence' } : undefined)
  const question = 'A story of 150 words at 100/s'
  await /** @type {Tab} */ (tabs[0]).ask(question)
  for (const tab of tabs) await tab.hasMoreThan(5)
  // The answer is over, and no tab knows.
  await until(() => done() === before + 2, { timeout: 20_000 })
  for (const tab of tabs) assert.equal(await tab.status(), 'streaming')
  // As if so long had passed.
  for (const tab of tabs) await tab.page.clock.fastForward(46_000)
  for (const tab of tabs) await shows(tab, question, 2)
  link.cut = () => undefined
  await leave(tabs)
})

test(`no network for ${OFFLINE_MS / 1000} s, in the middle of an answer and past its end`, async (t) => {
  const { tabs } = await tabsOf(t, 2)
  t.after(() => browser.setOffline(false))
  const question = 'A story of 100 words at 60/s'
  await /** @type {Tab} */ (tabs[0]).ask(question)
  for (const tab of tabs) await tab.hasMoreThan(20)
  await browser.setOffline(true)
  // What is there already goes on; the proxy takes it away.
  for (const response of link.open) response.destroy()
  for (const tab of tabs) await tab.page.getByText('Connection lost').waitFor()
  await new Promise((resolve) => setTimeout(resolve, OFFLINE_MS))
  await browser.setOffline(false)
  for (const tab of tabs) await shows(tab, question, 2)
  await leave(tabs)
})

test('a server is killed: its readers come back elsewhere, and have all that the model said', async (t) => {
  const { tabs } = await tabsOf(t, 3)
  const question = 'A story of 200 words at 60/s'
  // Not the one that calls the model: with that, the answer ends.
  const { other } = await serversOf(t, async () => {
    await /** @type {Tab} */ (tabs[0]).ask(question)
    for (const tab of tabs) await tab.hasMoreThan(20)
  })
  other.kill()
  for (const tab of tabs) await shows(tab, question, 2)
  await until(() => link.watching === 1)
  await /** @type {Tab} */ (tabs[1]).ask('A story of 20 words')
  for (const tab of tabs) await shows(tab, 'A story of 20 words', 4)
  await leave(tabs)
})

test('G5 the server that calls the model is killed: every tab says so in words, and the next message is answered', async (t) => {
  const { tabs } = await tabsOf(t, 3)
  const { caller } = await serversOf(t, async () => {
    await /** @type {Tab} */ (tabs[0]).ask('A story of 3000 words at 60/s')
    for (const tab of tabs) await tab.hasMoreThan(20)
  })
  const start = performance.now()
  caller.kill()
  const said = tabs.map(async (tab) => {
    await tab.page.getByText('The answer was interrupted').waitFor({ timeout: 20_000 })
    assert.equal(await tab.status(), 'error')
    return tab.text()
  })
  const partial = await Promise.all(said)
  t.diagnostic(`told after ${Math.round(performance.now() - start)} ms, with a lease of 1,000 ms`)
  for (const text of partial) assert.equal(text, partial[0])
  await until(() => link.watching === 1)
  await /** @type {Tab} */ (tabs[1]).ask('A story of 20 words')
  for (const tab of tabs) await shows(tab, 'A story of 20 words', 4)
  await leave(tabs)
})
