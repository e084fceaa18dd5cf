// `examples/next-chat` in several tabs of a real browser, which follow each other through connections that are cut.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { after, test } from 'node:test'
import { answerTo } from '../../examples/next-chat/lib/model.js'
import { prepareNextChat } from '../../scripts/next-chat.mjs'
import { startBrowser } from '../support/browser.mjs'
import { startServers, Tab } from '../support/next-chat.mjs'
import { createRandom } from '../support/seed.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

await prepareNextChat()
const browser = await startBrowser()
const servers = await startServers(2, (await sharedRedis()).url)

/** How answers' responses are ended: after how many bytes, and how. @type {() => { after: number, how: 'reset' | 'end' } | undefined} */
let cut = () => undefined
/** Requests that watch and are under way. */
let watching = 0
/** @type {Set<import('node:http').ServerResponse>} */
const open = new Set()
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
      const end = isEvents && !isWatch ? cut() : undefined
      if (isWatch) watching++
      if (isEvents) open.add(outgoing)
      outgoing.on('close', () => {
        open.delete(outgoing)
        if (isWatch) watching--
      })
      let left = end?.after ?? Number.POSITIVE_INFINITY
      response.on('data', (/** @type {Buffer} */ piece) => {
        if (left <= 0) return
        const sent = piece.subarray(0, left)
        left -= piece.length
        if (left > 0) outgoing.write(sent)
        else if (end?.how === 'end') outgoing.end(sent)
        // What is written before is to arrive: a client that never gets anything never gets on.
        else outgoing.write(sent, () => outgoing.destroy())
      })
      response.on('end', () => left > 0 && outgoing.end())
      response.on('close', () => response.complete || outgoing.destroy())
    },
  )
  upstream.on('error', () => outgoing.destroy())
  outgoing.on('close', () => upstream.destroy())
  incoming.pipe(upstream)
})
proxy.listen(0, '127.0.0.1')
await once(proxy, 'listening')
const origin = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (proxy.address()).port}`
after(() => {
  proxy.close()
  proxy.closeAllConnections()
})

/** @param {string} question */
const storyOf = (question) => answerTo(question).story.join('')

/** Tabs that show the same chat, and have been told so. @param {import('node:test').TestContext} t @param {number} count */
async function tabsOf(t, count) {
  const id = randomUUID()
  const tabs = /** @type {Tab[]} */ ([])
  // Tabs of a test that fails are not to watch on in the next one.
  t.after(() => Promise.all(tabs.map(({ page }) => page.close())))
  for (let index = 0; index < count; index++) tabs.push(await Tab.open(browser, `${origin}/chat/${id}`))
  await until(() => watching === 1, { message: () => `one connection watches: ${watching}` })
  return { id, tabs }
}

/** The tab has so many messages, the answer as a whole, and no complaint. @param {Tab} tab @param {string} question @param {number} count */
async function shows(tab, question, count) {
  await until(
    async () =>
      (await tab.page.locator('article').count()) === count && (await tab.text()) === storyOf(question),
    {
      timeout: 30_000,
      message: `${count} messages and the story`,
    },
  )
  await tab.is('ready')
  const last = tab.page.locator('article').last()
  assert.equal(await last.locator('.thoughts').count(), 1, await last.innerHTML())
  assert.equal(await last.locator('.tool').count(), 1, await last.innerHTML())
  assert.equal(await tab.page.locator('.note').count(), 0)
}

const leave = async (/** @type {Tab[]} */ tabs) => {
  for (const tab of tabs) {
    tab.noErrors()
    await tab.page.close()
  }
  await until(() => watching === 0)
}

for (const how of /** @type {const} */ (['reset', 'end'])) {
  test(`three tabs, 50 cuts of each kind (${how}): question and answer in all of them, once`, async (t) => {
    const { tabs } = await tabsOf(t, 3)
    const [first, second] = /** @type {[Tab, Tab]} */ (tabs)
    const random = createRandom(how.length)
    let cuts = 0
    cut = () => (cuts++ < 50 ? { after: random.int(1, 900), how } : undefined)
    const question = 'A story of 250 words at 150/s'
    await first.ask(question)
    for (const tab of tabs) await shows(tab, question, 2)
    assert.ok(cuts > 10, `${cuts} responses`)
    cut = () => undefined
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
  await until(() => watching === 1)
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
  for (const response of open) response.destroy()
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
  const calls = servers.map((server) => server.model('call'))
  const question = 'A story of 200 words at 60/s'
  await first.ask(question)
  await second.hasMoreThan(20)
  const idle = servers.find((server, index) => server.model('call') === calls[index])
  assert.ok(idle)
  idle.isGone = true
  await idle.terminate()
  for (const tab of tabs) await shows(tab, question, 2)
  await until(() => watching === 1)
  await second.ask('A story of 20 words')
  for (const tab of tabs) await shows(tab, 'A story of 20 words', 4)
  await leave(tabs)
})
