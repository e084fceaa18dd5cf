// `/inspect` of `examples/next-chat`: the inspector behind its `authorize`, in a real browser, while a chat is answered.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { Tab } from '../support/next-chat.mjs'
import { until } from '../support/wait.mjs'
import { browser, origin, servers } from './tabs.mjs'

test('it lists the stream of a chat, plays it as it comes, and shows it to its owner alone', async (t) => {
  const id = randomUUID()
  const chat = await Tab.open(browser, `${origin}/chat/${id}`)
  const page = await browser.newPage()
  t.after(() => Promise.all([chat.page, page].map((each) => each.close())))
  const complaints = /** @type {string[]} */ ([])
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
  await chat.ask('A story of 3000 words at 40/s')
  await chat.hasMoreThan(20)
  // Of any server: they have one store.
  const { origin: server } = /** @type {{ origin: string }} */ (servers[1])
  await page.goto(`${server}/inspect`)
  await page.getByRole('link', { name: id }).click()
  const lines = page.locator('.player .line')
  const seq = async () => Number((await lines.last().locator('.seq').textContent())?.replace(/\D/g, ''))
  await until(async () => (await lines.count()) > 30, { timeout: 20_000 })
  const before = await seq()
  await until(async () => (await seq()) > before, { message: 'it goes on' })
  await page.getByRole('button', { name: 'As text' }).click()
  await until(async () => (await page.locator('.prose').textContent())?.includes('sailors of the estuary'))
  await chat.page.getByRole('button', { name: 'Stop' }).click()
  await chat.is('ready')
  await until(async () => (await page.locator('main').textContent())?.includes('stopped'))
  assert.deepEqual(complaints, [])

  // Another user is let in, and sees none of it: neither on the page nor by its address.
  const as = { headers: { cookie: 'user=bob' } }
  const streams = await fetch(`${server}/inspect/api/look`, as)
  assert.equal(streams.status, 200)
  assert.ok(!(await streams.text()).includes(id))
  const stream = await fetch(`${server}/inspect/api/stream?id=${id}`, as)
  assert.ok(!(await stream.text()).includes('ann'))
})
