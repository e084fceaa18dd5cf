// `npm run demo`, in a real browser: what a visitor sees of readers that leave and come back, servers that are killed, and Redis.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { violations } from '../support/axe.mjs'
import { startBrowser } from '../support/browser.mjs'
import { freePort } from '../support/free-port.mjs'
import { reap } from '../support/reaper.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { until } from '../support/wait.mjs'

const MAIN = fileURLToPath(new URL('../../examples/demo/main.mjs', import.meta.url))
const RECORDED = readFileSync(new URL('../../examples/demo/recording.jsonl', import.meta.url), 'utf8')
const CHUNKS = RECORDED.trim().split('\n').length

const browser = await startBrowser()

/**
 * Starts the demo, which ends with the test file.
 * @param {string[]} args
 */
function startDemo(...args) {
  return startDemoWith({}, args)
}

/** @param {Record<string, string>} own variables @param {string[]} args */
async function startDemoWith(own, args) {
  const { REDIS_URL, TIDEMARK_URL, KV_URL, NODE_TEST_CONTEXT, ...env } = process.env
  const port = await freePort()
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...env, ...own, PORT: String(port) } })
  reap(child)
  after(async () => {
    child.kill('SIGTERM')
    await until(() => child.exitCode !== null)
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  const [, url = ''] = await until(() => /Tidemark demo {2}(\S+)[\s\S]*Ctrl-C/.exec(output), {
    timeout: 20_000,
    message: () => output,
  })
  return { url, output: () => output }
}

/** @param {string} url */
async function open(url) {
  const page = await browser.newPage()
  await page.setViewportSize({ width: 1280, height: 860 })
  /** @type {string[]} */
  const errors = []
  page.on('pageerror', (error) => errors.push(String(error)))
  await page.goto(url)
  const readers = page.locator('.reader')
  const value = async (/** @type {string} */ name, reader = 0) =>
    (await readers.nth(reader).locator(`[data-of=${name}]`).textContent()) ?? ''
  return {
    page,
    readers,
    value,
    press: (/** @type {string} */ name) => page.getByRole('button', { name, exact: true }).click(),
    /** How many chunks a reader has. */
    seq: async (reader = 0) => Number(await value('seq', reader)) || 0,
    /** What it has received, and how. */
    counts: async (reader = 0) => {
      const [replayed, live] = await Promise.all([value('replayed', reader), value('live', reader)])
      return { replayed: Number(replayed), live: Number(live) }
    },
    reaches: (/** @type {number} */ seq, reader = 0) =>
      until(async () => (Number(await value('seq', reader)) || 0) >= seq, {
        timeout: 20_000,
        message: `seq ${seq}`,
      }),
    is: (/** @type {string} */ outcome, reader = 0) =>
      until(async () => (await value('outcome', reader)) === outcome, { timeout: 30_000, message: outcome }),
    text: (reader = 0) => readers.nth(reader).locator('.answer').textContent(),
    log: () => page.locator('#log').textContent(),
    /** Which element has the keyboard. */
    focus: () => page.evaluate('document.activeElement.id'),
    screenshot: (/** @type {string} */ name) =>
      page.screenshot({ path: fileURLToPath(new URL(`../artefacts/demo-${name}.png`, import.meta.url)) }),
    violations: () => violations(page),
    async close() {
      assert.deepEqual(errors, [])
      await page.close()
    },
  }
}

test('what was replayed and what is live is told apart, in two readers side by side; the keyboard keeps its place', async () => {
  const { url } = await startDemo('--rate', '40')
  const tab = await open(url)
  assert.deepEqual(await tab.violations(), [])
  await tab.page.locator('#start').focus()
  await tab.page.keyboard.press('Enter')
  await tab.reaches(60)
  assert.equal(await tab.focus(), 'start', 'after Enter')
  assert.equal(await tab.page.locator('.mark').count(), 0, 'nothing was resumed yet')

  await tab.page.reload()
  await tab.reaches(61)
  const mark = tab.page.locator('.mark').first()
  await mark.waitFor()
  assert.match((await mark.textContent()) ?? '', /^resumed here: \d+ replayed in \d+ ms, live since$/)
  const { replayed } = await tab.counts()
  assert.ok(replayed >= 60)
  assert.match(
    await tab.readers.first().locator('.resumed').textContent(),
    new RegExp(`^Resumed here: ${replayed} replayed`),
  )
  await until(async () => (await tab.counts()).live > 10)
  assert.equal((await tab.counts()).replayed, replayed, 'from then on everything is live')
  await tab.screenshot('1-resumed')

  await tab.press('Second reader')
  assert.equal(await tab.focus(), 'beside')
  await tab.reaches(80, 1)
  const [left, right] = await Promise.all([
    tab.readers.nth(0).boundingBox(),
    tab.readers.nth(1).boundingBox(),
  ])
  assert.ok(left && right && Math.abs(left.y - right.y) < 2 && right.x >= left.x + left.width, 'side by side')
  assert.ok((await tab.counts(1)).replayed > replayed, 'it came later')
  await tab.press('Drop the line')
  await tab.page.getByText('dropped after seq').first().waitFor()
  assert.equal(await tab.focus(), 'drop')
  await tab.page.getByText(/Reader 1: resumed after seq \d+: \d+ replayed in \d+ ms/).waitFor()
  await tab.screenshot('2-two-readers')
  assert.deepEqual(await tab.violations(), [])
  await tab.page.getByText('What the words mean').click()
  for (const word of ['seq', 'outcome', 'gaps'])
    assert.ok(await tab.page.locator('#words dt', { hasText: word }).isVisible())
  assert.deepEqual(await tab.violations(), [], 'with the words')

  await Promise.all([tab.is('complete'), tab.is('complete', 1)])
  const without = (/** @type {string | null} */ text) =>
    text?.replace(/resumed here: \d+ replayed in \d+ ms, live since/g, '')
  assert.equal(without(await tab.text(0)), without(await tab.text(1)))
  for (const reader of [0, 1]) {
    const { replayed, live } = await tab.counts(reader)
    assert.equal(replayed + live, CHUNKS)
    assert.deepEqual([await tab.value('duplicates', reader), await tab.value('gaps', reader)], ['0', '0'])
  }
  assert.match(await tab.log(), /Reader 2: the end: complete/)
  assert.equal(
    await tab.page.getByRole('button', { name: 'Kill the server' }).count(),
    0,
    'memory would be lost with it',
  )
  await tab.close()
})

test('an unknown id is named at once; a phone and the dark are as good', async () => {
  const { url } = await startDemo()
  const tab = await open(`${url}/#no-such-answer`)
  await tab.page.getByText('There is no answer no-such-answer here').waitFor({ timeout: 2_000 })
  await tab.page.getByText('The answer no-such-answer does not exist').waitFor({ timeout: 15_000 })
  await tab.is('gone')
  await tab.page.emulateMedia({ colorScheme: 'dark' })
  await tab.page.setViewportSize({ width: 390, height: 800 })
  await tab.page.goto(url)
  await tab.press('Start')
  await tab.reaches(20)
  await tab.press('Second reader')
  await tab.reaches(20, 1)
  assert.ok(
    await tab.page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
    'nothing is cut off',
  )
  assert.deepEqual(await tab.violations(), [])
  await tab.screenshot('3-phone')
  await tab.press('Stop')
  await tab.is('stopped')
  await tab.close()
})

test('G5 a killed server is called that, and the other one offered; Redis comes back empty and nothing is missing', async () => {
  const { url, output } = await startDemo('--redis', '--rate', '25')
  const [, other = ''] = /second {3}(\S+)/.exec(output()) ?? []
  const tab = await open(url)
  await tab.press('Start')
  await tab.reaches(20)
  await tab.press('Second reader')
  await tab.reaches(20, 1)
  const port = (/** @type {string} */ at) => new URL(at).port
  assert.match(await tab.readers.nth(1).textContent(), new RegExp(`read through port ${port(other)}`))

  await tab.press('Restart Redis')
  await tab.page.getByText('The server has lost its Redis').first().waitFor()
  await tab.screenshot('4-redis-away')
  const away = await tab.seq()
  await until(async () => (await tab.value('store')) === 'Redis, ready', { timeout: 20_000 })
  await tab.reaches(away + 20, 1)
  for (const reader of [0, 1]) {
    assert.deepEqual([await tab.value('duplicates', reader), await tab.value('gaps', reader)], ['0', '0'])
  }

  await tab.press('Kill the server')
  await tab.page.getByText(`The server on port ${port(url)} does not answer.`).waitFor({ timeout: 10_000 })
  assert.equal(await tab.focus(), 'kill')
  assert.equal(await tab.value('outcome'), 'not known')
  assert.equal(
    await tab.readers.first().locator('.answer').getAttribute('aria-busy'),
    'false',
    'no caret blinks',
  )
  const link = tab.page.getByRole('link', { name: `Go on with the server on port ${port(other)}` })
  await link.waitFor()
  await tab.is('interrupted', 1)
  assert.deepEqual(await tab.violations(), [])
  await tab.screenshot('5-killed')
  const before = await tab.seq()
  await link.click()
  await tab.is('interrupted')
  assert.ok(tab.page.url().startsWith(other))
  assert.ok((await tab.seq()) >= before, 'all of it is there')
  await tab.close()
})

test('G8 the page shows what it had when it is reloaded while Redis is away, and goes on when that is back', async (t) => {
  const redis = await startRedis()
  t.after(() => redis.close())
  const { url } = await startDemoWith({ REDIS_URL: redis.url }, ['--rate', '25'])
  const tab = await open(url)
  await tab.press('Start')
  await tab.reaches(40)
  await redis.stop()
  await until(async () => (await tab.value('store')) === 'Redis, degraded')
  const had = await tab.seq()
  await tab.page.reload()
  await tab.reaches(had)
  assert.equal(await tab.value('store'), 'Redis, degraded')
  assert.ok((await tab.readers.first().locator('.answer').textContent())?.trim(), 'there is text')
  await redis.start()
  await tab.reaches(had + 20)
  assert.deepEqual([await tab.value('duplicates'), await tab.value('gaps')], ['0', '0'])
  await tab.press('Stop')
  await tab.is('stopped')
  await tab.close()
})

test('the inspector is behind a link, shows the answer, and can change nothing', async () => {
  const { url } = await startDemo('--rate', '40')
  const tab = await open(url)
  await tab.press('Start')
  await tab.reaches(5)
  const opened = tab.page.waitForEvent('popup')
  await tab.page.getByRole('link', { name: /^Inspector/ }).click()
  const page = await opened
  await page.locator('tbody a').click()
  await page.locator('.player .data').first().waitFor()
  assert.equal(await page.getByRole('button', { name: /Stop|Delete/ }).count(), 0)
  assert.equal((await fetch(`${url}/inspect/api/stop`, { method: 'POST' })).status, 403)
  await page.close()
  await tab.close()
})
