import { readFileSync } from 'node:fs'

/** The package that this file belongs to. */
export function packageInfo(): { version: string; engines: { node: string } } {
  return JSON.parse(readFileSync(`${__dirname}/../../package.json`, 'utf8'))
}
