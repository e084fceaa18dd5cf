// `useChat` of `ai` 5 and 6 in several tabs of a real browser, on two servers that share a Redis, through all that happens to networks
// and servers. With `ai` 7 the same is done with the example, see `../examples`.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { startBrowser } from '../support/browser.mjs'
import { TEXT } from '../support/chat-server.mjs'
import { startChild } from '../support/child.mjs'
import { startLink } from '../support/cutting-link.mjs'
import { createRandom } from '../support/seed.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'
import { HTML, KINDS, scriptOf } from './use-chat.mjs'

/** An answer takes more than a second. */
const PAUSE_MS = 20
const LEASE_MS = 1_000
const SHOWN_MS = 30_000

const browser = await startBrowser()

/** A server that may be killed. */
class Host {
  isGone = false

  /** @param {import('../support/child.mjs').Child} child @param {number} port */
  constructor(child, port) {
    this.child = child
    this.port = port
  }

  /** @param {object} options */
  static async start(options) {
    const child = startChild(new URL('../children/chat-host.mjs', import.meta.url), {
      env: { HOST: JSON.stringify(options) },
    })
    const { port } = await child.next('listening', 20_000)
    return new Host(child, port)
  }

  /** How often its model was called, or was done. @param {'called' | 'done'} what */
  count(what) {
    return this.child.messages.filter(({ type }) => type === what).length
  }

  /** Whether its model waits after ten words, for a Stop or until it is told to go on. @param {boolean} holds */
  hold(holds) {
    this.child.send({ type: 'hold', holds })
    return this.child.next('told')
  }

  kill() {
    this.isGone = true
    return this.child.kill()
  }

  /** Tells it to end, as a deploy does. */
  async terminate() {
    this.isGone = true
    await this.child.kill('SIGTERM')
    await this.child.exit()
  }
}

/** A tab with the chat. */
class Tab {
  /** @type {string[]} */
  complaints = []

  /** @param {import('playwright-core').Page} page */
  constructor(page) {
    this.page = page
    page.on('pageerror', (error) => this.complaints.push(String(error)))
    page.on('console', (message) => message.type() === 'error' && this.complaints.push(message.text()))
  }

  send() {
    return this.page.getByText('Send').click()
  }

  /** @returns {Promise<string>} that of the last answer */
  text() {
    return this.page.evaluate(
      "[...document.querySelectorAll('article:last-of-type.assistant .text')].map((each) => each.textContent).join('')",
    )
  }

  /** @param {string} status */
  is(status) {
    const isSo = async () => (await this.page.getAttribute('main', 'data-status')) === status
    return until(isSo, { timeout: SHOWN_MS, message: `status ${status}` })
  }

  /** There is so much of an answer to this question. @param {number} messages */
  begins(messages) {
    const hasBegun = async () =>
      (await this.page.locator('article').count()) === messages && (await this.text()).length > 20
    return until(hasBegun, { timeout: SHOWN_MS, message: `${messages} messages, and the last one begins` })
  }

  /** So many messages, the last one with each part once and the model's text, and no complaint. @param {number} messages */
  async isWhole(messages) {
    const isSo = async () =>
      (await this.page.locator('article').count()) === messages && (await this.text()) === TEXT
    await until(isSo, { timeout: SHOWN_MS, message: `${messages} messages, and the last one whole` })
    await this.is('ready')
    assert.deepEqual(await this.page.evaluate('chat.messages.at(-1).parts.map(({ type }) => type)'), KINDS)
    assert.equal(await this.page.locator('b').count(), 0)
  }

  /** No errors, but for those of the network. */
  isQuiet() {
    const isOurs = (/** @type {string} */ text) => !/net::ERR_|Failed to load resource/.test(text)
    assert.deepEqual(this.complaints.filter(isOurs), [])
  }
}

const { url } = await sharedRedis()
const scenes = await Promise.all(
  /** @type {const} */ ([5, 6]).map(async (version) => {
    const options = { url, keyPrefix: `test-${randomUUID()}`, lease: LEASE_MS, pauseMs: PAUSE_MS }
    const scene = { version, options, hosts: await Promise.all([0, 1].map(() => Host.start(options))) }
    const files = new Map([
      ['/', HTML],
      ['/page.js', await scriptOf(version)],
    ])
    const ports = () => scene.hosts.filter(({ isGone }) => !isGone).map(({ port }) => port)
    return Object.assign(scene, { link: await startLink(ports, files) })
  }),
)
// A child that lives keeps the test file from ending.
after(() => Promise.all(scenes.flatMap(({ hosts }) => hosts.map((host) => host.kill()))))

describe('useChat in several tabs', { concurrency: true }, () => {
  for (const scene of scenes) {
    const { version, link } = scene
    describe(`ai ${version}`, { concurrency: false }, () => {
      /** Tabs that show the same chat, and have been told so. @param {import('node:test').TestContext} t @param {number} count */
      async function tabsOf(t, count) {
        const address = `${link.origin}/?watch#${randomUUID()}`
        const tabs = await Promise.all(
          Array.from({ length: count }, async () => new Tab(await browser.newPage())),
        )
        t.after(() => Promise.all(tabs.map(({ page }) => page.close())))
        for (const { page } of tabs) {
          await page.goto(address)
          await page.getByText('Send').waitFor()
        }
        await until(() => link.watching === 1, { message: 'one connection watches', timeout: SHOWN_MS })
        return tabs
      }

      /** The server that calls the model for what is asked here, and the other one. @param {() => Promise<unknown>} ask */
      async function hostsOf(ask) {
        const calls = scene.hosts.map((host) => host.count('called'))
        await ask()
        const called = (/** @type {Host} */ host, /** @type {number} */ index) =>
          host.count('called') !== calls[index]
        await until(() => scene.hosts.some(called), { timeout: SHOWN_MS })
        const [caller, other] = [
          scene.hosts.find(called),
          scene.hosts.find((host, index) => !called(host, index)),
        ]
        assert.ok(caller && other)
        return { caller, other }
      }

      /** Whether the models wait in the middle of their answers: no tab is too slow then to see one half. @param {boolean} holds */
      const hold = (holds) =>
        Promise.all(scene.hosts.filter(({ isGone }) => !isGone).map((host) => host.hold(holds)))

      /** One in the place of one that was killed. @param {Host} gone */
      async function replace(gone) {
        const host = await Host.start(scene.options)
        scene.hosts = scene.hosts.map((each) => (each === gone ? host : each))
      }

      test('G6 three tabs, cut again and again, one reloaded, Stop in another, and what comes next', async (t) => {
        const tabs = await tabsOf(t, 3)
        const [first, second, third] = /** @type {[Tab, Tab, Tab]} */ (tabs)
        const random = createRandom(version)
        let cuts = 0
        const hows = /** @type {const} */ (['reset', 'end'])
        link.cut = () => (cuts++ < 30 ? { after: random.int(1, 900), how: random.pick(hows) } : undefined)
        await first.send()
        for (const tab of tabs) await tab.isWhole(2)
        assert.ok(cuts > 6, `${cuts} responses`)
        link.cut = () => undefined
        t.after(() => hold(false))
        await hold(true)
        await second.send()
        for (const tab of tabs) await tab.begins(4)
        await third.page.reload()
        // What was kept is shown, and ready, before the hook asks for the rest.
        await third.is('streaming')
        await third.begins(4)
        await first.page.getByText('Stop').click()
        for (const tab of tabs) await tab.is('ready')
        const partial = await Promise.all(tabs.map((tab) => tab.text()))
        assert.ok(partial[0] !== TEXT)
        assert.deepEqual(new Set(partial).size, 1, partial.join('\n'))
        await hold(false)
        await third.send()
        for (const tab of tabs) await tab.isWhole(6)
        for (const tab of tabs) tab.isQuiet()
      })

      test('no network from the middle of an answer to past its end', async (t) => {
        const tabs = await tabsOf(t, 2)
        const sessions = await Promise.all(tabs.map(({ page }) => browser.newCDPSession(page)))
        const setOffline = (/** @type {boolean} */ offline) => {
          const network = { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 }
          return Promise.all(
            sessions.map((session) => session.send('Network.emulateNetworkConditions', network)),
          )
        }
        t.after(() => hold(false))
        await hold(true)
        const { caller } = await hostsOf(async () => {
          await tabs[0]?.send()
          for (const tab of tabs) await tab.begins(2)
        })
        await setOffline(true)
        // What is there already goes on; the link takes it away.
        for (const response of link.open) response.destroy()
        await hold(false)
        await until(() => caller.count('done') === caller.count('called'), { timeout: SHOWN_MS })
        for (const tab of tabs) assert.notEqual(await tab.text(), TEXT)
        await setOffline(false)
        for (const tab of tabs) await tab.isWhole(2)
        for (const tab of tabs) tab.isQuiet()
      })

      test('a phone that was asleep has all of it when it is looked at again', async (t) => {
        const tabs = await tabsOf(t, 2)
        const [first, second] = /** @type {[Tab, Tab]} */ (tabs)
        const session = await browser.newCDPSession(first.page)
        t.after(() => hold(false))
        await hold(true)
        await first.send()
        for (const tab of tabs) await tab.begins(2)
        await session.send('Page.setWebLifecycleState', { state: 'frozen' })
        for (const response of link.open) response.destroy()
        await hold(false)
        await second.isWhole(2)
        await session.send('Page.setWebLifecycleState', { state: 'active' })
        await first.isWhole(2)
        for (const tab of tabs) tab.isQuiet()
      })

      test('a server is told to end: its readers and those who watch come back elsewhere', async (t) => {
        const tabs = await tabsOf(t, 2)
        const [first, second] = /** @type {[Tab, Tab]} */ (tabs)
        t.after(() => hold(false))
        await hold(true)
        const { other } = await hostsOf(async () => {
          await first.send()
          for (const tab of tabs) await tab.begins(2)
        })
        await other.terminate()
        await hold(false)
        for (const tab of tabs) await tab.isWhole(2)
        await replace(other)
        await until(() => link.watching === 1, { timeout: SHOWN_MS })
        await second.send()
        for (const tab of tabs) await tab.isWhole(4)
        for (const tab of tabs) tab.isQuiet()
      })

      test('G5 a server is killed that only sends, and then the one that calls the model', async (t) => {
        const tabs = await tabsOf(t, 2)
        const [first, second] = /** @type {[Tab, Tab]} */ (tabs)
        t.after(() => hold(false))
        await hold(true)
        const sending = await hostsOf(async () => {
          await first.send()
          for (const tab of tabs) await tab.begins(2)
        })
        await sending.other.kill()
        await hold(false)
        for (const tab of tabs) await tab.isWhole(2)
        await replace(sending.other)
        await until(() => link.watching === 1, { timeout: SHOWN_MS })
        await hold(true)
        const calling = await hostsOf(async () => {
          await second.send()
          for (const tab of tabs) await tab.begins(4)
        })
        await calling.caller.kill()
        await hold(false)
        for (const tab of tabs) {
          await tab.page.getByText('interrupted: lease').waitFor({ timeout: SHOWN_MS })
          await tab.is('error')
        }
        const partial = await Promise.all(tabs.map((tab) => tab.text()))
        assert.ok(partial[0] !== TEXT && partial[0] === partial[1], partial.join('\n'))
        await replace(calling.caller)
        await until(() => link.watching === 1, { timeout: SHOWN_MS })
        await first.send()
        for (const tab of tabs) await tab.isWhole(6)
        for (const tab of tabs) tab.isQuiet()
      })
    })
  }
})
