// Finds the Firefox that some browser tests drive, and installs one where a package manager can.

import { which } from './steps.mjs'
import { SystemPackage } from './system-package.mjs'

export const firefoxPackage = new SystemPackage(
  { 'apt-get': 'firefox-esr', dnf: 'firefox', apk: 'firefox-esr' },
  (why) =>
    `The tests in Firefox need it on PATH, and ${why}. Install it, or set FIREFOX to its program; without it they are left out.`,
)

/** The browser's program: `FIREFOX` (a path, or a name on PATH), else what PATH has. @returns {string | undefined} */
export function findFirefox() {
  const chosen = process.env.FIREFOX
  const names = chosen ? [chosen] : ['firefox-esr', 'firefox']
  return names.map((name) => (/[\\/]/.test(name) ? name : which(name))).find(Boolean)
}
