// Servers of the test, with the example's production build.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import { nextServer } from '../../scripts/next-chat.mjs'
import { violations } from './axe.mjs'
import { freePort } from './free-port.mjs'
import { reap, reapFolder } from './reaper.mjs'
import { deadline, until } from './wait.mjs'

// Run in the page, whose names this side does not know.
const COUNT_UPDATES = `
  globalThis.updates = 0
  new MutationObserver(({ length }) => { updates += length })
    .observe(document, { subtree: true, childList: true, characterData: true })`
const LAST_ANSWER = `
  [...document.querySelectorAll('article:last-of-type.assistant .text')]
    .map(({ textContent }) => textContent).join('')`

/** A question whose answer takes so long. @param {number} ms @param {number} perSecond words */
export const lasting = (ms, perSecond) =>
  `A story of ${Math.ceil((ms * perSecond) / 1_000)} words at ${perSecond}/s, please`

/** The lease of the servers' producers, shorter than the example's own. */
export const LEASE_MS = 1_000

const artefacts = fileURLToPath(new URL('../artefacts', import.meta.url))

/**
 * Starts servers that share a Redis and a folder of chats.
 * @param {number} count
 * @param {string} redisUrl
 */
export async function startServers(count, redisUrl) {
  const data = mkdtempSync(join(tmpdir(), 'tidemark-chats-'))
  reapFolder(data)
  const env = { REDIS_URL: redisUrl, DATA_DIR: data, LEASE: `${LEASE_MS}ms` }
  return Promise.all(Array.from({ length: count }, () => startServer(env)))
}

/** @param {Record<string, string>} extra */
async function startServer(extra) {
  const port = await freePort()
  const { program, args, cwd } = nextServer(port)
  const { NODE_TEST_CONTEXT: _, NODE_ENV: __, ...env } = process.env
  /** @type {import('node:child_process').ChildProcess} */
  let child
  const server = {
    port,
    origin: `http://127.0.0.1:${port}`,
    output: '',
    /** Whether a proxy must not use it. */
    isGone: false,
    /** How often its model was called, and how these calls ended. @param {'call' | 'done' | 'aborted'} what */
    model: (what) => server.output.split(`model: ${what}\n`).length - 1,
    kill() {
      server.isGone = true
      child.kill('SIGKILL')
    },
    /** Tells it to end, and gives the milliseconds until it has. */
    async terminate() {
      server.isGone = true
      const start = performance.now()
      child.kill('SIGTERM')
      await deadline(once(child, 'exit'), 20_000, `the server ends:\n${server.output}`)
      return performance.now() - start
    },
    /** At first, and again after it has ended. */
    async start() {
      child = spawn(program, args, { cwd, env: { ...env, ...extra, NEXT_TELEMETRY_DISABLED: '1' } })
      reap(child)
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding('utf8').on('data', (text) => {
          server.output += text
        })
      }
      await until(async () => (await fetch(`${server.origin}/api/chats`)).ok, {
        timeout: 30_000,
        message: () => `the server answers:\n${server.output}`,
      })
      server.isGone = false
    },
  }
  // A child that lives keeps the test file from ending.
  after(() => child.kill('SIGKILL'))
  await server.start()
  return server
}

/** A tab of the browser. */
export class Tab {
  /** Exceptions in the page, and errors on its console. @type {string[]} */
  errors = []
  /** How long the page took to be loaded last: how slow the machine is just now. */
  loadedMs = 0

  /** @param {import('playwright-core').Page} page @param {string} url */
  constructor(page, url) {
    this.page = page
    this.url = url
    page.on('pageerror', (error) => this.errors.push(String(error)))
    page.on('console', (message) => message.type() === 'error' && this.errors.push(message.text()))
  }

  /**
   * @param {import('playwright-core').BrowserContext} browser @param {string} url
   * @param {(page: import('playwright-core').Page) => unknown} [prepare] before it is loaded
   */
  static async open(browser, url, prepare) {
    const page = await browser.newPage()
    await prepare?.(page)
    await page.addInitScript(COUNT_UPDATES)
    const tab = new Tab(page, url)
    await tab.#loads(() => page.goto(url))
    return tab
  }

  reload() {
    return this.#loads(() => this.page.reload())
  }

  /** @param {() => Promise<unknown>} load */
  async #loads(load) {
    const start = performance.now()
    await load()
    this.loadedMs = performance.now() - start
  }

  /** @param {string} question */
  async ask(question) {
    const input = this.page.getByLabel('Message')
    // What Playwright fills in by WebDriver BiDi, React takes for what it has rendered itself, and hears of no change.
    if (this.page.context().browser()?.browserType().name() === 'firefox')
      await input.pressSequentially(question)
    else await input.fill(question)
    await this.page.getByRole('button', { name: 'Send' }).click()
  }

  /** The text of the last answer so far. */
  text() {
    return /** @type {Promise<string>} */ (this.page.evaluate(LAST_ANSWER))
  }

  /** How many changes the page's elements have seen. @returns {Promise<number>} */
  updates() {
    return this.page.evaluate('updates')
  }

  /** @returns {Promise<string | null>} that of `useChat` */
  status() {
    return this.page.locator('main').getAttribute('data-status')
  }

  /** Waits for more text than so many characters. @param {number} length */
  async hasMoreThan(length, timeout = 30_000) {
    return until(async () => (await this.text()).length > length, {
      timeout,
      message: `more than ${length} characters`,
    })
  }

  /** Waits until the answer is over. @param {string} [status] */
  async is(status = 'ready') {
    await until(async () => (await this.status()) === status, {
      timeout: 60_000,
      message: `status ${status}`,
    })
    return this.text()
  }

  /** Waits until a note is seen without scrolling, above what one writes into. @param {string} text */
  async inView(text) {
    const note = this.page.locator('.note', { hasText: text })
    const form = this.page.locator('form')
    await until(
      async () => {
        const [box, below] = await Promise.all([note.boundingBox(), form.boundingBox()])
        return box && below && box.y >= 0 && box.y + box.height <= below.y + 1
      },
      { message: `"${text}" in view`, timeout: 15_000 },
    )
  }

  /** What axe finds wrong with the page. */
  violations() {
    return violations(this.page)
  }

  /** @param {string} name */
  screenshot(name) {
    mkdirSync(artefacts, { recursive: true })
    return this.page.screenshot({ path: join(artefacts, `next-chat-${name}.png`) })
  }

  noErrors() {
    assert.deepEqual(
      this.errors.filter(
        (error) => !/net::ERR_|Failed to load resource|NetworkError|was interrupted while|NS_/.test(error),
      ),
      [],
    )
  }
}
