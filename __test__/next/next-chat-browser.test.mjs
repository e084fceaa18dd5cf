// `examples/next-chat`, its production build on two servers, in a real browser.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { answerTo } from '../../examples/next-chat/lib/model.js'
import { startProxy } from '../../examples/next-chat/proxy.mjs'
import { prepareNextChat } from '../../scripts/next-chat.mjs'
import { startBrowser } from '../support/browser.mjs'
import { freePort } from '../support/free-port.mjs'
import { lasting, startServers, Tab } from '../support/next-chat.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

await prepareNextChat()
const browser = await startBrowser()
const servers = await startServers(2, (await sharedRedis()).url)
const port = await freePort()
const proxy = await startProxy(
  servers.map((server) => server.port),
  port,
)
const origin = `http://127.0.0.1:${port}`
after(() => {
  proxy.close()
  proxy.closeAllConnections()
})

/** @param {string} question */
const storyOf = (question) => answerTo(question).story.join('')

/** @param {string} at @param {string} id */
const chat = (at, id) => Tab.open(browser, `${at}/chat/${id}`)

test('reload 5 times, a second tab, offline and online: every tab shows the text of the model', async () => {
  const id = randomUUID()
  const first = await chat(origin, id)
  await first.reload()
  // Long enough for all those reloads, on a slow machine too.
  const story = lasting(Math.max(6_000, 12 * first.loadedMs), 20)
  await first.ask(story)
  await first.hasMoreThan(0)
  await first.screenshot('1-start')
  for (let reload = 0; reload < 5; reload++) {
    const before = (await first.text()).length
    await first.page.reload()
    await first.hasMoreThan(before)
    assert.equal(await first.status(), 'streaming')
  }
  await first.screenshot('2-resume')
  const second = await chat(origin, id)
  await second.hasMoreThan(0)
  await browser.setOffline(true)
  // The browser keeps what is open; a network that is away does not.
  proxy.closeAllConnections()
  for (const tab of [first, second]) {
    await tab.inView('Connection lost')
    assert.equal(await tab.status(), 'streaming', 'to the hook nothing has happened')
  }
  await browser.setOffline(false)
  for (const tab of [first, second]) {
    assert.equal(await tab.is('ready'), storyOf(story))
    assert.equal(await tab.page.locator('article').count(), 2)
    await tab.page.reload()
    await tab.hasMoreThan(0)
    assert.equal(await tab.is('ready'), storyOf(story))
    tab.noErrors()
    await tab.page.close()
  }
})

test('G6 Stop in a tab on one server ends the model call on the other; the partial answer stays', async () => {
  const [here, there] = servers
  const id = randomUUID()
  const first = await chat(here.origin, id)
  await first.ask('A story of 3000 words')
  await first.hasMoreThan(0)
  const second = await chat(there.origin, id)
  await second.hasMoreThan(20)
  const aborted = here.model('aborted')
  await second.page.getByRole('button', { name: 'Stop' }).click()
  const [partial, other] = [await first.is('ready'), await second.is('ready')]
  assert.equal(partial, other)
  assert.ok(partial.length > 20 && storyOf('3000 words').startsWith(partial))
  await until(() => here.model('aborted') > aborted, { message: () => here.output })
  for (const tab of [first, second]) await tab.inView('Stopped.')
  await second.screenshot('3-stop')
  for (const tab of [first, second]) {
    await tab.page.reload()
    await tab.hasMoreThan(20)
    assert.equal(await tab.is('ready'), partial, 'after a reload')
    await tab.inView('Stopped.')
    tab.noErrors()
    await tab.page.close()
  }
})

test('a resumed answer of 5,000 chunks renders without an error of React', async () => {
  const question = '5000 words at 1500/s'
  const tab = await chat(origin, randomUUID())
  await tab.ask(question)
  const text = storyOf(question)
  await tab.hasMoreThan(text.length * 0.6)
  await tab.page.reload()
  await tab.hasMoreThan(text.length * 0.6)
  assert.equal(await tab.is('ready'), text)
  const updates = await tab.updates()
  console.log(`5,000 chunks, resumed after 3,000: ${updates} DOM updates`)
  assert.ok(updates < 5000)
  tab.noErrors()
  await tab.page.close()
})

test('a phone has the list and New chat, the page a title and an icon; axe finds nothing', async () => {
  const tab = await chat(origin, randomUUID())
  assert.deepEqual(await tab.violations(), [])
  await tab.ask('A story of 20 words')
  await tab.is('ready')
  const title = 'A story of 20 words'
  assert.equal(await tab.page.getByRole('heading', { level: 1 }).textContent(), title)
  await tab.page.setViewportSize({ width: 390, height: 700 })
  await tab.page.reload()
  await tab.is('ready')
  assert.ok(await tab.page.getByRole('link', { name: 'New chat' }).isVisible())
  await tab.page.getByRole('link', { name: title }).first().waitFor()
  assert.ok(
    await tab.page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
    'nothing is cut off',
  )
  assert.ok(await tab.page.getByLabel('Message').isVisible())
  assert.deepEqual(await tab.violations(), [])
  await tab.screenshot('5-phone')
  const icon = await tab.page.locator('link[rel=icon]').getAttribute('href')
  assert.ok((await fetch(new URL(icon ?? '', origin))).ok)
  await tab.page.getByRole('link', { name: 'New chat' }).click()
  await tab.page.getByText('Ask for a story').waitFor()
  tab.noErrors()
  await tab.page.close()
})

test('G10 two users: neither can attach to, stop, list or see what the other has', async () => {
  const id = randomUUID()
  const ann = await chat(origin, id)
  await ann.ask('A story of 3000 words')
  await ann.hasMoreThan(0)
  const headers = { cookie: 'user=bob' }
  const as = (/** @type {string} */ path, /** @type {RequestInit} */ init = {}) =>
    fetch(`${origin}${path}`, { headers, ...init })
  assert.equal((await as(`/api/chat/${id}/stream`)).status, 403)
  assert.equal((await as(`/api/chat/${id}/stream`, { method: 'DELETE' })).status, 403)
  const body = JSON.stringify({ id, messages: [{ id: 'm', role: 'user', parts: [] }] })
  assert.equal((await as('/api/chat', { method: 'POST', body })).status, 403)
  assert.equal((await as(`/chat/${id}`)).status, 404)
  assert.deepEqual(await (await as('/api/chats')).json(), [])
  assert.ok((await (await as('/api/chats', { headers: { cookie: 'user=ann' } })).text()).includes(id))
  const length = (await ann.text()).length
  await ann.hasMoreThan(length)
  await ann.page.getByRole('button', { name: 'Stop' }).click()
  await ann.is('ready')
  await ann.page.close()
})

test('G5 the server that answers is killed: the other has the rest, the answer ends, the next one comes', async () => {
  const id = randomUUID()
  const calls = servers.map((server) => server.model('call'))
  const tab = await chat(origin, id)
  // It goes on until then, however late a slow machine shows those.
  await tab.ask('A story of 20000 words at 500/s')
  // Longer than the screen.
  await tab.hasMoreThan(4_000)
  const producing = servers.find((server, index) => server.model('call') > calls[index])
  assert.ok(producing)
  producing.kill()
  const before = await tab.text()
  await tab.page.getByText('interrupted').waitFor({ timeout: 20_000 })
  const partial = await tab.is('error')
  assert.ok(partial.startsWith(before) && storyOf('20000 words').startsWith(partial))
  await tab.inView('interrupted')
  await tab.screenshot('4-killed')
  await tab.ask('A story of 20 words')
  assert.equal(await tab.is('ready'), storyOf('20 words'))
  tab.noErrors()
})
