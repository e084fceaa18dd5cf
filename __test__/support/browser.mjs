// A real browser, driven by Playwright: Chromium without a window, and with a profile of its own.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { chromium } from 'playwright-core'
import { chromiumPackage, findChromium } from '../../scripts/chromium.mjs'

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Starts the browser; it ends with the test file. Throws one sentence where there is none. */
export async function startBrowser() {
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
