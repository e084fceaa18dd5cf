// Finds the browsers that tests drive, and installs them where a package manager can.

import { which } from './steps.mjs'
import { SystemPackage } from './system-package.mjs'

export const chromiumPackage = new SystemPackage(
  findChromium,
  { 'apt-get': 'chromium', dnf: 'chromium', apk: 'chromium' },
  (why) =>
    `The browser tests need Chromium on PATH, and ${why}. Install it, or set CHROMIUM to the program of Chromium or Chrome.`,
)

export const firefoxPackage = new SystemPackage(
  findFirefox,
  { 'apt-get': 'firefox-esr', dnf: 'firefox', apk: 'firefox-esr' },
  (why) =>
    `The tests in Firefox need it on PATH, and ${why}. Install it, or set FIREFOX to its program; without it they are left out.`,
)

/** The browser's program: `CHROMIUM` (a path, or a name on PATH), else what PATH has. */
export function findChromium() {
  return found(process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome')
}

/** The same for Firefox, and `FIREFOX`. */
export function findFirefox() {
  return found(process.env.FIREFOX, 'firefox-esr', 'firefox')
}

/** @param {string | undefined} chosen @param {string[]} names */
function found(chosen, ...names) {
  return (chosen ? [chosen] : names).map((name) => which(name)).find(Boolean)
}
