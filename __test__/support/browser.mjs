// A real browser, driven by Playwright, without a window and with a profile of its own: Chromium, or Firefox by WebDriver BiDi.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium, firefox } from 'playwright-core'
import { chromiumPackage, findChromium, findFirefox } from '../../scripts/browsers.mjs'

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Starts the browser, Chromium unless `TIDEMARK_BROWSER` is `firefox`; it ends with the test file. Throws one sentence where there is none. */
export async function startBrowser() {
  if (process.env.TIDEMARK_BROWSER === 'firefox') return startFirefox()
  const executablePath = findChromium()
  if (executablePath === undefined) {
    const error = chromiumPackage.error('there is none')
    error.stack = error.message
    throw error
  }
  const profile = mkdtempSync(join(tmpdir(), 'tidemark-browser-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: FLAGS,
  })
  after(async () => {
    await context.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  })
  return context
}

/** Why there are no tests in Firefox, where it is missing. */
export const noFirefox = findFirefox() === undefined && 'there is no Firefox: node scripts/setup.mjs firefox'

/** Starts Firefox; it ends with the test file. */
export async function startFirefox() {
  const program = fileURLToPath(new URL('firefox-bidi.mjs', import.meta.url))
  const env = /** @type {Record<string, string>} */ ({
    ...process.env,
    TIDEMARK_FIREFOX: findFirefox() ?? '',
  })
  const browser = await firefox.launch({
    channel: 'moz-firefox',
    executablePath: program,
    headless: true,
    env,
  })
  after(() => browser.close())
  return browser.newContext()
}
