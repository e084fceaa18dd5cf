// The same in Firefox: its network code, its locks between tabs, and what it does with tabs that are not in front are others.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noFirefox } from '../support/browser.mjs'

/** @typedef {import('../support/next-chat.mjs').Tab} Tab */

if (noFirefox) test('several tabs in Firefox', { skip: noFirefox })
else {
  process.env.TIDEMARK_BROWSER = 'firefox'
  const { leave, shows, tabsOf } = await import('./tabs.mjs')

  test('G6 three tabs: the answer in all of them, one reloaded, Stop in another, and what comes next', async (t) => {
    const { tabs } = await tabsOf(t, 3)
    const [first, second, third] = /** @type {[Tab, Tab, Tab]} */ (tabs)
    await first.ask('A story of 3000 words')
    // A browser that may store a response lets the tabs that ask for it too wait for more than 20 s.
    await Promise.all(tabs.map((tab) => tab.hasMoreThan(20, 20_000)))
    // The one that leads is another one from here on.
    await first.page.reload()
    await first.hasMoreThan(20, 20_000)
    await second.page.getByRole('button', { name: 'Stop' }).click()
    const partial = await Promise.all(tabs.map((tab) => tab.is('ready')))
    for (const text of partial) assert.equal(text, partial[0])
    for (const tab of tabs) await tab.page.getByText('Stopped.').waitFor()
    await third.ask('A story of 20 words')
    for (const tab of tabs) await shows(tab, 'A story of 20 words', 4)
    await leave(tabs)
  })
}
