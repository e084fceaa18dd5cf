// `examples/next-chat` in several tabs, on networks that do what networks do: in all of them one message, the model's text, no error.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { LEASE_MS, lasting } from '../support/next-chat.mjs'
import { createRandom } from '../support/seed.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'
import { browser, leave, link, servers, serversOf, shows, tabsOf } from './tabs.mjs'

/** @typedef {import('../support/next-chat.mjs').Tab} Tab */

/** What G5 allows for a stream's end after its producer's death: the lease and 2 s. */
const G5_MS = LEASE_MS + 2_000
/** A tab's own: its first retries, after 100 and 200 ms, the request, and what the page takes to show it. */
const OWN_MS = 1_000
/**
 * So many times slower may be a machine on which browsers, servers and other tests share two cores. Even so, it is less than what tabs
 * would wait if nobody told them (45 s of silence), and than with the lease that an engine has by default (10 s and 2 s).
 */
const BUSY = 2.5

/** For how long the browser has no network after the end of the answer; `npm run soak` has it wait longer than any retry. */
const OFFLINE_MS = Number(process.env.TIDEMARK_OFFLINE_MS ?? 0)

/** How many calls of the servers' models have ended by themselves: two for each story. */
const done = () => servers.reduce((sum, server) => sum + server.model('done'), 0)

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

test('no network from the middle of an answer to past its end', async (t) => {
  const { tabs } = await tabsOf(t, 2)
  t.after(() => browser.setOffline(false))
  const before = done()
  // It has not ended before the network is away, on a slow machine either.
  const question = lasting(Math.max(1_700, 5 * Math.max(...tabs.map((tab) => tab.loadedMs))), 60)
  await /** @type {Tab} */ (tabs[0]).ask(question)
  for (const tab of tabs) await tab.hasMoreThan(20)
  await browser.setOffline(true)
  // What is there already goes on; the proxy takes it away.
  for (const response of link.open) response.destroy()
  for (const tab of tabs) await tab.page.getByText('Connection lost').waitFor()
  await until(() => done() === before + 2, { timeout: 30_000, message: 'the answer is over' })
  if (OFFLINE_MS > 0) await new Promise((resolve) => setTimeout(resolve, OFFLINE_MS))
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

test('G5 the server that calls the model is killed: every tab says so in words within lease + 2 s, and the next message is answered', async (t) => {
  const { id, tabs } = await tabsOf(t, 3)
  const engine = createEngine({ url: (await sharedRedis()).url })
  t.after(() => engine.close())
  const { caller } = await serversOf(t, async () => {
    await /** @type {Tab} */ (tabs[0]).ask('A story of 3000 words at 60/s')
    for (const tab of tabs) await tab.hasMoreThan(20)
  })
  const killed = Date.now()
  caller.kill()
  const told = await Promise.all(
    tabs.map(async (tab) => {
      await tab.page.getByText('The answer was interrupted').waitFor({ timeout: 20_000 })
      const at = Date.now()
      assert.equal(await tab.status(), 'error')
      return { at, text: await tab.text() }
    }),
  )
  // When the log says that it ended, by the clock of Redis, which is this machine's.
  const log = await engine.status(id)
  assert.deepEqual([log?.state, log?.reason], ['interrupted', 'lease'])
  const endedMs = Number(log?.updatedAt) - killed
  const toldMs = Math.max(...told.map(({ at }) => at)) - killed
  t.diagnostic(`ended after ${endedMs} ms, told after ${toldMs} ms, with a lease of ${LEASE_MS} ms`)
  assert.ok(endedMs <= BUSY * G5_MS, `ended after ${endedMs} ms`)
  assert.ok(toldMs <= BUSY * (G5_MS + OWN_MS), `told after ${toldMs} ms`)
  for (const { text } of told) assert.equal(text, told[0]?.text)
  await until(() => link.watching === 1)
  await /** @type {Tab} */ (tabs[1]).ask('A story of 20 words')
  for (const tab of tabs) await shows(tab, 'A story of 20 words', 4)
  await leave(tabs)
})
