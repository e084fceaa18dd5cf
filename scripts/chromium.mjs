// Finds the Chromium that the browser tests drive, and installs one where a package manager can.

import { which } from './steps.mjs'
import { SystemPackage } from './system-package.mjs'

export const chromiumPackage = new SystemPackage(
  { 'apt-get': 'chromium', dnf: 'chromium', apk: 'chromium' },
  (why) =>
    `The browser tests need Chromium on PATH, and ${why}. Install it, or set CHROMIUM to the program of Chromium or Chrome.`,
)

/** The browser's program: `CHROMIUM` (a path, or a name on PATH), else what PATH has. @returns {string | undefined} */
export function findChromium() {
  const chosen = process.env.CHROMIUM
  const names = chosen ? [chosen] : ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
  return names.map((name) => (/[\\/]/.test(name) ? name : which(name))).find(Boolean)
}
