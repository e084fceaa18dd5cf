// Keys that sign webhooks.

import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A private key in PEM. */
export function signingKey() {
  const { privateKey } = generateKeyPairSync('ed25519')
  return /** @type {string} */ (privateKey.export({ format: 'pem', type: 'pkcs8' }))
}

/**
 * A file with these keys, for as long as the test runs.
 * @param {import('node:test').TestContext} t @param {string[]} keys
 */
export async function keyFile(t, keys = [signingKey()]) {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-keys-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'keys.pem')
  await writeFile(file, keys.join(''), { mode: 0o600 })
  return file
}
