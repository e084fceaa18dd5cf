// `examples/next-chat` in several tabs of a real browser, which follow each other through connections that are cut.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom } from '../support/seed.mjs'
import { until } from '../support/wait.mjs'
import { browser, leave, link, serversOf, shows, storyOf, tabsOf } from './tabs.mjs'

/** @typedef {import('../support/next-chat.mjs').Tab} Tab */

for (const how of /** @type {const} */ (['reset', 'end'])) {
  test(`three tabs, 50 cuts of each kind (${how}): question and answer in all of them, once`, async (t) => {
    const { tabs } = await tabsOf(t, 3)
    const [first, second] = /** @type {[Tab, Tab]} */ (tabs)
    const random = createRandom(how.length)
    let cuts = 0
    link.cut = () => (cuts++ < 50 ? { after: random.int(1, 900), how } : undefined)
    const question = 'A story of 250 words at 150/s'
    await first.ask(question)
    for (const tab of tabs) await shows(tab, question, 2)
    assert.ok(cuts > 10, `${cuts} responses`)
    link.cut = () => undefined
    await second.ask('A story of 20 words')
    for (const tab of tabs) await shows(tab, 'A story of 20 words', 4)
    await leave(tabs)
  })
}

test('the tab that asks and leads is closed in mid-answer: the others have it all, and follow each other on', async (t) => {
  const { tabs } = await tabsOf(t, 3)
  const [first, second, third] = /** @type {[Tab, Tab, Tab]} */ (tabs)
  const question = 'A story of 150 words at 60/s'
  await first.ask(question)
  await third.hasMoreThan(20)
  await first.page.close()
  for (const tab of [second, third]) await shows(tab, question, 2)
  await until(() => link.watching === 1)
  await third.ask('A story of 30 words')
  for (const tab of [second, third]) await shows(tab, 'A story of 30 words', 4)
  await leave([second, third])
})

test('a phone that was asleep has all of it when it is looked at again', async (t) => {
  const { tabs } = await tabsOf(t, 2)
  const [first, second] = /** @type {[Tab, Tab]} */ (tabs)
  const session = await browser.newCDPSession(first.page)
  const question = 'A story of 150 words at 60/s'
  await first.ask(question)
  await first.hasMoreThan(20)
  await session.send('Page.setWebLifecycleState', { state: 'frozen' })
  for (const response of link.open) response.destroy()
  await shows(second, question, 2)
  await session.send('Page.setWebLifecycleState', { state: 'active' })
  await shows(first, question, 2)
  await leave(tabs)
})

test('Stop in one tab stops all; a message at once after it is answered, and one during an answer waits', async (t) => {
  const { tabs } = await tabsOf(t, 2)
  const [first, second] = /** @type {[Tab, Tab]} */ (tabs)
  await first.ask('A story of 3000 words')
  await second.hasMoreThan(20)
  await second.page.getByRole('button', { name: 'Stop' }).click()
  const partial = [await first.is('ready'), await second.is('ready')]
  assert.equal(partial[0], partial[1])
  await second.ask('A story of 60 words at 40/s')
  await second.hasMoreThan(5)
  await second.ask('A story of 10 words')
  for (const tab of tabs) await shows(tab, 'A story of 10 words', 6)
  assert.equal(
    await second.page.locator('article').nth(3).locator('.text').textContent(),
    storyOf('60 words'),
  )
  await leave(tabs)
})

test('a tool that asks first: any tab may answer; a file of megabytes is sent and shown', async (t) => {
  const { tabs } = await tabsOf(t, 2)
  const [first, second] = /** @type {[Tab, Tab]} */ (tabs)
  await first.ask('Warn them, with 20 words')
  await second.page.getByRole('button', { name: 'Yes' }).click()
  for (const tab of tabs) {
    await tab.page.getByText('It is warned.').waitFor()
    await shows(tab, '20 words', 2)
  }
  const picture = { name: 'tide.png', mimeType: 'image/png', buffer: Buffer.alloc(2_000_000, 1) }
  await second.page.getByLabel('File').setInputFiles(picture)
  await second.ask('A story of 15 words')
  for (const tab of tabs) {
    await tab.page.getByRole('img', { name: 'tide.png' }).waitFor()
    await shows(tab, '15 words', 4)
  }
  await leave(tabs)
})

test('a server is told to end: its readers and those who watch come back elsewhere, and follow on', async (t) => {
  const { tabs } = await tabsOf(t, 2)
  const [first, second] = /** @type {[Tab, Tab]} */ (tabs)
  const question = 'A story of 200 words at 60/s'
  const { other } = await serversOf(t, async () => {
    await first.ask(question)
    await second.hasMoreThan(20)
  })
  await other.terminate()
  for (const tab of tabs) await shows(tab, question, 2)
  await until(() => link.watching === 1)
  await second.ask('A story of 20 words')
  for (const tab of tabs) await shows(tab, 'A story of 20 words', 4)
  await leave(tabs)
})
